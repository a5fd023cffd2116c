"""Channels -> one signal: their average, and another mix where the average would cancel them.

The average keeps the level of a sound that all channels share, and is what the models were trained on. It silences what
is in two channels with opposite signs: a microphone connected the wrong way round, or the surround part of a matrix
mix. The rule, for each frame of a second, every half second on a fixed grid:

1. The spectrum of the frame is divided into bands. In each, every channel is compared with the channel before it that
   it shares most with. If the difference of the two has at least nine times the energy of their sum (9.5 dB; for equal
   levels that is a correlation below -0.8), they cancel, and the channel gets the opposite sign of the other one in
   this band. If it is the other way round, they belong together, and it gets the same sign. Otherwise it keeps its own.
2. If the bands in which channels cancel have at least 15 % of the energy, the channels are averaged with these signs.
   Otherwise, as in ordinary stereo and surround sound, the result is the plain average, bit for bit.
3. Frames fade into each other.

A cell of half a second is in two frames. It, the one before and the one after it determine the result, so a range
alone is the same as within the file.
"""

from __future__ import annotations

import functools
import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from wave_search.media.resampling import ChannelSource

MIN_RATE_HZ, MAX_RATE_HZ = 1_000, 1_000_000
_CELLS_PER_S = 2
_MIN_ALIKE = 0.4
"""Share of the energy of two channels, a and b: (a - b)^2 >= 9 (a + b)^2 if -ab >= 0.4 (a^2 + b^2)."""
_MIN_SHARE = 0.15
"""Less energy may seem to cancel by chance, or by the distance of two microphones."""
_BAND_HZ, _BAND_RATIO = 20.0, 1.05
"""Width of low bands, and the upper end of others divided by the lower one."""
_INAUDIBLE = 1e-8
"""Mean square (-80 dB of full scale) up to which it does not matter what cancels."""


