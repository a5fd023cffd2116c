"""Decoding of images, by Pillow; of deep TIFF, by tifffile."""

from __future__ import annotations

import importlib
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from wave_search.errors import BrokenMediaError, MediaError, UnsupportedMediaError
from wave_search.media.raw_photo import find_preview
from wave_search.media.sampling import policy_of
from wave_search.media.source import CONVERT, IndependentReader
from wave_search.media.tiff import eight_bit, read_deep_tiff, tiff_layout
from wave_search.system import data_limit_bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wave_search.media.source import Source
    from wave_search.media.tiff import TiffLayout
    from wave_search.types import Sampling

MAX_PIXELS = 256_000_000
"""A larger image may be a decompression bomb, and is refused."""
_DRAFT_PIXELS = 64_000_000
"""A larger JPEG is decoded at a half or a quarter of its size, which needs less memory. It is still several times
larger than what it is resized to, so that hardly a pixel of the result differs."""
_COPIES_BYTES = 12
"""Memory that decoding takes for each pixel, in copies of up to 4 bytes."""
_SAVE_PLAINLY = "If a viewer opens it, save it there without compression; otherwise replace it with an intact copy."
_SIDES_SWAPPED = frozenset({5, 6, 7, 8})
"""EXIF orientations that rotate an image by 90 or 270 degrees."""
_EXIF_ORIENTATION = 0x0112
_PLUGINS = {"HEIF": ("pillow_heif", "register_heif_opener"), "JXL": ("pillow_jxl", None)}
"""Format -> module that adds it to Pillow, and the function that does."""


def image_size(source: Source) -> tuple[int, int]:
    """Return the width and height of an image, upright, without decoding it.

    Raises:
        BrokenMediaError: it is damaged.
        UnsupportedMediaError: it is too large, or it cannot be decoded.
    """
    layout = _deep_layout(source)
    if layout is not None:
        swapped = layout.orientation in _SIDES_SWAPPED
        return (layout.height, layout.width) if swapped else (layout.width, layout.height)
    image = open_image(source)
    # Pillow has already swapped the sides of a TIFF.
    try:
        swapped = image.format != "TIFF" and image.getexif().get(_EXIF_ORIENTATION) in _SIDES_SWAPPED
    except Exception as error:  # on damaged data, Pillow raises errors of any type
        raise BrokenMediaError(source.path, f"a damaged {source.demuxer} image ({error})", CONVERT) from error
    return (image.height, image.width) if swapped else (image.width, image.height)


def read_image(source: Source, sampling: Sampling) -> NDArray[np.uint8]:
    """Decode the first frame of an image, resized according to `sampling`. See `read_pixels`."""
    return policy_of(sampling).resize_image(read_pixels(source))


def read_pixels(source: Source) -> NDArray[np.uint8]:
    """Decode the first frame of an image, upright, with transparency blended onto white.

    Returns:
        (height, width, 3) RGB.

    Raises:
        BrokenMediaError: it is damaged or truncated.
        UnsupportedMediaError: it is too large, or it cannot be decoded.
    """
    from PIL import Image

    layout = _deep_layout(source)
    deep = read_deep_tiff(source) if layout is not None else None
    try:
        image = _loaded(source, layout) if deep is None else Image.fromarray(deep)
        return np.asarray(on_white(image))
    except (MemoryError, MediaError):
        raise
    except Exception as error:  # on damaged data, Pillow's decoders raise errors of any type
        raise BrokenMediaError(source.path, f"a damaged {source.demuxer} image ({error})", CONVERT) from error


