"""Frames of real encodings: the same through decord and PyAV, upright, and repeatable."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.media_samples import (
    ENCODINGS,
    Encoding,
    chord,
    moving_picture,
    rotate_mp4,
    write_av,
    write_frames,
    write_sound,
)
from wave_search.errors import BrokenMediaError
from wave_search.media import av_frames
from wave_search.media.av_frames import AvReader, JoinedReader
from wave_search.media.info import MediaInfo, VideoStream
from wave_search.media.packet_sound import PacketSound
from wave_search.media.probe import probe
from wave_search.media.sampling import policy_of, resize_to
from wave_search.media.source import Source, open_regular
from wave_search.media.video import DecordFailed, DecordReader, FrameSource
from wave_search.models.wave.clips import SAMPLING
from wave_search.types import Span

FRAMES = 70
BY_DECORD = {
    "h264.mp4",
    "h264_full_range.mkv",
    "av1.mkv",
    "vp8.webm",
    "vp9.webm",
    "mjpeg.mov",
    "mpeg4.mp4",
}
"""The others hold groups of pictures that decord2 does not seek in, or are formats that it does not read."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("videos")


@pytest.fixture(scope="module", params=ENCODINGS)
def encoded(request: pytest.FixtureRequest, folder: Path) -> Path:
    return write_frames(folder / request.param, moving_picture(FRAMES), ENCODINGS[request.param])


def opened(path: Path) -> tuple[Source, VideoStream, MediaInfo]:
    file = open_regular(path)
    info = probe(path, file, path.stat().st_size)
    assert info.video is not None
    return Source(path, file, info.container), info.video, info


def difference(left: np.ndarray, right: np.ndarray) -> float:
    assert left.shape == right.shape
    return float(np.abs(left.astype(float) - right).mean())


def test_probing_counts_frames_and_finds_the_size(encoded: Path) -> None:
    _, video, info = opened(encoded)
    assert (info.kind, video.frames, video.width, video.height) == ("video", FRAMES, 128, 96)
    assert video.fps == 25.0
    assert info.duration_s == FRAMES / 25


def test_frames_are_those_that_were_encoded(encoded: Path) -> None:
    source, video, _ = opened(encoded)
    reader = AvReader(source, video)
    original = moving_picture(FRAMES)
    for number in (0, 1, 19, 20, 39, 69):
        frame = reader.get(number)
        nearest = min(range(FRAMES), key=lambda other: difference(frame, original[other]))
        assert nearest == number


def test_a_still_is_the_frame_that_is_shown(folder: Path) -> None:
    source, video, _ = opened(write_frames(folder / "stills.mp4", moving_picture(FRAMES), ENCODINGS["h264.mp4"]))
    still, reader = FrameSource(source, video, SAMPLING).still, AvReader(source, video)
    for at_s, number in ((0.0, 0), (0.039, 0), (1.0, 25), (99.0, FRAMES - 1)):
        assert np.array_equal(still(at_s), policy_of(SAMPLING).resize_image(reader.get(number)))


def test_seeking_gives_the_same_frames_as_reading_through(encoded: Path) -> None:
    source, video, _ = opened(encoded)
    through = AvReader(source, video)
    for number in (3, 17, 20, 22, 38, 41, 59, 69):
        assert np.array_equal(AvReader(source, video).get(number), through.get(number))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_frames_far_ahead_are_found_by_a_seek(folder: Path, suffix: str) -> None:
    pictures = moving_picture(90)
    times_s = [number + 0.2 * (number % 3) for number in range(90)]
    source, video, _ = opened(
        write_frames(folder / f"long{suffix}", pictures, Encoding(key_interval=12), times_s=times_s)
    )
    assert video.timing == "variable"
    reader = AvReader(source, video)
    for number in (0, 30, 31, 85):
        shown = reader.get(round(1000 * (times_s[number] + 0.1)))
        assert min(range(90), key=lambda other: difference(shown, pictures[other])) == number


