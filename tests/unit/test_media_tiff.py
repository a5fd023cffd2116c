"""TIFF files that declare far more than a picture: they are read in a time that does not depend on it."""

from __future__ import annotations

import struct
from pathlib import Path

from wave_search.media import DecoderPool
from wave_search.models.wave.clips import SAMPLING

SIDE = 32
SUB_IMAGES = 1_000_000


def directory(*entries: tuple[int, int, int, int]) -> bytes:
    """An image of a file: tags with their type, number of values, and value or place of the values."""
    return (
        struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in sorted(entries)) + bytes(4)
    )


def write_tiff(path: Path) -> Path:
    """A picture of 16 bits, which contains the same image a million times."""
    short, long = 3, 4

    def image(*further: tuple[int, int, int, int], samples_at: int) -> bytes:
        return directory(
            (256, long, 1, SIDE),
            (257, long, 1, SIDE),
            (258, short, 1, 16),
            (259, short, 1, 1),
            (262, short, 1, 1),
            (273, long, 1, samples_at),
            (277, short, 1, 1),
            (278, long, 1, SIDE),
            (279, long, 1, 2 * SIDE * SIDE),
            *further,
        )

    size = len(image((330, long, 1, 0), samples_at=0))
    samples_at = 8 + size
    sub_image_at = samples_at + 2 * SIDE * SIDE
    listed_at = sub_image_at + len(image(samples_at=samples_at))
    path.write_bytes(
        b"II*\0"
        + struct.pack("<I", 8)
        + image((330, long, SUB_IMAGES, listed_at), samples_at=samples_at)
        + struct.pack("<H", 0x8000) * SIDE * SIDE
        + image(samples_at=samples_at)
        + struct.pack("<I", sub_image_at) * SUB_IMAGES
    )
    return path


def test_a_million_images_in_a_picture_are_not_all_read(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif")
    with DecoderPool(1, SAMPLING, item_timeout_s=10.0) as decoders:
        info = decoders.identify(path)
    assert (info.kind, info.width, info.height) == ("image", SIDE, SIDE)