def _deep_layout(source: Source) -> TiffLayout | None:
    """Return the layout of a TIFF with samples of more than 8 bits; None for other images."""
    layout = tiff_layout(source) if source.demuxer == "TIFF" else None
    if layout is None or layout.is_raw or layout.bits <= 8:
        return None
    _check_size(source, layout.width, layout.height, layout.channels * layout.bits // 8)
    return layout


def _loaded(source: Source, layout: TiffLayout | None) -> Any:
    """Decode with Pillow, upright, with samples of 8 bits."""
    from PIL import Image

    try:
        image = open_image(source)
    except BrokenMediaError as error:
        if layout is None:
            raise
        cause = f"a TIFF image of {layout.bits} bits a sample, damaged or with a compression that is not supported"
        raise BrokenMediaError(source.path, cause, _SAVE_PLAINLY) from error
    if image.width * image.height > _DRAFT_PIXELS:
        image.draft(None, (image.width // 2, image.height // 2))  # only JPEG can
    image.load()
    if layout is not None and layout.bits == 16 and image.mode == "RGB":
        return Image.fromarray(_sixteen_bit_rgb(source))
    return upright(image)


def upright(image: Any) -> Any:
    """Return an image of Pillow turned as its metadata say, with samples of 8 bits."""
    from PIL import Image, ImageOps

    turned = ImageOps.exif_transpose(image)
    if turned.mode == "F" or turned.mode.startswith("I"):
        # Other formats scale what they hold to the full range, and only TIFF leaves that to the reader.
        sixteen = image.format not in ("TIFF", None) or image.mode.startswith("I;16")
        return Image.fromarray(eight_bit(np.asarray(turned), 16 if sixteen else None))
    return turned


def _sixteen_bit_rgb(source: Source) -> NDArray[np.uint8]:
    """Decode a compressed TIFF with 16 bits a sample, of which Pillow keeps only the higher or the lower 8."""
    halves = []
    for raw_mode in ("RGB;16L", "RGB;16B"):
        image = open_image(source)
        image.tile = [tile._replace(args=(raw_mode, *tile.args[1:])) for tile in image.tile]
        image.load()
        halves.append(np.asarray(image).astype(np.uint16))
    return eight_bit(halves[0] << 8 | halves[1])


def open_image(source: Source) -> Any:
    """Open an image, or the preview in a raw photograph, with Pillow, without decoding it.

    Raises:
        BrokenMediaError: it is damaged.
        UnsupportedMediaError: it is too large, or it cannot be decoded.
    """
    if source.demuxer == "RAW":
        return _open_preview(source)
    if source.demuxer == "TIFF" and (layout := tiff_layout(source)) and layout.is_raw:
        return _open_preview(source)
    _add_plugin(source)
    return _open_as(source, source.reader() if source.offset_bytes else source.file, source.demuxer)


def _open_preview(source: Source) -> Any:
    preview = find_preview(source)
    image = _open_as(source, IndependentReader(source.file, preview.offset_bytes), "JPEG")
    exif = image.getexif()
    if _EXIF_ORIENTATION not in exif:
        exif[_EXIF_ORIENTATION] = preview.orientation
    return image


def _add_plugin(source: Source) -> None:
    plugin = _PLUGINS.get(source.demuxer)
    if plugin is None:
        return
    module, register = plugin
    try:
        added = importlib.import_module(module)
    except ImportError as error:
        raise UnsupportedMediaError(
            source.path,
            f"a {source.demuxer} image, which needs the extra [photos]",
            "Run: pip install 'wave-search[photos]'",
        ) from error
    if register is not None:
        getattr(added, register)()


def _open_as(source: Source, file: Any, format_: str) -> Any:
    from PIL import Image

    # The limit is checked below, before anything is decoded.
    Image.MAX_IMAGE_PIXELS = None
    file.seek(0)
    try:
        with warnings.catch_warnings(action="ignore"):
            # Pillow calls a JPEG with several pictures in it, as some cameras write, MPO.
            image = Image.open(file, formats=[format_, "MPO"])
    except MemoryError:
        raise
    except Exception as error:  # on damaged data, Pillow's decoders raise errors of any type
        raise BrokenMediaError(source.path, f"a damaged or unusual {source.demuxer} image", CONVERT) from error
    _check_size(source, image.width, image.height, 1)
    return image


def _check_size(source: Source, width: int, height: int, bytes_per_pixel: int) -> None:
    """Refuse an image before memory is allocated that there is not."""
    pixels = width * height
    if pixels > MAX_PIXELS:
        raise UnsupportedMediaError(
            source.path,
            f"an image of {width} x {height} pixels, more than {MAX_PIXELS // 10**6} million",
            "Scale it down.",
        )
    needed, limit = pixels * _COPIES_BYTES * max(1, bytes_per_pixel // 4), data_limit_bytes()
    if limit is not None and needed > limit:
        raise UnsupportedMediaError(
            source.path,
            f"an image of {width} x {height} pixels, which takes about {needed / 2**30:.1f} GiB of memory to decode, "
            f"where a decoder may use {limit / 2**30:.1f} GiB",
            "Scale it down.",
        )


def on_white(image: Any) -> Any:
    """Return an image of Pillow as RGB, with transparency blended onto white."""
    from PIL import Image

    if not image.has_transparency_data:
        return image.convert("RGB")
    layer = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
