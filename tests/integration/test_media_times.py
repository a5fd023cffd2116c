"""Times of pictures and sounds: those that a player shows, whatever begins, pauses or ends first."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from tests.media_decoding import decode
from tests.media_samples import Encoding, moving_picture, write_av, write_frames
from wave_search.media import DecodedSegment, DecoderPool
from wave_search.models.wave.clips import SAMPLING
from wave_search.types import Span

RATE_HZ = 48_000
COLOURS = {"red": (230, 20, 20), "green": (20, 130, 20), "blue": (20, 20, 230)}


@pytest.fixture(scope="module")
def decoders() -> Iterator[DecoderPool]:
    with DecoderPool(1, SAMPLING) as running:
        yield running


def plain(*scenes: tuple[str, int]) -> np.ndarray:
    """Frames of one colour each: (frames, 48, 64, 3) RGB."""
    return np.concatenate([np.broadcast_to(np.uint8(COLOURS[name]), (count, 48, 64, 3)) for name, count in scenes])


def tones(*scenes: tuple[int, float]) -> np.ndarray:
    """Tones of a frequency in Hz for some seconds each; 0 Hz is silence: (samples, 1)."""
    parts = [0.4 * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE_HZ)) / RATE_HZ) for hz, seconds in scenes]
    return np.concatenate(parts)[:, None].astype(np.float32)


def seen(segment: DecodedSegment) -> list[str]:
    """Colours of the frames of a segment, in order, without repetitions."""
    names: list[str] = []
    for pixels in segment.clip.frames.pixels if segment.clip.frames else []:
        colour = pixels.reshape(-1, 3).mean(axis=0)
        name = min(COLOURS, key=lambda other: float(np.abs(colour - COLOURS[other]).sum()))
        names += [name] if names[-1:] != [name] else []
    return names


def heard(segment: DecodedSegment) -> int:
    """The loudest frequency of a segment in hundreds of Hz; 0 for silence."""
    samples = segment.clip.waveform.samples if segment.clip.waveform else np.zeros(1)
    if np.abs(samples).max() < 0.05:
        return 0
    strengths = np.abs(np.fft.rfft(samples))
    return round(float(strengths.argmax()) / len(samples) * SAMPLING.sample_rate_hz / 100)


@pytest.mark.parametrize("suffix", [".mkv", ".mov", ".mp4", ".ts"])
def test_sound_before_the_picture_is_heard_at_its_time(decoders: DecoderPool, tmp_path: Path, suffix: str) -> None:
    path = write_av(
        tmp_path / f"late_picture{suffix}",
        plain(("red", 20), ("green", 20)),
        10,
        tones((400, 2), (800, 2), (1200, 2)),
        RATE_HZ,
        times_s=[2 + number / 10 for number in range(40)],
    )
    info, segments = decode(decoders, path, "2")
    assert info.duration_s == pytest.approx(6.0, abs=0.1)
    assert [heard(segment) for segment in segments] == [4, 8, 12]
    assert [seen(segment) for segment in segments] == [[], ["red"], ["green"]]


@pytest.mark.parametrize("suffix", [".mkv", ".mov", ".mp4", ".ts"])
def test_a_picture_before_the_sound_is_seen_in_silence(decoders: DecoderPool, tmp_path: Path, suffix: str) -> None:
    path = write_av(
        tmp_path / f"late_sound{suffix}",
        plain(("red", 20), ("green", 20), ("blue", 20)),
        10,
        tones((400, 2), (800, 2)),
        RATE_HZ,
        sound_start_s=2.0,
    )
    _, segments = decode(decoders, path, "2")
    assert [heard(segment) for segment in segments] == [0, 4, 8]
    assert [seen(segment) for segment in segments] == [["red"], ["green"], ["blue"]]


def slow_then(colours: tuple[str, str]) -> tuple[np.ndarray, list[float]]:
    """Frames and times: the first colour for 4 s at 30 frames per second, the other for 4 s at 1 frame per second."""
    return plain((colours[0], 120), (colours[1], 4)), [number / 30 for number in range(120)] + [4.0, 5.0, 6.0, 7.0]


@pytest.mark.parametrize("suffix", [".mkv", ".mov", ".mp4", ".ts"])
def test_at_a_variable_rate_the_picture_belongs_to_the_sound(
    decoders: DecoderPool, tmp_path: Path, suffix: str
) -> None:
    frames, times_s = slow_then(("red", "blue"))
    path = write_av(tmp_path / f"vfr{suffix}", frames, 30, tones((400, 4), (800, 4)), RATE_HZ, times_s=times_s)
    info, segments = decode(decoders, path, "2")
    assert info.duration_s == pytest.approx(8.0, abs=0.1)
    # In a transport stream, the picture begins some milliseconds after the sound.
    shown = [(seen(segment)[-1], heard(segment)) for segment in segments]
    assert shown == [("red", 4), ("red", 4), ("blue", 8), ("blue", 8)]
    _, (whole,) = decode(decoders, path, "none")
    assert whole.clip.frames is not None
    assert len(whole.clip.frames.pixels) == 16
    assert np.argmax(whole.clip.frames.pixels[:, 0, 0, 2] > 128) == 8


def test_slides_are_shown_until_the_next_one_and_the_last_one_until_the_end(
    decoders: DecoderPool, tmp_path: Path
) -> None:
    slides = plain(("red", 1), ("green", 1), ("blue", 1))
    silent = write_frames(tmp_path / "slides.mp4", slides, times_s=[0.0, 12.0, 100.0])
    info, segments = decode(decoders, silent, "10")
    assert info.duration_s == pytest.approx(100.0, abs=0.1)
    assert [seen(segment) for segment in segments][:3] == [["red"], ["red", "green"], ["green"]]
    assert len(segments) == 10
    loud = write_av(tmp_path / "slides.mkv", slides, 25, tones((400, 30)), RATE_HZ, times_s=[0.0, 3.0, 20.0])
    info, segments = decode(decoders, loud, "5")
    assert [seen(segment) for segment in segments] == [["red", "green"], *[["green"]] * 3, ["blue"], ["blue"]]


def test_a_broadcast_of_one_frame_begins_with_it(decoders: DecoderPool, tmp_path: Path) -> None:
    path = write_frames(tmp_path / "a.ts", moving_picture(1), Encoding("mpeg2video"))
    info, (segment,) = decode(decoders, path, "none")
    assert info.video is not None
    assert (info.video.start_s, info.duration_s) == (0.0, pytest.approx(0.04))
    assert seen(segment)


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".ts"])
def test_a_still_is_a_picture_as_long_as_the_sound(decoders: DecoderPool, tmp_path: Path, suffix: str) -> None:
    path = write_av(tmp_path / f"still{suffix}", plain(("red", 1)), 25, tones((400, 30), (800, 31)), RATE_HZ)
    info, segments = decode(decoders, path, "10")
    assert info.duration_s == pytest.approx(61.0, abs=0.1)
    assert [(seen(segment), heard(segment)) for segment in segments[:6]] == [(["red"], 4)] * 3 + [(["red"], 8)] * 3
    assert all(len(segment.clip.frames.pixels) == 20 for segment in segments[:6] if segment.clip.frames)


def test_frames_at_the_end_of_a_range_belong_to_the_next_one(decoders: DecoderPool, tmp_path: Path) -> None:
    frames = plain(("red", 10), ("green", 10), ("blue", 10))
    constant = write_frames(tmp_path / "constant.mkv", frames, times_s=[number / 10 for number in range(30)])
    variable = write_frames(
        tmp_path / "variable.mkv", frames, times_s=[number / 10 + 0.04 for number in range(29)] + [2.99]
    )
    for path in (constant, variable):
        _, segments = decode(decoders, path, "1")
        assert [seen(segment) for segment in segments] == [["red"], ["green"], ["blue"]]
    _, (part,) = decode(decoders, constant, "none", Span(0.95, 1.05))  # less than two frames
    assert seen(part) in (["red", "green"], ["green"])


def test_a_range_within_a_frame_shows_that_frame(decoders: DecoderPool, tmp_path: Path) -> None:
    slow = write_frames(tmp_path / "slow.mp4", plain(("red", 1), ("green", 1), ("blue", 1)), times_s=[0.0, 5.0, 10.0])
    for start_s, colour in ((1.0, "red"), (3.5, "red"), (5.0, "green"), (8.5, "green")):
        _, (part,) = decode(decoders, slow, "none", Span(start_s, start_s + 1))
        assert seen(part) == [colour]
        assert part.clip.frames is not None
        assert part.clip.frames.duration_s == pytest.approx(1.0)


def test_scenes_of_a_variable_rate_begin_at_their_times(decoders: DecoderPool, tmp_path: Path) -> None:
    pytest.importorskip("scenedetect")
    frames, times_s = slow_then(("red", "blue"))
    path = write_frames(tmp_path / "scenes.mkv", frames, times_s=times_s)
    _, segments = decode(decoders, path, "scene")
    assert [segment.span.start_s for segment in segments if segment.span] == [0.0, pytest.approx(4.0, abs=0.01)]
    assert [seen(segment) for segment in segments] == [["red"], ["blue"]]


@pytest.mark.parametrize("suffix", ["mov", "mkv"])
def test_the_time_code_is_that_of_the_source(decoders: DecoderPool, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"camera.{suffix}"
    with av.open(str(path), "w") as container:
        container.metadata["timecode"] = "10:00:00:12"
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height = 64, 48
        for frame in plain(("red", 5)):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    assert decoders.identify(path).timecode == "10:00:00:12"
    assert decoders.identify(write_frames(tmp_path / "none.mp4", plain(("red", 5)))).timecode is None


@pytest.mark.parametrize(
    ("samples", "timecode"),
    [
        (10 * 3600 * 8000 + 4001, "10:00:00.500125"),
        (24 * 3600 * 8000 - 1, "23:59:59.999875"),
        (24 * 3600 * 8000, None),
        (2**64 - 1, None),
        (0, None),
    ],
)
@pytest.mark.parametrize("is_last", [False, True])
def test_the_time_code_of_broadcast_wave_is_that_of_its_first_sample(
    decoders: DecoderPool, tmp_path: Path, samples: int, timecode: str | None, is_last: bool
) -> None:
    plain_wav = io.BytesIO()
    soundfile.write(plain_wav, np.zeros(800, np.int16), 8000, format="WAV")
    riff = plain_wav.getvalue()
    bext = b"bext" + struct.pack("<I", 602) + struct.pack("<338xQH254x", samples, 1)
    path = tmp_path / "recorder.wav"
    path.write_bytes(riff + bext if is_last else riff[:12] + bext + riff[12:])
    assert decoders.identify(path).timecode == timecode