@pytest.mark.parametrize(("by_decord", "suffix"), [(True, ".mp4"), (False, ".ts")])
def test_the_last_frame_is_decoded_once_for_hours_of_sound(
    folder: Path, by_decord: bool, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, video, _ = opened(write_frames(folder / f"short{suffix}", moving_picture(10)))
    assert video.by_decord is by_decord
    decoded: list[object] = []

    def counting(original: Callable[..., object]) -> Callable[..., object]:
        return lambda *given, **named: decoded.append(given) or original(*given, **named)

    monkeypatch.setattr(DecordReader, "get", counting(DecordReader.get))
    monkeypatch.setattr(av_frames, "decode", counting(av_frames.decode))
    frames = FrameSource(source, video, SAMPLING)
    ends = [frames.read(Span(float(begin_s), begin_s + 1.0)) for begin_s in range(60, 7200, 600)]
    assert len(ends) == 12
    assert all(np.array_equal(end.pixels[-1], ends[0].pixels[0]) for end in ends if end)
    assert len(decoded) == 1


def test_frames_that_an_edit_list_cuts_off_are_not_shown(folder: Path) -> None:
    write_frames(folder / "uncut.mp4", moving_picture(50))
    with av.open(str(folder / "uncut.mp4")) as uncut, av.open(str(folder / "cut.mp4"), "w") as cut:
        stream = cut.add_stream_from_template(uncut.streams.video[0])
        for packet in uncut.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                cut_off = round(0.6 / packet.time_base)  # 15 frames after a key frame
                packet.pts, packet.dts = packet.pts - cut_off, packet.dts - cut_off
                cut.mux(packet)
    source, video, info = opened(folder / "cut.mp4")
    assert (video.frames, video.start_s, info.duration_s) == (35, 0.0, pytest.approx(1.4, abs=0.01))
    original, reader = moving_picture(50), AvReader(source, video)
    for number in (0, 3, 20):
        shown = reader.get(number)
        assert min(range(50), key=lambda other: difference(shown, original[other])) == number + 15


def test_decord_and_pyav_agree(encoded: Path) -> None:
    source, video, _ = opened(encoded)
    assert video.by_decord is (encoded.name in BY_DECORD)
    if encoded.name not in BY_DECORD:
        return
    by_decord, by_av = DecordReader(source.file, video), AvReader(source, video)
    for number in (0, 7, 21, 40, 69):
        left, right = by_decord.get(number), by_av.get(number)
        assert difference(left, right) < 0.5
        assert np.abs(left.astype(int) - right).max() <= 4


def test_decord_says_what_it_cannot_read(folder: Path) -> None:
    _, video, _ = opened(write_frames(folder / "other.mp4", moving_picture(5)))
    with (folder / "text").open("w+b") as text, pytest.raises(DecordFailed):
        DecordReader(text, video)


def test_without_decord_frames_are_those_of_pyav(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, video, _ = opened(write_frames(folder / "plain.mp4", moving_picture(5)))
    assert video.by_decord
    expected = FrameSource(source, replace(video, by_decord=False), SAMPLING).read(Span(0.0, 0.2))
    monkeypatch.setitem(sys.modules, "decord", None)
    frames = FrameSource(source, video, SAMPLING).read(Span(0.0, 0.2))
    assert frames is not None and expected is not None  # noqa: PT018
    assert np.array_equal(frames.pixels, expected.pixels)


def test_tiny_frames_that_decord_garbles_go_to_pyav(folder: Path) -> None:
    path = write_frames(folder / "tiny.mp4", moving_picture(6, 16, 16))
    source, video, _ = opened(path)
    with pytest.raises(DecordFailed):
        DecordReader(source.file, video).get(0)
    frames = FrameSource(source, video, SAMPLING).read(Span(0.0, 1.0))
    assert frames is not None
    assert frames.pixels.shape[1:] == (28, 28, 3)


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_both_turn_rotated_video_upright(folder: Path, degrees: int) -> None:
    plain = write_frames(folder / "plain.mp4", moving_picture(5, 64, 128))
    source, video, _ = opened(rotate_mp4(plain, folder / f"turned_{degrees}.mp4", degrees))
    assert (video.width, video.height) == ((128, 64) if degrees == 180 else (64, 128))
    plain_source, plain_video, _ = opened(plain)
    for number in range(5):
        upright = np.rot90(AvReader(plain_source, plain_video).get(number), -degrees // 90)
        assert np.array_equal(AvReader(source, video).get(number), upright)
        assert difference(DecordReader(source.file, video).get(number), upright) < 0.5


@pytest.mark.parametrize("pixel_format", ["yuv444p", "yuv420p10le"])
def test_odd_formats_agree(folder: Path, pixel_format: str) -> None:
    size = (95, 127) if pixel_format == "yuv444p" else (96, 128)
    encoding = Encoding(pixel_format=pixel_format)
    source, video, _ = opened(write_frames(folder / f"{pixel_format}.mp4", moving_picture(6, *size), encoding))
    left, right = DecordReader(source.file, video).get(3), AvReader(source, video).get(3)
    assert left.shape == (*size, 3)
    # Versions of FFmpeg place the chroma of 10-bit pictures differently.
    assert difference(left, right) < (2.0 if pixel_format == "yuv420p10le" else 0.5)


def test_at_a_variable_rate_the_frame_that_is_shown_is_read(folder: Path) -> None:
    times_s = [0.04 * number if number < 30 else 1.2 + 0.2 * (number - 30) for number in range(50)]
    source, video, _ = opened(write_frames(folder / "vfr.mp4", moving_picture(50), times_s=times_s))
    assert (video.frames, video.timing, video.by_decord) == (50, "variable", False)
    assert video.fps == pytest.approx(50 / 5.2, rel=0.05)
    reader, in_order = AvReader(source, video), DecordReader(source.file, video)
    for milliseconds, number in ((0, 0), (1159, 28), (1160, 29), (1200, 30), (1399, 30), (5100, 49), (9000, 49)):
        assert difference(reader.get(milliseconds), in_order.get(number)) < 0.5


def test_windows_sample_as_the_specification_says_up_to_their_end(folder: Path) -> None:
    source, video, _ = opened(write_frames(folder / "long.mp4", moving_picture(100)))
    frames = FrameSource(source, video, SAMPLING).read(Span(1.0, 3.0))
    assert frames is not None
    assert (frames.pixels.shape, frames.duration_s) == ((4, 84, 140, 3), 2.0)
    reader = DecordReader(source.file, video)
    for pixels, number in zip(frames.pixels, (25, 41, 57, 74), strict=True):  # the specification has 75, at 3.0 s
        assert np.array_equal(pixels, resize_to(reader.get(number), (84, 140)))


def test_a_clock_that_jumps_does_not_count(folder: Path) -> None:
    times_s = [number / 25 if number < 30 else number / 25 + 70 for number in range(50)]
    _, video, info = opened(write_frames(folder / "jump.ts", moving_picture(50), times_s=times_s))
    assert (video.timing, info.duration_s) == ("counted", pytest.approx(2.0, abs=0.1))
    path = write_frames(folder / "joined.mkv", moving_picture(50), Encoding(key_interval=250))
    path.write_bytes(path.read_bytes() * 2)
    _, video, info = opened(path)
    assert (video.timing, video.frames, info.duration_s) == ("variable", 100, pytest.approx(4.0, abs=0.1))


@pytest.mark.parametrize("suffix", [".ogv", ".mkv"])
def test_all_parts_of_a_joined_film_are_seen_and_heard(folder: Path, suffix: str) -> None:
    """The first one has no picture, the second one less sound than picture, and the last one another size and rate."""
    path, tone = folder / f"joined{suffix}", chord(1.0, 48_000)
    start = write_sound(folder / f"start{suffix}", tone, 48_000, "flac", {".mkv": "matroska", ".ogv": "ogg"}[suffix])
    parts = [
        write_av(folder / f"middle{suffix}", moving_picture(16), 8, tone, 48_000),
        write_av(folder / f"end{suffix}", moving_picture(25, 64, 96, seed=1), 25, tone, 48_000),
    ]
    path.write_bytes(b"".join(part.read_bytes() for part in (start, *parts)))
    source, video, info = opened(path)
    assert not info.notes
    assert (info.duration_s, video.start_s, video.frames) == (
        pytest.approx(4.0, abs=0.02),
        pytest.approx(1.0, abs=0.02),
        41,
    )
    reader = JoinedReader(source, video)
    begin_s, numbers = 1.0, [0]
    for part, fps, frames in zip(parts, (8, 25), (16, 25), strict=True):
        alone = AvReader(*opened(part)[:2])
        for number in (0, 5, frames - 1):
            at_ms = 1000 * (begin_s - 1.0 + (number + 0.5) / fps)
            assert np.array_equal(reader.get(round(at_ms)), alone.get(number)), (part, number)
        begin_s += frames / fps
    reader = JoinedReader(source, video)
    while numbers[-1] is not None:
        reader.get(numbers[-1])
        numbers.append(reader.following(numbers[-1]))
    assert len(numbers) == 42
    samples = PacketSound(source, info.tracks[0]).blocks(0)
    heard = np.abs(np.concatenate([block.mean(axis=1) for block in samples]))
    loud = [heard[round(at_s * 48_000) :][:24_000].max() > 0.1 for at_s in (0.25, 1.25, 2.25, 3.25)]
    assert loud == [True, True, False, True]
    frames = FrameSource(source, video, SAMPLING).read(Span(2.0, 4.0))
    assert frames is not None
    assert frames.pixels.shape == (4, 84, 140, 3)


def test_frames_of_negative_times_have_no_time_stamps_in_matroska(folder: Path) -> None:
    path = folder / "negative.mkv"
    with av.open(str(path), "w", options={"avoid_negative_ts": "disabled"}) as container:
        sound = container.add_stream("libmp3lame", rate=32_000, layout="mono")
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for first in range(-48_000, 32_000, 1152):
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 1152), np.float32), "fltp", "mono")
            silence.sample_rate, silence.pts, silence.time_base = 32_000, first, Fraction(1, 32_000)
            container.mux(sound.encode(silence))
        for number, pixels in enumerate(moving_picture(50)):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = number - 25, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux([*stream.encode(), *sound.encode()])
    _, video, _ = opened(path)
    assert video.start_s == pytest.approx(0.5, abs=0.1)


