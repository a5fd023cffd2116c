"""Check of the data files of Lance: their pages lie within the file, and hold the rows that a manifest names.

Lance takes the positions and sizes of pages from the end of a file (https://lance.org/format/file/) and allocates what
they say, so that a size of exabytes, or 2^40 rows, ends the process or keeps it busy for hours.
"""

from __future__ import annotations

import os
import struct
import time
from typing import TYPE_CHECKING

from wave_search.files import check_holes, open_regular
from wave_search.store.lance_manifest import decode_fields, decode_number

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FOOTER = struct.Struct("<QQQIIHH4s")
"""Positions of the columns' metadata, of the list of these and of that of shared buffers; numbers of the last two,
counts first of buffers and then of columns; version; mark."""
_PLACE = struct.Struct("<QQ")
_PAGES, _COLUMN_POSITIONS, _COLUMN_SIZES = 2, 3, 4
_PAGE_POSITIONS, _PAGE_SIZES, _PAGE_ROWS = 1, 2, 3
MAX_ROWS = 1 << 24
"""Of a data file: compaction begins another one long before."""
_MAX_METADATA_BYTES = 256 << 20
_SETTLED_NS = 2_000_000_000
_MOST_PASSED = 20_000
_passed: set[tuple[int, ...]] = set()
"""Files of this process that were checked, as they were then. A commit opens the tables three times, and each of many
small commits has made files of its own."""
_DAMAGED = "its end cannot be decoded"


def check_data_file(path: Path, rows: int) -> None:
    """Check that all that the end of a data file refers to is in the file, and its rows; reads only this end.

    A file that was checked before and has not changed since is not read again.

    Args:
        path: the file.
        rows: how many it should have.

    Raises:
        ValueError: it is not, it has another number of rows, or the end is damaged.
        OSError: the file cannot be read.
    """
    with open_regular(path) as file:
        status = os.fstat(file.fileno())
        size_bytes = status.st_size
        same = status.st_dev, status.st_ino, size_bytes, status.st_mtime_ns, status.st_ctime_ns, rows
        if same in _passed:
            return
        check_holes(file, path)
        try:
            file.seek(max(size_bytes - _FOOTER.size, 0))
            begin, columns_at, _, _, columns, _, _, magic = _FOOTER.unpack(file.read())
            if magic != b"LANC" or not begin <= columns_at <= size_bytes - _FOOTER.size:
                raise ValueError(_DAMAGED)
            if size_bytes - begin > _MAX_METADATA_BYTES:
                raise ValueError(f"its end has {size_bytes - begin:,} bytes")
            file.seek(begin)
            end = file.read()
            for number in range(columns):
                at, length = _PLACE.unpack_from(end, columns_at - begin + number * _PLACE.size)
                if not begin <= at <= at + length <= size_bytes:
                    raise ValueError(_DAMAGED)
                found = sum(_page_rows(end, at - begin, at - begin + length))
                if not found == rows <= MAX_ROWS:
                    raise ValueError(f"a column of it has {found:,} rows, and the table expects {rows:,}")
                for position, size in _buffers(end, at - begin, at - begin + length):
                    if position + size > size_bytes:
                        raise ValueError(f"a page of {size:,} bytes at {position:,} is not in it")
        except (struct.error, IndexError, OverflowError) as error:
            raise ValueError(_DAMAGED) from error
        # A change within the resolution of the times would not be seen.
        if time.time_ns() - max(status.st_mtime_ns, status.st_ctime_ns) > _SETTLED_NS:
            if len(_passed) >= _MOST_PASSED:
                _passed.clear()
            _passed.add(same)


def _buffers(data: bytes, at: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the position and the size of each buffer of a column."""
    yield from _paired(data, at, end, _COLUMN_POSITIONS, _COLUMN_SIZES)
    for number, _, begin, stop in decode_fields(data, at, end):
        if number == _PAGES:
            yield from _paired(data, begin, stop, _PAGE_POSITIONS, _PAGE_SIZES)


def _page_rows(data: bytes, at: int, end: int) -> Iterator[int]:
    """Yield the number of rows of each page of a column."""
    for number, _, *page in decode_fields(data, at, end):
        if number == _PAGES:
            yield from (
                decode_number(data, begin)[0] for n, _, begin, _ in decode_fields(data, *page) if n == _PAGE_ROWS
            )


def _paired(data: bytes, at: int, end: int, positions: int, sizes: int) -> Iterator[tuple[int, int]]:
    found: dict[int, list[int]] = {positions: [], sizes: []}
    for number, _, begin, stop in decode_fields(data, at, end):
        if number in found:
            next_at = begin
            while next_at < stop:  # one number, or several that are packed
                value, next_at = decode_number(data, next_at)
                found[number].append(value)
    return zip(found[positions], found[sizes], strict=False)
