"""Decoding of images, by Pillow."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from wave_search.errors import BrokenMediaError, UnsupportedMediaError
from wave_search.media.sampling import policy_of
from wave_search.media.source import REPLACE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wave_search.media.source import Source
    from wave_search.types import Sampling

MAX_PIXELS = 256_000_000
"""A larger image may be a decompression bomb, and is refused."""
_SIDES_SWAPPED = frozenset({5, 6, 7, 8})
"""EXIF orientations that rotate an image by 90 or 270 degrees."""
_EXIF_ORIENTATION = 0x0112


def image_size(source: Source) -> tuple[int, int]:
    """Return the width and height of an image, upright, without decoding it.

    Raises:
        BrokenMediaError: it is damaged.
        UnsupportedMediaError: it is too large, or Pillow cannot decode it.
    """
    image = _open(source)
    swapped = image.getexif().get(_EXIF_ORIENTATION) in _SIDES_SWAPPED
    return (image.height, image.width) if swapped else (image.width, image.height)


def read_image(source: Source, sampling: Sampling) -> NDArray[np.uint8]:
    """Decode the first frame of an image, upright, with transparency blended onto white.

    Returns:
        (height, width, 3) RGB, resized according to `sampling`.

    Raises:
        BrokenMediaError: it is damaged or truncated.
        UnsupportedMediaError: it is too large, or Pillow cannot decode it.
    """
    from PIL import ImageOps

    image = _open(source)
    try:
        image.load()
        pixels = np.asarray(_on_white(_eight_bit(ImageOps.exif_transpose(image))))
    except MemoryError:
        raise
    except Exception as error:  # on damaged data, Pillow's decoders raise errors of any type
        raise BrokenMediaError(source.path, f"a damaged {source.demuxer} image ({error})", REPLACE) from error
    return policy_of(sampling).resize_image(pixels)


def _open(source: Source) -> Any:
    from PIL import Image

    if source.demuxer == "HEIF":
        raise UnsupportedMediaError(source.path, "an HEIF image, which is not supported", "Convert it to JPEG.")
    # The limit is checked below, before anything is decoded.
    Image.MAX_IMAGE_PIXELS = None
    source.file.seek(0)
    try:
        with warnings.catch_warnings(action="ignore"):
            # Pillow calls a JPEG with several pictures in it, as some cameras write, MPO.
            image = Image.open(source.file, formats=[source.demuxer, "MPO"])
    except Exception as error:  # see above
        raise BrokenMediaError(source.path, f"a damaged {source.demuxer} image", REPLACE) from error
    if image.width * image.height > MAX_PIXELS:
        raise UnsupportedMediaError(
            source.path,
            f"an image of {image.width} x {image.height} pixels, more than {MAX_PIXELS // 10**6} million",
            "Scale it down.",
        )
    return image


def _eight_bit(image: Any) -> Any:
    """Scale 16-bit grey to 8 bits; Pillow's own conversion would clip it."""
    from PIL import Image

    if not image.mode.startswith("I"):
        return image
    grey = np.clip(np.asarray(image) // 256, 0, 255).astype(np.uint8)
    return Image.fromarray(grey)


def _on_white(image: Any) -> Any:
    from PIL import Image

    if not image.has_transparency_data:
        return image.convert("RGB")
    layer = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
