"""Files that were joined from several, each of which is a container of its own: chained Ogg, FLAC, Matroska."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wave_search.media.info import Part
    from wave_search.media.source import IndependentReader, Source

_PART_STARTS = {"ogg": re.compile(rb"OggS\x00\x02"), "flac": re.compile(rb"fLaC[\x00\x80]\x00\x00\x22")}
"""Format -> what each part of a file begins with. In Ogg, every stream of a part does."""
_LONGEST_START = 32
_OGG_HEADER_BYTES = 27
_SEARCH_BYTES = 1 << 24
_EBML, _SEGMENT = bytes.fromhex("1a45dfa3"), bytes.fromhex("18538067")
_EBML_HEAD_BYTES = 1 << 12
"""More than the header of any Matroska file, which is followed by its only segment."""
_MAX_BOXES = 1 << 19
"""Two for each second of a stream of several days; boxes without content could be millions."""


def part_source(source: Source, part: Part) -> Source:
    """Return the source that is only a part of another one."""
    first = source.offset_bytes + part.first_byte
    stop = source.stop_bytes if part.stop_byte is None else source.offset_bytes + part.stop_byte
    return replace(source, offset_bytes=first, stop_bytes=stop)


def part_starts(source: Source) -> list[int]:
    """Return the positions, from the beginning of the media, at which the parts of a joined file begin; at least 0."""
    if source.demuxer == "matroska":
        reader = source.reader()
        return [0, *(stop for stop in segment_stops(reader) if bytes_at(reader, stop, len(_EBML)) == _EBML)]
    pattern = _PART_STARTS.get(source.demuxer)
    found = [0] if pattern is None else [0, *positions(source, pattern)]
    if source.demuxer != "ogg":
        return sorted(set(found))
    starts, stop = [0], -1
    for position in found:
        if position not in (0, stop):
            starts.append(position)
        stop = _page_stop(source, position)
    return starts


def positions(source: Source, pattern: re.Pattern[bytes]) -> Iterator[int]:
    """Yield where a pattern of at most `_LONGEST_START` bytes is in a file, from the beginning of the media."""
    reader, data, first, newest = source.reader(), b"", 0, -1
    while block := reader.read(_SEARCH_BYTES):
        data += block
        for match in pattern.finditer(data):
            if first + match.start() > newest:
                newest = first + match.start()
                yield newest
        kept = data[-_LONGEST_START + 1 :]
        first += len(data) - len(kept)
        data = kept


def _page_stop(source: Source, position: int) -> int:
    """Return where an Ogg page ends."""
    reader = source.reader()
    header = bytes_at(reader, position, _OGG_HEADER_BYTES)
    lengths = reader.read(header[-1]) if len(header) == _OGG_HEADER_BYTES else b""
    return position + _OGG_HEADER_BYTES + len(lengths) + sum(lengths)


def segment_stops(reader: IndependentReader) -> Iterator[int]:
    """Yield where each segment of a Matroska file ends, up to one that does not tell, as in live streams."""
    position = 0
    while (stop := _segment_stop(reader, position)) is not None:
        yield stop
        position = stop


def _segment_stop(reader: IndependentReader, position: int) -> int | None:
    head = bytes_at(reader, position, _EBML_HEAD_BYTES)
    if not head.startswith(_EBML):
        return None
    size, begin = _vint(head, len(_EBML))
    if size is None or head[begin + size : begin + size + 4] != _SEGMENT:
        return None
    size, begin = _vint(head, begin + size + 4)
    return None if size is None else position + begin + size


def boxes(reader: IndependentReader) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, beginning and end of the boxes of MP4 or QuickTime, up to one whose end is that of the file."""
    position = 0
    for _ in range(_MAX_BOXES):
        header = bytes_at(reader, position, 16)
        size = int.from_bytes(header[8:] if header[:4] == b"\0\0\0\1" else header[:4])
        if size < 8 or len(header) < 8:
            return
        yield header[4:8], position, position + size
        position += size


def brands(reader: IndependentReader) -> set[bytes]:
    """Return the brands that an MP4 or HEIF file says it is of."""
    name, begin, stop = next(boxes(reader), (b"", 0, 0))
    head = bytes_at(reader, begin, min(stop - begin, _EBML_HEAD_BYTES)) if name == b"ftyp" else b""
    return {head[at : at + 4] for at in range(8, len(head) - 3, 4)}


def bytes_at(reader: IndependentReader, position: int, size: int) -> bytes:
    """Read at most `size` bytes from a position on."""
    reader.seek(position)
    return reader.read(size)


def _vint(data: bytes, position: int) -> tuple[int | None, int]:
    """Return the size of an EBML element, None if it is unknown, and where its content begins."""
    length = 9 - data[position].bit_length() if position < len(data) else 0
    value = int.from_bytes(data[position : position + length], "big") & ((1 << 7 * length) - 1)
    return (None if value == (1 << 7 * length) - 1 else value), position + length
