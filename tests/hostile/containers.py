"""Damage that keeps a container readable: sizes of boxes, chunks and elements, time stamps, tables, checksums."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from random import Random

from tests.hostile.damage import (
    LARGEST_BYTES,
    WIDE_EXTREMES,
    Damage,
    extreme,
    extreme_float,
    find_all,
    overwrite,
    set_number_near,
    some,
)

Extent = tuple[int, int]
"""Where a part of a file begins and ends, with its header."""

BOXES_OF_BOXES = {
    b"moov",
    b"trak",
    b"mdia",
    b"minf",
    b"stbl",
    b"edts",
    b"dinf",
    b"udta",
    b"mvex",
    b"moof",
    b"traf",
    b"iprp",
}
BOXES_OF_NUMBERS = (
    b"mvhd tkhd mdhd elst stts ctts stsz stsc stco co64 stss trun tfhd tfdt mfhd mehd hdlr stsd avcC esds "
    b"ispe iloc pitm ipma"
).split()
EBML_MASTERS = {
    0x1A45DFA3,
    0x18538067,
    0x1549A966,
    0x1654AE6B,
    0xAE,
    0xE0,
    0xE1,
    0x1F43B675,
    0xA0,
    0x1C53BB6B,
    0xBB,
    0xB7,
    0x114D9B74,
    0x4DBB,
}
EBML_NUMBERS = (
    b"\x2a\xd7\xb1",
    b"\x44\x89",
    b"\xe7",
    b"\xb0",
    b"\xba",
    b"\xb5",
    b"\x9f",
    b"\xd7",
    b"\x83",
    b"\x9b",
    b"\x23\xe3\x83",
    b"\x56\xaa",
    b"\x56\xbb",
)
"""TimestampScale, Duration, Timestamp, PixelWidth, PixelHeight, SamplingFrequency, Channels, TrackNumber, TrackType,
BlockDuration, DefaultDuration, CodecDelay, SeekPreRoll."""
RIFF_NUMBERS = (
    b"fmt ",
    b"fact",
    b"avih",
    b"strh",
    b"strf",
    b"idx1",
    b"ds64",
    b"COMM",
    b"SSND",
    b"desc",
    b"pakt",
    b"VP8 ",
    b"VP8X",
    b"ANMF",
)


def damage_part(content: bytearray, chance: Random, parts: list[Extent], size_field: slice, order: str) -> None:
    """Repeat, remove, move or resize one of the parts of a container."""
    if not parts:
        return
    start, stop = chance.choice(parts)
    part = content[start:stop]
    what = chance.choice(("size", "size", "size", "repeat", "remove", "move", "name"))
    if what == "size":
        width = size_field.stop - size_field.start
        real = int.from_bytes(part[size_field], "little" if order == "<" else "big")
        size = extreme(chance, width, order)
        if chance.random() < 0.3:
            size = ((real + chance.choice((-8, -1, 1, 8))) % (1 << 8 * width)).to_bytes(
                width, "little" if order == "<" else "big"
            )
        overwrite(content, start + size_field.start, size)
    elif what == "repeat":
        content[stop:stop] = part * min(chance.choice((1, 2, 50)), LARGEST_BYTES // max(1, len(part)))
    elif what == "name":
        overwrite(
            content,
            start + (4 if size_field.start == 0 else 0),
            chance.choice((b"free", b"junk", b"\0\0\0\0", b"\xff" * 4)),
        )
    elif stop - start < len(content):
        del content[start:stop]
        if what == "move":
            place = chance.choice([0, *(part_start for part_start, _ in parts)])
            content[place:place] = part


def boxes(content: bytes | bytearray, start: int = 0, stop: int | None = None) -> Iterator[Extent]:
    """The boxes of an ISO base media file, each before those in it."""
    stop = len(content) if stop is None else stop
    while start + 8 <= stop:
        size, name = int.from_bytes(content[start : start + 4], "big"), bytes(content[start + 4 : start + 8])
        end = start + size if size >= 8 else stop
        yield start, min(end, stop)
        if name in BOXES_OF_BOXES:
            yield from boxes(content, start + 8, min(end, stop))
        start = end


def iso_media(content: bytearray, chance: Random) -> None:
    if chance.random() < 0.5:
        set_number_near(content, chance, chance.choice(BOXES_OF_NUMBERS))
    else:
        damage_part(content, chance, list(boxes(content)), slice(0, 4), ">")


def vint(content: bytes | bytearray, place: int, *, keep_marker: bool = False) -> tuple[int, int]:
    """A number of EBML and its width; the width is 0 if there is none."""
    first = content[place] if place < len(content) else 0
    width = 9 - first.bit_length()
    if width > 8:
        return 0, 0
    value = int.from_bytes(content[place : place + width], "big")
    return (value if keep_marker else value & ((1 << 7 * width) - 1)), width


def elements(
    content: bytes | bytearray, start: int = 0, stop: int | None = None
) -> Iterator[tuple[int, int, int, int]]:
    """The elements of Matroska: where each begins, its size, its data, and its end."""
    stop = len(content) if stop is None else stop
    while start < stop:
        name, name_width = vint(content, start, keep_marker=True)
        size, size_width = vint(content, start + name_width)
        if not name_width or not size_width:
            return
        data = start + name_width + size_width
        end = stop if size == (1 << 7 * size_width) - 1 else min(stop, data + size)
        yield start, start + name_width, data, end
        if name in EBML_MASTERS:
            yield from elements(content, data, end)
        start = end


def matroska(content: bytearray, chance: Random) -> None:
    found = list(elements(content))
    if not found:
        return
    if chance.random() < 0.6:
        numbers = [e for e in found if bytes(content[e[0] : e[1]]) in EBML_NUMBERS]
        _, _, data, end = chance.choice(numbers or found)
        width = end - data
        is_float = width in (4, 8) and chance.random() < 0.5
        overwrite(
            content,
            data,
            extreme_float(chance, width, ">") if is_float else extreme(chance, min(max(width, 1), 8), ">"),
        )
        return
    start, size, data, end = chance.choice(found)
    what = chance.choice(("size", "size", "unknown size", "repeat", "remove"))
    if what == "repeat":
        content[end:end] = content[start:end] * min(chance.choice((1, 20)), LARGEST_BYTES // max(1, end - start))
    elif what == "remove":
        del content[start:end]
    else:
        width = data - size
        value = (1 << 7 * width) - 1
        if what == "size":
            value = chance.choice(WIDE_EXTREMES) & value
        content[size:data] = (value | 1 << 7 * width).to_bytes(width, "big")


def chunks(content: bytes | bytearray, order: str, start: int = 12, stop: int | None = None) -> Iterator[Extent]:
    """The chunks of RIFF (`order` "<") or AIFF and CAF (">"), each before those in it."""
    stop = len(content) if stop is None else stop
    while start + 8 <= stop:
        size = int.from_bytes(content[start + 4 : start + 8], "little" if order == "<" else "big")
        end = min(stop, start + 8 + size + size % 2)
        yield start, end
        if content[start : start + 4] == b"LIST":
            yield from chunks(content, order, start + 12, end)
        start = end


def riff(content: bytearray, chance: Random) -> None:
    order = "<" if content[:1] in (b"R", b"r") else ">"
    if chance.random() < 0.5:
        places = [place for name in RIFF_NUMBERS for place in find_all(content, name, 20)]
        if places:
            width = chance.choice((2, 4, 4, 8))
            overwrite(content, chance.choice(places) + 8 + 2 * chance.randrange(20), extreme(chance, width, order))
    else:
        damage_part(content, chance, [(0, len(content)), *chunks(content, order)], slice(4, 8), order)


def ogg_checksum(page: bytes) -> int:
    """CRC-32 of an Ogg page whose checksum field is 0."""
    value = 0
    for byte in page:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ (0x04C11DB7 if value & 0x80000000 else 0)) & 0xFFFFFFFF
    return value


def ogg(content: bytearray, chance: Random) -> None:
    """Other granule positions, serial and sequence numbers, in pages whose checksums are right."""
    starts = find_all(content, b"OggS")
    extents = list(zip(starts, [*starts[1:], len(content)], strict=True))
    if not extents or chance.random() < 0.2:
        damage_part(content, chance, extents, slice(4, 8), "<")
        return
    for start, stop in chance.sample(extents, min(some(chance, 3), len(extents))):
        offset, width = chance.choice(((6, 8), (6, 8), (14, 4), (18, 4), (5, 1), (26, 1)))
        overwrite(content, start + offset, extreme(chance, width, "<"))
        overwrite(content, start + 22, bytes(4))
        if stop - start < 1 << 16:
            overwrite(content, start + 22, ogg_checksum(bytes(content[start:stop])).to_bytes(4, "little"))


def mpeg(content: bytearray, chance: Random) -> None:
    """Time stamps that jump, packets that are gone, doubled or of another stream."""
    times = [
        start
        for start in find_all(content, b"\x00\x00\x01")
        if start + 14 < len(content) and 0xC0 <= content[start + 3] <= 0xEF and content[start + 7] & 0x80
    ]
    is_ts = content[:1] == b"G"
    if times and chance.random() < 0.6:
        offset = chance.choice((0, 1, 90_000, 1 << 31, (1 << 33) - 1, chance.randrange(1 << 33)))
        for start in times if chance.random() < 0.3 else chance.sample(times, min(some(chance, 10), len(times))):
            content[start + 9 : start + 14] = time_stamp(offset, content[start + 9] >> 4)
    elif is_ts:
        packets = [(start, start + 188) for start in range(0, len(content) - 187, 188)]
        what = chance.choice(("part", "stream", "clock"))
        for start, _ in chance.sample(packets, min(some(chance, 40), len(packets))):
            if what == "stream":
                overwrite(content, start + 1, extreme(chance, 2, ">"))
            elif what == "clock":
                overwrite(content, start + 3, bytes([0x30, 7, 0x10]) + chance.randbytes(6))
        if what == "part":
            damage_part(content, chance, packets, slice(1, 3), ">")
    else:
        starts = find_all(content, b"\x00\x00\x01")
        damage_part(content, chance, list(zip(starts, [*starts[1:], len(content)], strict=True)), slice(4, 6), ">")


def time_stamp(value: int, prefix: int) -> bytes:
    """A presentation time of MPEG: 33 bits in 5 bytes."""
    return bytes(
        [
            prefix << 4 | value >> 29 & 0x0E | 1,
            value >> 22 & 0xFF,
            value >> 14 & 0xFE | 1,
            value >> 7 & 0xFF,
            value << 1 & 0xFE | 1,
        ]
    )


def png(content: bytearray, chance: Random) -> None:
    """Other dimensions, depths, frame controls and lengths, in chunks whose checksums are right."""
    found, start = [], 8
    while start + 12 <= len(content):
        found.append((start, min(len(content), start + 12 + int.from_bytes(content[start : start + 4], "big"))))
        start = found[-1][1]
    if not found or chance.random() < 0.3:
        damage_part(content, chance, found, slice(0, 4), ">")
        return
    small = [extent for extent in found if extent[1] - extent[0] < 64]
    start, stop = chance.choice(small or found)
    if stop - start > 12:
        place = start + 8 + chance.randrange(stop - start - 12)
        overwrite(content, place - place % 4, extreme(chance, chance.choice((1, 4)), ">"))
        overwrite(content, stop - 4, struct.pack(">I", zlib.crc32(content[start + 4 : stop - 4])))


def jpeg(content: bytearray, chance: Random) -> None:
    """Dimensions, components, lengths and tables of segments."""
    places = [place for marker in range(0xC0, 0xFF) for place in find_all(content, bytes([0xFF, marker]), 5)]
    if places:
        overwrite(
            content, chance.choice(places) + 2 + chance.randrange(12), extreme(chance, chance.choice((1, 2, 2)), ">")
        )


def gif(content: bytearray, chance: Random) -> None:
    """Dimensions, delays, and the places and sizes of pictures."""
    places = [6, *find_all(content, b"\x21\xf9\x04", 20), *find_all(content, b"\x2c", 20)]
    overwrite(content, chance.choice(places) + chance.randrange(10), extreme(chance, chance.choice((1, 2)), "<"))


def tiff(content: bytearray, chance: Random) -> None:
    """Types, counts and values of the entries of a directory."""
    order = "<" if content[:1] == b"I" else ">"
    start = int.from_bytes(content[4:8], "little" if order == "<" else "big")
    count = int.from_bytes(content[start : start + 2], "little" if order == "<" else "big")
    if chance.random() < 0.1:
        overwrite(content, 4, extreme(chance, 4, order))
        return
    entry = start + 2 + 12 * chance.randrange(max(1, min(count, 100)))
    offset, width = chance.choice(((0, 2), (2, 2), (4, 4), (8, 4), (8, 2)))
    overwrite(content, entry + offset, extreme(chance, width, order))


def flac(content: bytearray, chance: Random) -> None:
    """STREAMINFO: block sizes, rate, channels, depth, length; and the sizes of the other blocks."""
    overwrite(content, 4 + chance.randrange(24), extreme(chance, chance.choice((1, 2, 4)), ">"))


def mp3(content: bytearray, chance: Random) -> None:
    """The number of frames in the header that says it, the size of the tag, single frame headers."""
    places = [place for name in (b"Xing", b"Info", b"VBRI", b"ID3") for place in find_all(content, name, 3)]
    places += find_all(content, b"\xff\xfb", 200)
    if places:
        overwrite(content, chance.choice(places) + chance.randrange(16), extreme(chance, chance.choice((1, 4)), ">"))


def container_damage(content: bytes | bytearray) -> Damage | None:
    """The damage that fits a container; None if there is none for it."""
    head = bytes(content[:12])
    for start, damage in STARTS.items():
        if head.startswith(start):
            return damage
    return iso_media if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free") else None


STARTS: dict[bytes, Damage] = {
    b"\x1aE\xdf\xa3": matroska,
    b"RIFF": riff,
    b"RF64": riff,
    b"riff": riff,
    b"FORM": riff,
    b"caff": riff,
    b"OggS": ogg,
    b"GIF8": gif,
    b"G": mpeg,
    b"\x00\x00\x01": mpeg,
    b"\x89PNG": png,
    b"\xff\xd8\xff": jpeg,
    b"II*\x00": tiff,
    b"MM\x00*": tiff,
    b"fLaC": flac,
    b"ID3": mp3,
    b"\xff\xfb": mp3,
}