def test_missing_frames_are_replaced_by_the_last_one_before(folder: Path) -> None:
    path = write_frames(folder / "whole.mp4", moving_picture(60), ENCODINGS["mpeg4.mp4"])
    whole_source, whole_video, _ = opened(path)
    data = bytearray(path.read_bytes())
    middle = data.index(b"mdat") + len(data) // 2
    data[middle : middle + 2000] = bytes(2000)
    damaged = folder / "damaged.mp4"
    damaged.write_bytes(data)
    source, video, _ = opened(damaged)
    assert video.frames == 60
    reader = AvReader(source, video)
    assert np.array_equal(reader.get(3), AvReader(whole_source, whole_video).get(3))
    assert reader.get(59).shape == (96, 128, 3)


def test_a_truncated_video_has_the_frames_that_are_there(folder: Path) -> None:
    path = folder / "moov_first.mp4"
    write_av(folder / "full.mov", moving_picture(50), 25, np.zeros((32_000, 1), np.float32), 16_000)
    with av.open(str(folder / "full.mov")) as whole, av.open(str(path), "w", options={"movflags": "faststart"}) as copy:
        stream = copy.add_stream_from_template(whole.streams.video[0])
        for packet in whole.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                copy.mux(packet)
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"mdat") + (len(data) - data.index(b"mdat")) // 2])
    _, video, info = opened(path)
    assert 5 < video.frames < 45
    assert info.duration_s == pytest.approx(video.frames / 25, abs=0.1)


def test_nothing_to_see_is_an_error(folder: Path) -> None:
    path = folder / "noise.mp4"
    path.write_bytes(b"\x00\x00\x00\x20ftypisom" + np.random.default_rng(0).bytes(20_000))
    with pytest.raises(BrokenMediaError, match="cannot be opened as mov"):
        opened(path)
