"""WTV recordings whose end is missing, and with it the directory that says where their content is.

Windows and FFmpeg write the content in a row behind the header, so a directory that says that makes it readable.
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wave_search.media.source import IndependentReader, Source

_SECTOR_BYTES = 1 << 12
_SECTORS_OF_UNIT = 64
"""Sectors of 4 KiB in the larger ones of content."""
_IN_TABLE = _SECTOR_BYTES // 4
_ROOT_AT = 0x30
_ENTRY = bytes.fromhex("92b774915970704488df063b82cc213d")
_CHUNK = bytes.fromhex("7e9ada118bf70007e95ead8d")
"""The end of the name of chunks such as the first one of the content."""
_CONTENT_AT = (0x1000, 0x40000)
_NAME = "timeline".encode("utf-16le")


def lacks_directory(reader: IndependentReader) -> bool:
    """Return whether a WTV file ends before its directory."""
    reader.seek(_ROOT_AT)
    head = reader.read(12)
    return len(head) < 12 or struct.unpack("<3I", head)[2] * _SECTOR_BYTES >= reader.seek(0, os.SEEK_END)


def mended(source: Source) -> MendedReader | IndependentReader:
    """Return a reader of a WTV file, with a directory if that is missing."""
    reader = source.reader()
    if lacks_directory(reader):
        for content_at in _CONTENT_AT:
            reader.seek(content_at + 4)
            if reader.read(len(_CHUNK)) == _CHUNK:
                return MendedReader(reader, content_at)
    return source.reader()


class MendedReader:
    """A reader of a WTV file with a directory behind its end.

    Args:
        reader: of the file, without the directory.
        content_at: where its content begins.
    """

    def __init__(self, reader: IndependentReader, content_at: int) -> None:
        self._reader, self._position = reader, 0
        self._file_bytes = reader.seek(0, os.SEEK_END)
        first = -(-self._file_bytes // _SECTOR_BYTES)
        directory = _directory(first, content_at // _SECTOR_BYTES, self._file_bytes - content_at)
        self._end = bytes(first * _SECTOR_BYTES - self._file_bytes) + directory
        self._root = struct.pack("<3I", _SECTOR_BYTES, 0, first)

    def read(self, size: int = -1) -> bytes:
        """Read at most `size` bytes, or all that are left."""
        total = self._file_bytes + len(self._end)
        stop = total if size < 0 else min(self._position + size, total)
        self._reader.seek(self._position)
        data = bytearray(self._reader.read(max(0, min(stop, self._file_bytes) - self._position)))
        at = self._position + len(data) - self._file_bytes
        data += self._end[at : stop - self._file_bytes] if at >= 0 else b""
        if self._position < _ROOT_AT + len(self._root):
            for index, byte in enumerate(self._root, _ROOT_AT - self._position):
                if 0 <= index < len(data):
                    data[index] = byte
        self._position += len(data)
        return bytes(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move the position, and return it."""
        total = self._file_bytes + len(self._end)
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: total}
        self._position = max(0, base[whence] + offset)
        return self._position

    def tell(self) -> int:
        """Return the position."""
        return self._position


def _directory(first: int, content: int, size: int) -> bytes:
    """Return the sectors of a directory of one file, and of the tables of its sectors.

    Args:
        first: number of the sector at which they will be.
        content: number of the first sector of the file.
        size: of the file in bytes.
    """
    units = range(content, content + -(-size // _SECTOR_BYTES), _SECTORS_OF_UNIT)[: _IN_TABLE**2]
    tables = [_sector(*units[start : start + _IN_TABLE]) for start in range(0, len(units), _IN_TABLE)]
    entry = struct.pack("<16sH6xQI4x", _ENTRY, 48 + len(_NAME), size, len(_NAME) // 2)
    root = (entry + _NAME + struct.pack("<II", first + 1, 2)).ljust(_SECTOR_BYTES, b"\0")
    return root + _sector(*range(first + 2, first + 2 + len(tables))) + b"".join(tables)


def _sector(*numbers: int) -> bytes:
    return struct.pack(f"<{len(numbers)}I", *numbers).ljust(_SECTOR_BYTES, b"\0")
