"""Times of pictures and sounds: those that a player shows, whatever begins, pauses or ends first."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.media_decoding import decode
from tests.media_samples import write_av
from wave_search.media import DecodedSegment, DecoderPool
from wave_search.models.wave.clips import SAMPLING

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
