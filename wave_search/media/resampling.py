"""Resampling of audio to the rate of the model.

The signal of a file is resampled in blocks on a fixed grid, each with a margin on both sides. The samples of a range
therefore depend only on the file and the range, not on earlier reads, and memory does not grow with the file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_BLOCK_S = 10
_MARGIN_S = 1


class MonoSource(Protocol):
    """Audio of a file at its own sample rate, mono."""

    @property
    def sample_rate_hz(self) -> int:
        """Sample rate of the file."""

    def blocks(self, first: int) -> Iterator[NDArray[np.float32]]:
        """Decode from sample `first` of the file to the end: (n,) float32 in [-1, 1]."""


class ChannelSource(Protocol):
    """Audio of a file at its own sample rate."""

    @property
    def sample_rate_hz(self) -> int:
        """Sample rate of the file."""

    def blocks(self, first: int) -> Iterator[NDArray[np.float32]]:
        """Decode from sample `first` of the file to the end: (n, channels) float32 in [-1, 1]."""


class Resampled:
    """The signal of a file at another rate, read in ascending order.

    Args:
        source: the signal of the file.
        sample_rate_hz: rate of the result.
    """

    def __init__(self, source: MonoSource, sample_rate_hz: int) -> None:
        self._buffer = _Buffer(source)
        self._from_hz, self._to_hz = source.sample_rate_hz, sample_rate_hz
        self._newest: tuple[int, NDArray[np.float32]] | None = None

    def read(self, start_s: float, stop_s: float) -> NDArray[np.float32]:
        """Return the samples of a range.

        Args:
            start_s: must not be before the range of the previous call.
            stop_s: end of the range; past the end of the signal there are no samples.

        Returns:
            (n,) float32 in [-1, 1], from sample round(start_s * rate) to round(stop_s * rate).
        """
        start, stop = round(start_s * self._to_hz), round(stop_s * self._to_hz)
        size = _BLOCK_S * self._to_hz
        parts = [np.zeros(0, dtype=np.float32)]
        for number in range(start // size, -(-stop // size)):
            block = self._block(number)
            first = number * size
            parts.append(block[max(start - first, 0) : stop - first])
            if len(block) < size:
                break
        return np.concatenate(parts)

    def _block(self, number: int) -> NDArray[np.float32]:
        if self._newest is None or self._newest[0] != number:
            self._newest = (number, self._resample(number))
        return self._newest[1]

    def _resample(self, number: int) -> NDArray[np.float32]:
        begin_s = number * _BLOCK_S
        if self._from_hz == self._to_hz:
            return self._buffer.take(begin_s * self._from_hz, (begin_s + _BLOCK_S) * self._from_hz)
        import soxr

        from_s = max(0, begin_s - _MARGIN_S)
        stop_s = begin_s + _BLOCK_S + _MARGIN_S
        native = self._buffer.take(from_s * self._from_hz, stop_s * self._from_hz)
        resampled: NDArray[np.float32] = soxr.resample(native, self._from_hz, self._to_hz, quality="HQ")
        first = (begin_s - from_s) * self._to_hz
        return np.clip(resampled[first : first + _BLOCK_S * self._to_hz], -1.0, 1.0)


class _Buffer:
    """A sliding window over the samples of a source."""

    def __init__(self, source: MonoSource) -> None:
        self._source = source
        self._blocks: Iterator[NDArray[np.float32]] | None = None
        self._held = np.zeros(0, dtype=np.float32)
        self._first = 0

    def take(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return samples [start, stop), fewer at the end of the signal; `start` must not decrease."""
        if self._blocks is None:
            self._blocks, self._first = self._source.blocks(start), start
        parts, end = [self._held], self._first + len(self._held)
        while end < stop and (block := next(self._blocks, None)) is not None:
            parts.append(block)
            end += len(block)
        self._held = np.concatenate(parts)[start - self._first :]
        self._first = start
        return self._held[: stop - start]
