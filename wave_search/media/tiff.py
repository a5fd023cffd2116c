"""TIFF images: what is in them, and samples of more than 8 bits, which Pillow clips or refuses."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wave_search.media.source import Source

_RAW_PHOTOMETRICS = frozenset({32803, 34892})
"""Colour filter array, linear raw."""
_DNG_VERSION, _PHOTOMETRIC, _ORIENTATION, _REDUCED = 50706, 262, 274, 1
_WHITE_IS_ZERO = 0
_MAX_IMAGES = 64
"""Further images within the first one that are looked at. Photographs have fewer than ten, damaged files millions."""
_DEPTHS = (8, 10, 12, 14, 16, 24, 32)
"""Bits of the sensors and converters whose values are stored in wider integers."""
_UPRIGHT = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: pixels.swapaxes(0, 1)[:, ::-1],
    7: lambda pixels: pixels.swapaxes(0, 1)[::-1, ::-1],
    8: lambda pixels: pixels.swapaxes(0, 1)[::-1],
}
"""Orientation of TIFF and EXIF -> what makes (height, width, ...) pixels upright."""


@dataclass(frozen=True, slots=True)
class TiffLayout:
    """The first image of a TIFF file, as declared."""

    width: int
    """In pixels, as stored."""
    height: int
    bits: int
    """Of a sample."""
    channels: int
    orientation: int
    """1 to 8; 1 is upright."""
    is_raw: bool
    """Whether the file is a photograph as the sensor sees it, of which the first image is at most a thumbnail."""
    largest: tuple[int, int]
    """Width and height of the largest image in the file."""


def tiff_layout(source: Source) -> TiffLayout | None:
    """Read what a TIFF file declares; None if it is damaged."""
    import tifffile

    try:
        with tifffile.TiffFile(_file(source)) as tiff:
            page = tiff.pages.first
            pages: list[Any] = [page, *itertools.islice(page.pages or (), _MAX_IMAGES)]
            # Damaged tags may hold several numbers, which arithmetic would take for something else.
            declared = [page.bitspersample, page.samplesperpixel]
            declared += [side for each in pages for side in (each.imagewidth, each.imagelength)]
            if not all(isinstance(number, int) and number > 0 for number in declared):
                return None
            return TiffLayout(
                width=page.imagewidth,
                height=page.imagelength,
                bits=page.bitspersample,
                channels=page.samplesperpixel,
                orientation=_value(page, _ORIENTATION, 1),
                is_raw=_is_raw(page),
                largest=max(((each.imagewidth, each.imagelength) for each in pages), key=math.prod),
            )
    except MemoryError:
        raise
    except Exception:
        return None


def read_deep_tiff(source: Source) -> NDArray[np.uint8] | None:
    """Decode the first image of a TIFF file with samples of any type, upright, scaled to 8 bits by what it holds.

    Returns:
        (height, width) grey, or (height, width, channels) with 2 to 4 channels: grey and alpha, RGB or RGBA. None if it
        is damaged, or its compression or colours are not supported here.
    """
    import tifffile

    try:
        with tifffile.TiffFile(_file(source)) as tiff:
            page = tiff.pages.first
            samples = page.asarray()
            planar = page.samplesperpixel > 1 and page.planarconfig == tifffile.PLANARCONFIG.SEPARATE
            photometric = int(page.photometric)
            orientation = _value(page, _ORIENTATION, 1)
    except MemoryError:
        raise
    except Exception:
        return None
    if photometric not in (0, 1, 2):  # greys and RGB
        return None
    pixels = np.moveaxis(samples, 0, -1) if planar else samples
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    colours = 3 if photometric == 2 else 1
    scaled = eight_bit(pixels[..., : colours + 1])
    if photometric == _WHITE_IS_ZERO:
        scaled[..., 0] = 255 - scaled[..., 0]
    if orientation in _UPRIGHT:
        scaled = np.ascontiguousarray(_UPRIGHT[orientation](scaled))
    return scaled[..., 0] if scaled.shape[2] == 1 else scaled


def eight_bit(samples: NDArray[Any], bits: int | None = None) -> NDArray[np.uint8]:
    """Scale samples of any type to 8 bits.

    Args:
        samples: any shape. Floats from 0 to 1 are scaled by 255, others from their minimum to their maximum, and what
            is not a number is black. Integers are scaled from the depth that holds their maximum, or from their
            minimum to their maximum if any is negative.
        bits: depth of the integers, if it is known.

    Returns:
        A new array of the same shape.
    """
    if samples.dtype.kind in "bu" or (samples.dtype.kind == "i" and samples.min(initial=0) >= 0):
        if samples.dtype.kind == "b":
            return samples.astype(np.uint8) * 255
        highest = int(samples.max(initial=0))
        depth = bits or next((depth for depth in _DEPTHS if highest < 1 << depth), highest.bit_length())
        if samples.dtype.kind == "i":
            depth = min(depth, 8 * samples.itemsize - 1)
        return (samples >> (depth - 8)).astype(np.uint8)
    values = samples.astype(np.float32, copy=True)
    finite = np.isfinite(values)
    values[~finite] = np.min(values, initial=np.inf, where=finite) if finite.any() else 0.0
    low, high = float(values.min(initial=0.0)), float(values.max(initial=1.0))
    if low < 0.0 or high > 1.0:
        low = float(values.min())
        values -= low
        values /= (high - low) or 1.0
    values *= 255.0
    return np.rint(values).astype(np.uint8)


def _file(source: Source) -> Any:
    """Return a reader of the file; tifffile needs only part of what its annotations ask for."""
    return source.reader()


def _is_raw(page: Any) -> bool:
    if page.tags.get(_DNG_VERSION) is not None or _value(page, _PHOTOMETRIC, 0) in _RAW_PHOTOMETRICS:
        return True
    # Where the first image is a thumbnail, the photograph is in the others.
    return bool(page.subfiletype & _REDUCED) and bool(page.pages)


def _value(page: Any, tag: int, default: int) -> int:
    found = page.tags.get(tag)
    return default if found is None else int(found.value)
