"""Check of the manifests of Lance: a table may only consist of files in its own folder.

A manifest, the file of one version of a table, ends with a protobuf message
(https://lance.org/format/table/). It may name other folders and other machines for its files, clean-up to be done by
writers, search structures, or columns whose values are files elsewhere. Our tables have none of these, so that only the
fields that they have are allowed, and a field that a later version of Lance may add is refused as well.
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from re import Pattern

    Fields = Mapping[int, "Fields | Pattern[bytes] | None"]

_COLUMN: Fields = dict.fromkeys(range(1, 8))
"""Type, name, ids, logical type, whether it is nullable, and encoding; no metadata."""
_FRAGMENTS, _FILES, _ROWS, _NAME, _SIZE = 2, 2, 4, 1, 6
_DATA_FILE: Fields = {_NAME: re.compile(rb"[0-9a-f]+\.lance"), **dict.fromkeys(range(2, 6)), _SIZE: None}
"""Name, columns, format and size; no folder of its own."""
_DELETIONS: Fields = dict.fromkeys(range(1, 5))
_FRAGMENT: Fields = {1: None, _FILES: _DATA_FILE, 3: _DELETIONS, _ROWS: None}
_MANIFEST: Fields = {
    1: _COLUMN,
    _FRAGMENTS: _FRAGMENT,
    3: None,  # version
    7: None,  # time
    **dict.fromkeys((9, 10, 11)),  # features, and the highest id of a fragment
    12: re.compile(rb"[0-9]+-[0-9a-f-]+\.txn"),
    13: None,  # the program that wrote it
    15: None,  # format of the data files
    **dict.fromkeys((21, 23)),  # position of the transaction: until Lance 13, and since
}
_FOOTER = struct.Struct("<QHH4s")
_LENGTH = struct.Struct("<I")
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MAX_SHIFT = 63


class ForeignFieldError(ValueError):
    """The manifest is valid, but has something that our tables do not have."""


class DataFile(NamedTuple):
    """What a manifest says of a data file."""

    size_bytes: int
    rows: int
    """With those that were deleted."""


def check_manifest(data: bytes) -> dict[str, DataFile]:
    """Check the content of a file.

    Returns:
        The data files of the version, by name.

    Raises:
        ForeignFieldError: it refers to files elsewhere, or to anything else that our tables do not have.
        ValueError: it is damaged.
    """
    try:
        begin, _, _, magic = _FOOTER.unpack_from(data, len(data) - _FOOTER.size)
        (length,) = _LENGTH.unpack_from(data, begin)
        begin += _LENGTH.size
        if magic != b"LANC" or begin + length + _FOOTER.size != len(data):
            raise ValueError("its end is missing")
        end = begin + length
        _check_message(data, begin, end, _MANIFEST, "")
        return dict(_data_files(data, begin, end))
    except (struct.error, IndexError, OverflowError) as error:
        raise ValueError("its content cannot be decoded") from error


def _data_files(data: bytes, begin: int, end: int) -> Iterator[tuple[str, DataFile]]:
    """Yield each data file with its name."""
    for number, _, *place in decode_fields(data, begin, end):
        if number == _FRAGMENTS:
            fragment = _places(data, *place)
            rows = decode_number(data, fragment[_ROWS][0])[0] if _ROWS in fragment else 0
            for inner, _, *file_place in decode_fields(data, *place):
                file = _places(data, *file_place) if inner == _FILES else {}
                if file.keys() >= {_NAME, _SIZE}:
                    size_bytes, _ = decode_number(data, file[_SIZE][0])
                    yield data[slice(*file[_NAME])].decode("ascii"), DataFile(size_bytes, rows)


def _places(data: bytes, begin: int, end: int) -> dict[int, tuple[int, int]]:
    """Return where the value of each field of a message begins and stops; the last one of repeated fields."""
    return {number: (at, stop) for number, _, at, stop in decode_fields(data, begin, end)}


def _check_message(data: bytes, begin: int, end: int, allowed: Fields, outer: str) -> None:
    for number, kind, at, stop in decode_fields(data, begin, end):
        name = f"{outer}{number}"
        if number not in allowed:
            raise ForeignFieldError(f"it has the field {name}")
        expected = allowed[number]
        if expected is None:
            continue
        if kind != _BYTES:
            raise ValueError(f"the field {name} is of another type")
        if not isinstance(expected, re.Pattern):
            _check_message(data, at, stop, expected, f"{name}.")
        elif expected.fullmatch(data, at, stop) is None:
            raise ForeignFieldError(f"it names the file {data[at:stop][:100]!r}")


def decode_fields(data: bytes, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield the number and the kind of each field of a message, and where its value begins and stops."""
    while at < end:
        tag, at = decode_number(data, at)
        kind = tag & 7
        if kind == _VARINT:
            _, stop = decode_number(data, at)
        elif kind == _BYTES:
            length, at = decode_number(data, at)
            stop = at + length
        elif kind in (_FIXED64, _FIXED32):
            stop = at + (8 if kind == _FIXED64 else 4)
        else:
            raise ValueError("its content cannot be decoded")
        if stop > end:
            raise ValueError("its content cannot be decoded")
        yield tag >> 3, kind, at, stop
        at = stop


def decode_number(data: bytes, at: int) -> tuple[int, int]:
    """Return a number of variable length, and where the next one begins."""
    byte = data[at]
    value, shift = byte & 127, 7
    while byte > 127:
        if shift > _MAX_SHIFT:
            raise ValueError("its content cannot be decoded")
        at += 1
        byte = data[at]
        value |= (byte & 127) << shift
        shift += 7
    return value, at + 1
