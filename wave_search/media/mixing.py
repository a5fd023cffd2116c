"""Channels -> one signal: their average, and another mix where the average would cancel them.

The average keeps the level of a sound that all channels share, and is what the models were trained on. It silences what
is in two channels with opposite signs: a microphone connected the wrong way round, or the surround part of a matrix
mix. The rule, for each cell of half a second on a fixed grid:

1. The channels are taken from the loudest to the quietest. Each is compared with the louder channel that it shares
   most with. If the difference of the two has at least four times the energy of their sum (6 dB; for equal levels that
   is a correlation below -0.6), they cancel, and the channel gets the opposite sign of the louder one. If it is the
   other way round, they belong together, and it gets the same sign. Otherwise it keeps its own.
2. The channels are averaged with these signs. In ordinary stereo and surround sound no two channels cancel, and the
   result is the plain average, bit for bit.
3. Where the signs change from one cell to the next, the mix fades within 10 ms, so that there is no click.

A cell and the one before it determine the result, so a range alone is the same as within the file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from wave_search.media.resampling import ChannelSource

MIN_RATE_HZ, MAX_RATE_HZ = 1_000, 1_000_000
_CELLS_PER_S = 2
_MIN_ALIKE = 0.3
"""Share of the energy of two channels, a and b: (a - b)^2 >= 4 (a + b)^2 if -ab >= 0.3 (a^2 + b^2)."""
_FADE_S = 0.01
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
        fade = round(_FADE_S * self.sample_rate_hz)
        signs: NDArray[np.float32] | None = None
        for cell in _cells(self._source.blocks(start), size):
            # A few samples are no evidence.
            previous, signs = signs, signs if signs is not None and len(cell) < size // 2 else aligning_signs(cell)
            mixed = mix(cell, signs)
            if previous is not None and len(previous) == len(signs) and not np.array_equal(previous, signs):
                length = min(fade, len(cell))
                share = np.arange(1, length + 1, dtype=np.float32) / (length + 1)
                mixed[:length] = share * mixed[:length] + (1 - share) * mix(cell[:length], previous)
            yield mixed[max(first - start, 0) :]
            start += len(cell)


def mix(samples: NDArray[np.float32], signs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Average channels.

    Args:
        samples: (samples, channels) float32 in [-1, 1].
        signs: (channels,) 1 or -1.

    Returns:
        (samples,) float32 in [-1, 1].
    """
    signed = samples if (signs > 0).all() else samples * signs
    average: NDArray[np.float32] = signed.mean(axis=1, dtype=np.float32)
    return average


def aligning_signs(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the signs with which to average channels: all 1, unless they cancel.

    Args:
        samples: (samples, channels).

    Returns:
        (channels,) 1 or -1.
    """
    channels = samples.shape[1]
    plain = np.ones(channels, dtype=np.float32)
    if channels == 1:
        return plain
    wide = samples.astype(np.float64)
    shared = wide.T @ wide
    energies = np.diag(shared)
    if energies.sum() <= _INAUDIBLE * samples.size:
        return plain
    order = np.argsort(-energies, kind="stable")
    for number, channel in enumerate(order[1:], 1):
        louder = order[:number][np.argmax(np.abs(shared[channel, order[:number]]))]
        alike = shared[channel, louder] / (energies[channel] + energies[louder])
        if abs(alike) >= _MIN_ALIKE:
            plain[channel] = plain[louder] * np.sign(alike)
    return plain


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
