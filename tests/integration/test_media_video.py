"""Frames of real encodings: the same through decord and PyAV, upright, and repeatable."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.media_samples import ENCODINGS, Encoding, moving_picture, rotate_mp4, write_av, write_frames
from wave_search.errors import BrokenMediaError
from wave_search.media.demux import VideoPackets, choose_video, open_container, scan_packets
from wave_search.media.info import MediaInfo
from wave_search.media.probe import probe
from wave_search.media.source import Source, open_regular
from wave_search.media.video import AvReader, DecordFailed, DecordReader, FrameSource, suits_decord
from wave_search.models.wave.clips import SAMPLING
from wave_search.types import Span

FRAMES = 70
BY_DECORD = {
    "h264.mp4",
    "h264_full_range.mkv",
    "hevc_closed.mp4",
    "vp8.webm",
    "vp9.webm",
    "mjpeg.mov",
    "mpeg4.avi",
    "mpeg4.mp4",
}
"""The others hold groups of pictures that decord 0.6.0 does not seek in, or are formats that it does not read."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("videos")


@pytest.fixture(scope="module", params=ENCODINGS)
def encoded(request: pytest.FixtureRequest, folder: Path) -> Path:
    return write_frames(folder / request.param, moving_picture(FRAMES), ENCODINGS[request.param])


def opened(path: Path) -> tuple[Source, VideoPackets, MediaInfo]:
    file = open_regular(path)
    info = probe(path, file, path.stat().st_size)
    source = Source(path, file, info.container)
    container = open_container(source)
    packets, _ = scan_packets(container, choose_video(container), None)
    assert packets is not None
    return source, packets, info


def difference(left: np.ndarray, right: np.ndarray) -> float:
    assert left.shape == right.shape
    return float(np.abs(left.astype(float) - right).mean())


def test_probing_counts_frames_and_finds_the_size(encoded: Path) -> None:
    _, _, info = opened(encoded)
    assert info.video is not None
    assert (info.kind, info.video.frames, info.video.width, info.video.height) == ("video", FRAMES, 128, 96)
    assert info.video.fps == 25.0
    assert info.duration_s == FRAMES / 25


def test_frames_are_those_that_were_encoded(encoded: Path) -> None:
    source, packets, _ = opened(encoded)
    reader = AvReader(source, packets)
    original = moving_picture(FRAMES)
    for number in (0, 1, 19, 20, 39, 69):
        frame = reader.get(number)
        nearest = min(range(FRAMES), key=lambda other: difference(frame, original[other]))
        assert nearest == number


def test_seeking_gives_the_same_frames_as_reading_through(encoded: Path) -> None:
    source, packets, _ = opened(encoded)
    through = AvReader(source, packets)
    for number in (3, 17, 20, 22, 38, 41, 59, 69):
        assert np.array_equal(AvReader(source, packets).get(number), through.get(number))


def test_decord_and_pyav_agree(encoded: Path) -> None:
    source, packets, info = opened(encoded)
    assert info.video is not None
    assert suits_decord(source.demuxer, packets) is (encoded.name in BY_DECORD | {"av1.mkv"})
    if encoded.name not in BY_DECORD:
        return
    by_decord, by_av = DecordReader(source.file, info.video), AvReader(source, packets)
    for number in (0, 7, 21, 40, 69):
        left, right = by_decord.get(number), by_av.get(number)
        assert difference(left, right) < 0.5
        assert np.abs(left.astype(int) - right).max() <= 4


def test_decord_says_what_it_cannot_read(folder: Path) -> None:
    source, _, info = opened(write_frames(folder / "other.mkv", moving_picture(5), ENCODINGS["av1.mkv"]))
    assert info.video is not None
    with pytest.raises(DecordFailed):
        DecordReader(source.file, info.video)