class Mixed:
    """The sound of a file as one signal. A `MonoSource`."""

    def __init__(self, source: ChannelSource) -> None:
        self._source = source
        self.sample_rate_hz = source.sample_rate_hz

    def blocks(self, first: int) -> Iterator[NDArray[np.float32]]:
        """Decode from sample `first` to the end. See `MonoSource`."""
        size = max(1, self.sample_rate_hz // _CELLS_PER_S)
        start = max(0, first // size - 1) * size
        cells = itertools.chain([None], _cells(self._source.blocks(start), size), [None])
        faded_out: NDArray[np.float32] | None = None
        for cell, following in itertools.pairwise(cells):
            correction = cancelled(_frame(cell, following, size), self.sample_rate_hz)
            if cell is not None:
                mixed = cell.mean(axis=1, dtype=np.float32)
                for part in (faded_out, None if correction is None else correction[:size]):
                    mixed = mixed if part is None else mixed + part[: len(mixed)]
                yield mixed[max(first - start, 0) :].clip(-1.0, 1.0)
                start += len(cell)
            faded_out = None if correction is None else correction[size:]


def cancelled(frame: NDArray[np.float32], sample_rate_hz: int) -> NDArray[np.float32] | None:
    """Return what the average of channels lacks because they cancel.

    Args:
        frame: (samples, channels) float32.
        sample_rate_hz: of it.

    Returns:
        (samples,) float32, faded in and out, to be added to the average; None if nothing is lacking.
    """
    length, channels = frame.shape
    if channels == 1 or np.square(frame).mean() <= _INAUDIBLE:
        return None
    average = frame.mean(axis=1, dtype=np.float32)
    energy, kept = np.vdot(frame, frame), channels * np.vdot(average, average)
    if energy - kept < _MIN_SHARE / 2 * energy:  # hardly a difference between channels
        return None
    spectrum = np.fft.rfft(frame.T * _window(length))
    starts = _band_starts(len(spectrum[0]), sample_rate_hz / length)
    shared = _shared(spectrum, starts)
    signs = aligning_signs(shared)
    energies = np.trace(shared)
    if energies[(signs < 0).any(axis=0)].sum() < _MIN_SHARE * energies.sum():
        return None
    gains = np.repeat((signs - 1) / channels, np.diff([*starts, len(spectrum[0])]), axis=1)
    lacking: NDArray[np.float32] = np.fft.irfft((spectrum * gains).sum(axis=0), length).astype(np.float32)
    return lacking


def aligning_signs(shared: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the signs with which to average channels: all 1, unless they cancel.

    Args:
        shared: (channels, channels, bands) sums of the products of their samples.

    Returns:
        (channels, bands) 1 or -1.
    """
    channels, _, bands = shared.shape
    signs = np.ones((channels, bands), dtype=np.float32)
    band = np.arange(bands)
    for channel in range(1, channels):
        other = np.abs(shared[channel, :channel]).argmax(axis=0)
        both = shared[channel, channel] + shared[other, other, band]
        product = shared[channel, other, band]
        decided = (np.abs(product) >= _MIN_ALIKE * both) & (both > 0)
        signs[channel] = np.where(decided, signs[other, band] * np.sign(product), 1)
    return signs


def _shared(spectrum: NDArray[np.complexfloating[Any, Any]], starts: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the sums of the products of channels in each band: (channels, channels, bands)."""
    channels = len(spectrum)
    shared = np.empty((channels, channels, len(starts)), dtype=np.float32)
    for one, other in itertools.combinations_with_replacement(range(channels), 2):
        product = (spectrum[one] * spectrum[other].conj()).real
        shared[one, other] = shared[other, one] = np.add.reduceat(product, starts)
    return shared


@functools.lru_cache(4)  # a megabyte at high sample rates, of which a worker may see any number
def _window(length: int) -> NDArray[np.float32]:
    """Return a window that adds up to 1 with itself half its length later."""
    window: NDArray[np.float32] = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)).astype(np.float32)
    return window


@functools.lru_cache(4)  # a megabyte at high sample rates, of which a worker may see any number
def _band_starts(numbers: int, step_hz: float) -> NDArray[np.int64]:
    """Return the first of the numbers of a spectrum in each band: (bands,) ascending."""
    edges_hz = [0.0]
    while edges_hz[-1] < numbers * step_hz:
        edges_hz.append(max(edges_hz[-1] + _BAND_HZ, edges_hz[-1] * _BAND_RATIO))
    return np.unique(np.ceil(np.array(edges_hz[:-1]) / step_hz).astype(np.int64).clip(0, numbers - 1))


def _frame(cell: NDArray[np.float32] | None, following: NDArray[np.float32] | None, size: int) -> NDArray[np.float32]:
    """Join two cells, with silence for those that are missing or short: (2 size, channels)."""
    there = [block for block in (cell, following) if block is not None]
    frame = np.zeros((2 * size, max((block.shape[1] for block in there), default=1)), dtype=np.float32)
    for start, block in ((0, cell), (size, following)):
        if block is not None:
            frame[start : start + len(block)] = with_channels(block, frame.shape[1])
    return frame


def samples_of(frame: Any) -> NDArray[np.float32]:
    """Convert a frame of PyAV to (samples, channels) float32 in [-1, 1]."""
    array = frame.to_ndarray()
    channels = frame.layout.nb_channels
    array = array.T if frame.format.is_planar else array.reshape(-1, channels)
    if array.dtype == np.uint8:
        array = (array.astype(np.float32) - 128) / 128
    elif array.dtype.kind == "i":
        array = array / float(np.iinfo(array.dtype).max + 1)
    samples: NDArray[np.float32] = array.astype(np.float32)
    return samples


def finite(block: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return samples in [-1, 1]: NaN and infinity become 0, other values are clipped."""
    clean: NDArray[np.float32] = np.clip(np.nan_to_num(block, nan=0.0, posinf=0.0, neginf=0.0), -1.0, 1.0)
    return clean


def with_channels(block: NDArray[np.float32], channels: int) -> NDArray[np.float32]:
    """Repeat the average of a block with fewer channels: (samples, channels)."""
    if block.shape[1] == channels:
        return block
    return np.repeat(block.mean(axis=1, dtype=np.float32, keepdims=True), channels, axis=1)


def _cells(blocks: Iterator[NDArray[np.float32]], size: int) -> Iterator[NDArray[np.float32]]:
    """Cut blocks into cells of `size` samples, the last one shorter."""
    held: list[NDArray[np.float32]] = []
    length = 0
    for block in blocks:
        held.append(block)
        length += len(block)
        if length < size:
            continue
        joined = _joined(held)
        stop = length - length % size
        yield from (joined[start : start + size] for start in range(0, stop, size))
        held, length = [joined[stop:]], length - stop
    if length:
        yield _joined(held)


def _joined(blocks: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    channels = max(block.shape[1] for block in blocks)
    return np.concatenate([with_channels(block, channels) for block in blocks])
