"""Photographs as the sensor of a camera sees them: the full-size JPEG in them, which the camera has developed."""

from __future__ import annotations

import io
import mmap
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wave_search.errors import UnsupportedMediaError
from wave_search.media.source import IndependentReader
from wave_search.media.tiff import tiff_layout

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from wave_search.media.source import Source

_SEARCH_BYTES = 1 << 29
_FULL_SIZE_PIXELS = 500_000
"""A smaller preview is full-size only if the photograph is small."""
_START = b"\xff\xd8\xff"
_HEADER_BYTES = 1 << 18
_FRAMES = frozenset({0xC0, 0xC1, 0xC2})
"""Markers of frames that are pictures: baseline, extended and progressive. Raw data may be lossless JPEG, 0xC3."""
_TABLES = frozenset({0xC4, 0xDB, 0xDD, 0xFE, *range(0xE0, 0xF0)})
_ORIENTATION = 0x0112


@dataclass(frozen=True, slots=True)
class Preview:
    """The JPEG image that a camera has stored in a raw photograph."""

    offset_bytes: int
    width: int
    height: int
    orientation: int
    """How the photograph has to be turned, as in EXIF, if the preview does not declare it itself."""


def find_preview(source: Source) -> Preview:
    """Find the largest preview in a raw photograph.

    Raises:
        UnsupportedMediaError: it has none of about the size of the photograph.
    """
    layout = tiff_layout(source)
    best = max(_jpegs(source.file), key=lambda found: found[1] * found[2], default=None)
    wanted = layout.largest if layout else (0, 0)
    if best is None or not _is_full_size(best[1:], wanted):
        raise UnsupportedMediaError(
            source.path, "a raw photograph without a full-size preview", "Develop it, for example to JPEG."
        )
    return Preview(*best, layout.orientation if layout else _canon_orientation(source))


def _is_full_size(preview: tuple[int, int], photograph: tuple[int, int]) -> bool:
    if preview[0] * preview[1] >= _FULL_SIZE_PIXELS:
        return True
    return max(photograph) > 0 and 2 * max(preview) >= max(photograph)


def _jpegs(file: BinaryIO) -> Iterator[tuple[int, int, int]]:
    """Yield offset, width and height of the JPEG images in a file."""
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at = data.find(_START, 0, _SEARCH_BYTES)
        while at >= 0:
            size = _jpeg_size(data, at)
            if size is not None:
                yield (at, *size)
            at = data.find(_START, at + 2, _SEARCH_BYTES)


def _jpeg_size(data: mmap.mmap, at: int) -> tuple[int, int] | None:
    """Return width and height of the JPEG image at a position; None if there is not the header of a picture."""
    at += 2
    while data[at : at + 1] == b"\xff" and at + 9 < len(data):
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4])
        if marker in _FRAMES:
            return int.from_bytes(data[at + 7 : at + 9]), int.from_bytes(data[at + 5 : at + 7])
        if marker not in _TABLES or length < 2:
            return None
        at += 2 + length
    return None


def _canon_orientation(source: Source) -> int:
    """Return the orientation from the first directory of a CR3 file, or 1."""
    from PIL import Image

    head = IndependentReader(source.file).read(_HEADER_BYTES)
    at = head.find(b"CMT1")
    if at < 0:
        return 1
    directory = Image.Exif()
    try:
        directory.load(io.BytesIO(head[at + 4 :]).getvalue())
    except Exception:
        return 1
    return int(directory.get(_ORIENTATION, 1))