def test_tiny_frames_that_decord_garbles_go_to_pyav(folder: Path) -> None:
    path = write_frames(folder / "tiny.mp4", moving_picture(6, 16, 16))
    source, packets, info = opened(path)
    assert info.video is not None
    with pytest.raises(DecordFailed):
        DecordReader(source.file, info.video).get(0)
    frames = FrameSource(source, packets, info.video, SAMPLING).read(Span(0.0, 1.0))
    assert frames is not None
    assert frames.pixels.shape[1:] == (28, 28, 3)


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_both_turn_rotated_video_upright(folder: Path, degrees: int) -> None:
    plain = write_frames(folder / "plain.mp4", moving_picture(5))
    source, packets, info = opened(rotate_mp4(plain, folder / f"turned_{degrees}.mp4", degrees))
    assert info.video is not None
    assert (info.video.width, info.video.height) == ((128, 96) if degrees == 180 else (96, 128))
    plain_source, plain_packets, _ = opened(plain)
    for number in range(5):
        upright = np.rot90(AvReader(plain_source, plain_packets).get(number), -degrees // 90)
        assert np.array_equal(AvReader(source, packets).get(number), upright)
        assert difference(DecordReader(source.file, info.video).get(number), upright) < 0.5


@pytest.mark.parametrize("pixel_format", ["yuv444p", "yuv420p10le"])
def test_odd_formats_agree(folder: Path, pixel_format: str) -> None:
    size = (95, 127) if pixel_format == "yuv444p" else (96, 128)
    encoding = Encoding(pixel_format=pixel_format)
    source, packets, info = opened(write_frames(folder / f"{pixel_format}.mp4", moving_picture(6, *size), encoding))
    assert info.video is not None
    left, right = DecordReader(source.file, info.video).get(3), AvReader(source, packets).get(3)
    assert left.shape == (*size, 3)
    # Versions of FFmpeg place the chroma of 10-bit pictures differently.
    assert difference(left, right) < (2.0 if pixel_format == "yuv420p10le" else 0.5)


def test_variable_frame_rate_counts_frames(folder: Path) -> None:
    times_s = [0.04 * number if number < 30 else 1.2 + 0.2 * (number - 30) for number in range(50)]
    source, packets, info = opened(write_frames(folder / "vfr.mp4", moving_picture(50), times_s=times_s))
    assert info.video is not None
    assert info.video.frames == 50
    import decord  # not before PyAV: see wave_search.media.video

    assert info.video.fps == pytest.approx(decord.VideoReader(str(source.path)).get_avg_fps())
    assert info.video.fps == pytest.approx(50 / 5.1, rel=0.1)
    for number in (0, 29, 30, 49):
        left = DecordReader(source.file, info.video).get(number)
        assert difference(left, AvReader(source, packets).get(number)) < 0.5


def test_windows_sample_as_the_specification_says(folder: Path) -> None:
    source, packets, info = opened(write_frames(folder / "long.mp4", moving_picture(100)))
    assert info.video is not None
    frames = FrameSource(source, packets, info.video, SAMPLING).read(Span(1.0, 3.0))
    assert frames is not None
    assert (frames.pixels.shape, frames.duration_s) == ((4, 84, 140, 3), 2.0)
    assert FrameSource(source, packets, info.video, SAMPLING).read(Span(4.0, 9.0)) is None


def test_the_time_stamps_of_a_broken_clock_do_not_count(folder: Path) -> None:
    times_s = [number / 25 if number < 30 else number / 25 + 40_000 for number in range(50)]
    _, _, info = opened(write_frames(folder / "jump.mkv", moving_picture(50), times_s=times_s))
    assert info.duration_s == pytest.approx(2.0, abs=0.1)


def test_missing_frames_are_replaced_by_the_last_one_before(folder: Path) -> None:
    path = write_frames(folder / "whole.mp4", moving_picture(60), ENCODINGS["mpeg4.mp4"])
    whole_source, whole_packets, _ = opened(path)
    data = bytearray(path.read_bytes())
    middle = data.index(b"mdat") + len(data) // 2
    data[middle : middle + 2000] = bytes(2000)
    damaged = folder / "damaged.mp4"
    damaged.write_bytes(data)
    source, packets, info = opened(damaged)
    assert info.video is not None
    assert info.video.frames == 60
    reader = AvReader(source, packets)
    assert np.array_equal(reader.get(3), AvReader(whole_source, whole_packets).get(3))
    assert reader.get(59).shape == (96, 128, 3)


def test_a_truncated_video_has_the_frames_that_are_there(folder: Path) -> None:
    path = folder / "moov_first.mp4"
    write_av(folder / "full.mov", moving_picture(50), 25, np.zeros((32_000, 1), np.float32), 16_000)
    import av

    with av.open(str(folder / "full.mov")) as whole, av.open(str(path), "w", options={"movflags": "faststart"}) as copy:
        stream = copy.add_stream_from_template(whole.streams.video[0])
        for packet in whole.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                copy.mux(packet)
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"mdat") + (len(data) - data.index(b"mdat")) // 2])
    _, _, info = opened(path)
    assert info.video is not None
    assert 5 < info.video.frames < 45
    assert info.duration_s == info.video.frames / 25


def test_nothing_to_see_is_an_error(folder: Path) -> None:
    path = folder / "noise.mp4"
    path.write_bytes(b"\x00\x00\x00\x20ftypisom" + np.random.default_rng(0).bytes(20_000))
    with pytest.raises(BrokenMediaError, match="cannot be opened as mov"):
        opened(path)
