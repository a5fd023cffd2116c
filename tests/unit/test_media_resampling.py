"""Sound of any rate as one signal."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.media_samples import chord
from wave_search.media.resampling import Resampled

TARGET_HZ = 16_000


class Signal:
    """A source in memory that gives blocks of an odd size."""

    def __init__(self, samples: NDArray[np.float32], sample_rate_hz: int) -> None:
        self.samples = samples
        self.sample_rate_hz = sample_rate_hz

    def blocks(self, first: int) -> Iterator[NDArray[np.float32]]:
        for start in range(first, len(self.samples), 4999):
            yield self.samples[start : start + 4999]


@pytest.mark.parametrize("rate_hz", [8000, 11_025, 16_000, 44_100, 192_000])
def test_a_range_alone_is_the_same_as_within_the_stream(rate_hz: int) -> None:
    signal = Signal(chord(33.3, rate_hz)[:, 0], rate_hz)
    stream = Resampled(signal, TARGET_HZ)
    spans = [(0.0, 7.0), (7.0, 14.0), (14.0, 25.3), (25.3, 40.0)]
    for start_s, stop_s in spans:
        streamed = stream.read(start_s, stop_s)
        alone = Resampled(signal, TARGET_HZ).read(start_s, stop_s)
        assert np.array_equal(streamed, alone)


def test_ranges_have_exact_lengths_and_join_without_a_seam() -> None:
    signal = Signal(chord(25.0, 44_100)[:, 0], 44_100)
    whole = Resampled(signal, TARGET_HZ).read(0.0, 25.0)
    stream = Resampled(signal, TARGET_HZ)
    parts = [stream.read(start_s, start_s + 2.5) for start_s in np.arange(0, 25, 2.5)]
    assert [len(part) for part in parts] == [40_000] * 10
    assert np.array_equal(np.concatenate(parts), whole)
    # The chirp of the right rate, also where the pieces of 10 s meet.
    assert np.abs(whole - chord(25.0, TARGET_HZ)[:, 0])[100:-100].max() < 1e-3


def test_the_end_of_the_sound_is_the_end() -> None:
    stream = Resampled(Signal(chord(10.5, 8000)[:, 0], 8000), TARGET_HZ)
    assert len(stream.read(0.0, 10.0)) == 160_000
    assert abs(len(stream.read(10.0, 20.0)) - 8000) <= 1
    assert len(stream.read(20.0, 30.0)) == 0


def test_the_same_rate_is_left_alone() -> None:
    samples = chord(21.0, TARGET_HZ)[:, 0]
    assert np.array_equal(Resampled(Signal(samples, TARGET_HZ), TARGET_HZ).read(3.0, 20.0), samples[48_000:320_000])
