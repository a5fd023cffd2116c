"""Arrays and encoded bytes from memory as media: what callers have is brought into the form that files are decoded to.

Sizes, rates and types may be any; samples and pixels then pass the same code as those of files, so that a file and its
decoded content get the same vectors.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from wave_search.arguments import is_pillow
from wave_search.errors import UsageError, shown
from wave_search.media.image import MAX_PIXELS, on_white, upright
from wave_search.media.mixing import MAX_RATE_HZ, MIN_RATE_HZ, Mixed
from wave_search.media.resampling import Resampled
from wave_search.media.sampling import policy_of, resize_to
from wave_search.media.timeline import MAX_DURATION_S
from wave_search.types import Clip, Frames, Span, Waveform

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from wave_search.media.segmentation import Segmentation
    from wave_search.types import Sampling

_MOST_CHANNELS = 32
_LOUDEST = 8.0
"""Samples beyond it are not scaled to [-1, 1], as 16-bit samples that were merely converted to floats."""
_PIXELS = "Use (height, width, 3) of uint8, or of floats in [0, 1]."
_SAMPLES = "Use (samples,) or (samples, channels) of floats in [-1, 1], or of int16."


def read_picture(item: Any) -> NDArray[np.uint8]:
    """Return a picture as it is decoded from a file.

    Args:
        item: an image of Pillow, or an array: (height, width), or (height, width, channels) with 1, 3 or 4 channels,
            of uint8, uint16, bool, or of floats in [0, 1]. Transparency is blended onto white.

    Returns:
        (height, width, 3) uint8 RGB.

    Raises:
        UsageError: it is no picture.
    """
    if is_pillow(item):
        image: Any = item
        _check_size(image.width, image.height, image)
        try:
            return np.asarray(on_white(upright(image)))
        except (OSError, ValueError) as error:  # it is closed, cut off, or of an odd mode
            raise UsageError(f"{shown(image)} cannot be read ({error})", _PIXELS) from error
    return _rgb(_array(item, "a picture", _PIXELS), item, 3)


def read_frames(frames: Frames) -> Frames:
    """Return frames as they are decoded from a file, but for their size and number.

    Args:
        frames: pixels as for `read_picture`, for each frame.

    Raises:
        UsageError: they are no frames, or their duration is not above 0.
    """
    if not _is_real(frames.duration_s) or not 0 < frames.duration_s <= MAX_DURATION_S:
        limit = f"a number of seconds above 0 and up to {MAX_DURATION_S:,.0f}"
        raise UsageError(f"the duration of frames must be {limit}, got {shown(frames.duration_s)}")
    return Frames(_rgb(_array(frames.pixels, "frames", _PIXELS), frames.pixels, 4), float(frames.duration_s))


def read_sound(samples: Any, sample_rate_hz: Any) -> Waveform:
    """Return samples as they are decoded from a file, mixed to one channel, at their own rate.

    Args:
        samples: (samples,), (samples, channels) or (channels, samples), of floats in [-1, 1], or of integers of 8
            (unsigned), 16 or 32 bits. There are fewer channels than samples.
        sample_rate_hz: from 1 kHz to 1 MHz.

    Raises:
        UsageError: they are not.
    """
    if hasattr(sample_rate_hz, "__len__") and _is_real(samples):
        raise UsageError("the rate of a sound stands before its samples", "Write (samples, rate).")
    is_rate = _is_real(sample_rate_hz) and sample_rate_hz == int(sample_rate_hz)
    if not is_rate or not MIN_RATE_HZ <= sample_rate_hz <= MAX_RATE_HZ:
        raise UsageError(
            f"a sample rate must be an integer from {MIN_RATE_HZ:,} to {MAX_RATE_HZ:,} Hz, got {shown(sample_rate_hz)}"
        )
    array = _array(samples, "a sound", _SAMPLES)
    if array.ndim == 2 and array.shape[0] < array.shape[1]:
        array = array.T
    if array.ndim not in (1, 2) or not array.size or (array.ndim == 2 and array.shape[1] > _MOST_CHANNELS):
        raise UsageError(f"{shown(array)} is not a sound", _SAMPLES)
    signal = _Signal(_unit_samples(array, samples).reshape(len(array), -1), int(sample_rate_hz))
    return Waveform(np.concatenate([*Mixed(signal).blocks(0)]), signal.sample_rate_hz)


def sampled_clips(clip: Clip, sampling: Sampling, segmentation: Segmentation) -> Iterator[Clip]:
    """Cut a clip into segments, and sample each, like the segments of files.

    Args:
        clip: of any size, rate and number of frames, in the types that `Clip` describes.
        sampling: of the model.
        segmentation: "scene" cuts into windows of the default length: there is no film to find scenes in.
    """
    if clip.waveform is None and clip.frames is None:
        image = None if clip.image is None else policy_of(sampling).resize_image(clip.image)
        yield Clip(text=clip.text, image=image)
        return
    sound, rate_hz = None, sampling.sample_rate_hz
    lengths_s = []
    if clip.waveform is not None:
        lengths_s.append(len(clip.waveform.samples) / clip.waveform.sample_rate_hz)
        signal = _Signal(clip.waveform.samples[:, None], clip.waveform.sample_rate_hz)
        sound = Resampled(Mixed(signal), rate_hz)
    if clip.frames is not None:
        lengths_s.append(clip.frames.duration_s)
    for window in segmentation.windows(Span(0.0, max(lengths_s))):
        samples = None if sound is None else sound.read(window.start_s, window.stop_s)
        yield Clip(
            text=clip.text,
            image=None if clip.image is None else policy_of(sampling).resize_image(clip.image),
            frames=None if clip.frames is None else _sampled_frames(clip.frames, window, sampling),
            waveform=Waveform(samples, rate_hz) if samples is not None and len(samples) else None,
        )


def _sampled_frames(frames: Frames, window: Span, sampling: Sampling) -> Frames | None:
    policy, count = policy_of(sampling), len(frames.pixels)
    fps = count / frames.duration_s
    numbers, duration_s = policy.frame_indices(count, fps, window.start_s, window.stop_s)
    if not len(numbers):
        return None
    size = policy.frame_size(*frames.pixels.shape[1:3])
    return Frames(np.stack([resize_to(frames.pixels[number], size) for number in numbers]), duration_s)


class _Signal:
    """Samples in memory, as a `ChannelSource`."""

    def __init__(self, samples: NDArray[np.float32], sample_rate_hz: int) -> None:
        self._samples, self.sample_rate_hz = samples, sample_rate_hz

    def blocks(self, first: int) -> Iterator[NDArray[np.float32]]:
        """See `ChannelSource`."""
        for start in range(first, len(self._samples), self.sample_rate_hz):
            yield self._samples[start : start + self.sample_rate_hz]


def _array(item: Any, what: str, remedy: str) -> NDArray[Any]:
    """Return an array of numbers, also of a list, or of a tensor that knows how to become an array."""
    try:
        array = np.asarray(item.detach().cpu() if hasattr(item, "detach") else item)
    except (TypeError, ValueError, RuntimeError):
        raise UsageError(f"{shown(item)} is not {what}", remedy) from None
    if array.dtype.kind not in "buif" or not array.size:
        raise UsageError(f"{shown(array if array.dtype.kind in 'buif' else item)} is not {what}", remedy)
    return array


def _rgb(array: NDArray[Any], given: Any, dimensions: int) -> NDArray[np.uint8]:
    """Return pixels (..., height, width, 3), of a picture with 3 dimensions or of frames with 4."""
    what = "a picture" if dimensions == 3 else "frames"
    if array.ndim == dimensions - 1:
        array = array[..., None]
    channels = array.shape[-1] if array.ndim == dimensions else 0
    if channels not in (1, 3, 4):
        swapped = array.ndim == dimensions and array.shape[-3] in (1, 3, 4)
        raise UsageError(
            f"{shown(array)} is not {what}",
            "Move the channels to the end: numpy.moveaxis(array, -3, -1)." if swapped else _frames_hint(array),
        )
    _check_size(array.shape[-2], array.shape[-3], given)
    pixels = _eight_bit(array)
    if channels == 4:
        opacity = pixels[..., 3:].astype(np.float32) / 255
        pixels = np.round(pixels[..., :3] * opacity + 255 * (1 - opacity)).astype(np.uint8)
    return np.array(np.broadcast_to(pixels, (*pixels.shape[:-1], 3)))  # a copy: the caller may change theirs


def _frames_hint(array: NDArray[Any]) -> str:
    several = array.ndim == 4 and array.shape[-1] in (1, 3, 4)
    return "Use list(array) for pictures, or Frames(array, duration_s) for a film." if several else _PIXELS


def _eight_bit(array: NDArray[Any]) -> NDArray[np.uint8]:
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind == "u" and array.itemsize == 2:
        return (array // 257).astype(np.uint8)
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype.kind != "f":
        raise UsageError(f"pixels of type {array.dtype} have no known range", _PIXELS)
    if not (array.min() >= 0 and array.max() <= 1):  # true of NaN as well
        raise UsageError(f"{shown(array)} has pixels outside of [0, 1]", _PIXELS)
    return np.round(array * 255).astype(np.uint8)


def _unit_samples(array: NDArray[Any], given: Any) -> NDArray[np.float32]:
    """Return samples as float32 in [-1, 1]."""
    if array.dtype == np.uint8:
        return (array.astype(np.float32) - np.float32(128)) / np.float32(128)
    if array.dtype.kind == "i" and array.itemsize in (2, 4):
        return (array / -float(np.iinfo(array.dtype).min)).astype(np.float32)
    if array.dtype.kind != "f":
        raise UsageError(f"samples of type {array.dtype} have no known range", _SAMPLES)
    peak = float(np.abs(array).max())
    if not peak <= _LOUDEST:  # true of NaN as well
        fault = "beyond [-1, 1]" if math.isfinite(peak) else "that are not finite"
        raise UsageError(f"{shown(given)} has samples {fault}", _SAMPLES)
    return np.asarray(np.clip(array, -1.0, 1.0), np.float32)


def _check_size(width: int, height: int, given: Any) -> None:
    if not 0 < width * height <= MAX_PIXELS:
        raise UsageError(
            f"{shown(given)}: a picture must have from 1 to {MAX_PIXELS // 10**6} million pixels", "Scale it down."
        )


def _is_real(value: Any) -> bool:
    return (
        isinstance(value, int | float | np.integer | np.floating)
        and not isinstance(value, bool)
        and math.isfinite(value)
    )
