"""Check of the manifests of Lance: a table may only consist of files in its own folder.

A manifest, the file of one version of a table, ends with a protobuf message
(https://lance.org/format/table/). It may name other folders and other machines for its files, clean-up to be done by
writers, search structures, or columns whose values are files elsewhere. Our tables have none of these, so that only the
fields that they have are allowed, and a field that a later version of Lance may add is refused as well.
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from re import Pattern

    Fields = Mapping[int, "Fields | Pattern[bytes] | None"]

_COLUMN: Fields = dict.fromkeys(range(1, 8))
"""Type, name, ids, logical type, whether it is nullable, and encoding; no metadata."""
_DATA_FILE: Fields = {1: re.compile(rb"[0-9a-f]+\.lance"), **dict.fromkeys(range(2, 7))}
"""Name, columns, format and size; no folder of its own."""
_DELETIONS: Fields = dict.fromkeys(range(1, 5))
_FRAGMENT: Fields = {1: None, 2: _DATA_FILE, 3: _DELETIONS, 4: None}
_MANIFEST: Fields = {
    1: _COLUMN,
    2: _FRAGMENT,
    3: None,  # version
    7: None,  # time
    **dict.fromkeys((9, 10, 11)),  # features, and the highest id of a fragment
    12: re.compile(rb"[0-9]+-[0-9a-f-]+\.txn"),
    13: None,  # the program that wrote it
    15: None,  # format of the data files
    21: None,  # position of the transaction
}
_FOOTER = struct.Struct("<QHH4s")
_LENGTH = struct.Struct("<I")
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MAX_SHIFT = 63


class ForeignFieldError(ValueError):
    """The manifest is valid, but has something that our tables do not have."""


def check_manifest(data: bytes) -> None:
    """Check the content of a file.

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
        _check_message(data, begin, begin + length, _MANIFEST, "")
    except (struct.error, IndexError, OverflowError) as error:
        raise ValueError("its content cannot be decoded") from error


def _check_message(data: bytes, begin: int, end: int, allowed: Fields, outer: str) -> None:
    for number, value in _fields(data, begin, end):
        name = f"{outer}{number}"
        if number not in allowed:
            raise ForeignFieldError(f"it has the field {name}")
        expected = allowed[number]
        if expected is None:
            continue
        if value is None:
            raise ValueError(f"the field {name} is of another type")
        if isinstance(expected, re.Pattern):
            if expected.fullmatch(data, *value) is None:
                raise ForeignFieldError(f"it names the file {data[slice(*value)][:100]!r}")
        else:
            _check_message(data, *value, expected, f"{name}.")


def _fields(data: bytes, at: int, end: int) -> Iterator[tuple[int, tuple[int, int] | None]]:
    """Yield the numbers of the fields of a message, each with where its bytes are, None for a number."""
    while at < end:
        tag, at = _varint(data, at)
        kind, value = tag & 7, None
        if kind == _VARINT:
            _, at = _varint(data, at)
        elif kind == _BYTES:
            length, at = _varint(data, at)
            value = at, at + length
            at += length
        elif kind in (_FIXED64, _FIXED32):
            at += 8 if kind == _FIXED64 else 4
        else:
            raise ValueError("its content cannot be decoded")
        if at > end:
            raise ValueError("its content cannot be decoded")
        yield tag >> 3, value


def _varint(data: bytes, at: int) -> tuple[int, int]:
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
