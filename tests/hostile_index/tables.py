"""Lance tables that refer to files elsewhere, or that would take hours or terabytes to read."""

from __future__ import annotations

import os
import shutil
import struct
from typing import TYPE_CHECKING

from tests.hostile_index.edits import edit_manifest, found
from wave_search.store import LocalFiles, checksums

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from tests.hostile_index.edits import Builder

    Field = tuple[int, int | bytes]

_TABLE = "lance/segments.lance"
_DATA_FOOTER = struct.Struct("<QQQIIHH4s")
_LAST_BYTES = 16
"""Of a manifest: the position of its message, the format and a mark."""


def sign_tables(index: Path) -> None:
    """List the files of the tables with their checksums anew, as anyone can."""
    store = LocalFiles(index)
    listed = checksums.add(store, 99, [info.name for info in store.list("lance")])
    edit_manifest(index, lambda state: state.update(table_checksums={"version": 99, "digest": listed.digest}))


def _fields(message: bytes) -> Iterator[Field]:
    """Decode a message of protobuf that has only numbers and texts."""
    rest = iter(message)

    def number() -> int:
        value = shift = 0
        for byte in rest:
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        return value

    for first in rest:
        kind, value = first, 0
        if first >= 128:
            kind = first & 127 | number() << 7
        value = number()
        yield kind >> 3, bytes(next(rest) for _ in range(value)) if kind & 7 == 2 else value


def _message(fields: Iterable[Field]) -> bytes:
    parts = []
    for number, value in fields:
        if isinstance(value, int):
            parts += [_number(number << 3), _number(value)]
        else:
            parts += [_number(number << 3 | 2), _number(len(value)), value]
    return b"".join(parts)


def _number(value: int) -> bytes:
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    return bytes([*encoded, value])


def _with_manifest(change: Callable[[list[Field], Path], Iterable[Field]]) -> Builder:
    """Change the newest manifest that Lance has of the segments, and sign it."""

    def build(index: Path, home: Path) -> None:
        path = min((index / _TABLE / "_versions").glob("*.manifest"))
        data = path.read_bytes()
        (begin,) = struct.unpack_from("<Q", data, len(data) - _LAST_BYTES)
        message = _message(change(list(_fields(data[begin + 4 : -_LAST_BYTES])), home))
        path.write_bytes(data[:begin] + struct.pack("<I", len(message)) + message + data[-_LAST_BYTES:])
        sign_tables(index)

    return build


def _in_files(fields: Iterable[Field], change: Callable[[list[Field]], Iterable[Field]]) -> Iterator[Field]:
    """Change the entry of each data file."""
    for number, value in fields:
        if number == 2 and isinstance(value, bytes):
            inner = (
                (n, _message(change(list(_fields(v)))) if n == 2 and isinstance(v, bytes) else v)
                for n, v in _fields(value)
            )
            yield number, _message(inner)
        else:
            yield number, value


def _elsewhere(index: Path, home: Path) -> None:
    """Name the home folder as the base of the data files, and move them there."""

    def change(fields: list[Field], home: Path) -> Iterable[Field]:
        base = _message([(1, 0), (3, 0), (4, os.fsencode(home / "data"))])
        return [*_in_files(fields, lambda file: [*file, (7, 0)]), (18, base)]

    for path in (index / _TABLE / "data").iterdir():
        shutil.copy(path, home / "data")
    _with_manifest(change)(index, home)


def _sparse(pattern: str) -> Builder:
    def build(index: Path, _home: Path) -> None:
        os.truncate(found(index, pattern), 1 << 40)

    return build


def _added(name: str) -> Builder:
    def build(index: Path, _home: Path) -> None:
        path = index / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(min((index / _TABLE / "_versions").glob("*.manifest")).read_bytes())

    return build


def _pages(which: int, value: int) -> Builder:
    """Let the end of a data file give all its pages a position (1) or a size (2), and sign it."""

    def build(index: Path, _home: Path) -> None:
        path = found(index, f"{_TABLE}/data/*.lance")
        data = path.read_bytes()
        begin, listed_at, shared_at, *counts = _DATA_FOOTER.unpack(data[-_DATA_FOOTER.size :])
        columns, places = b"", b""
        for number in range(counts[1]):
            at, length = struct.unpack_from("<QQ", data, listed_at + 16 * number)
            column = _message(
                (n, _message((m, _same(w, value) if m == which else w) for m, w in _fields(v)) if n == 2 else v)
                for n, v in _fields(data[at : at + length])
                if isinstance(v, bytes)
            )
            places += struct.pack("<QQ", begin + len(columns), len(column))
            columns += column
        shared = data[shared_at : shared_at + 16 * counts[0]]
        listed_at = begin + len(columns)
        end = _DATA_FOOTER.pack(begin, listed_at, listed_at + len(places), *counts)
        path.write_bytes(data[:begin] + columns + places + shared + end)
        sign_tables(index)

    return build


def _same(numbers: int | bytes, value: int) -> bytes:
    count = sum(byte < 128 for byte in numbers) if isinstance(numbers, bytes) else 1
    return _number(value) * count


_OUT = b"../../../../home/data/thesis.lance"
TABLES: dict[str, Builder] = {
    "a table whose data are in a home folder": _elsewhere,
    "a table of data with .. in its name": _with_manifest(
        lambda fields, _home: _in_files(fields, lambda file: [(1, _OUT), *file[1:]])
    ),
    "a table with another folder that is not used": _with_manifest(
        lambda fields, home: [*fields, (18, _message([(1, 0), (3, 1), (4, os.fsencode(home))]))]
    ),
    "a table that is cleaned up by whoever writes": _with_manifest(
        lambda fields, _home: [
            *fields,
            (16, _message([(1, b"lance.auto_cleanup.interval"), (2, b"1")])),
            (16, _message([(1, b"lance.auto_cleanup.older_than"), (2, b"0s")])),
        ]
    ),
    "a table with a search structure": _with_manifest(lambda fields, _home: [*fields, (6, 0)]),
    "a table of a transaction elsewhere": _with_manifest(
        lambda fields, _home: [(n, b"../../../../home/notes.txt" if n == 12 else v) for n, v in fields]
    ),
    "a table of 2^40 rows": _with_manifest(
        lambda fields, _home: [
            (
                n,
                _message((m, 1 << 40 if m == 4 else w) for m, w in _fields(v))
                if n == 2 and isinstance(v, bytes)
                else v,
            )
            for n, v in fields
        ]
    ),
    "a table with pages of exabytes": _pages(2, 1 << 62),
    "a table with pages far behind its end": _pages(1, 1 << 62),
    "a table with a branch": _added(f"{_TABLE}/tree/main/_versions/18446744073709551600.manifest"),
    "a table with a tag": _added(f"{_TABLE}/_refs/tags/now.json"),
    "a table with a version of another name": _added(f"{_TABLE}/_versions/99.manifest"),
    "tables with a catalogue": _added("lance/__manifest.lance/_versions/18446744073709551600.manifest"),
    "a sparse data file of a terabyte": _sparse("lance/segments.lance/data/*.lance"),
    "a sparse hint of a terabyte": _sparse("lance/files.lance/_versions/latest_version_hint.json"),
    "a sparse version of a terabyte": lambda index, _home: os.truncate(
        min((index / _TABLE / "_versions").glob("*.manifest")), 1 << 40
    ),
    "sparse vectors of a terabyte": _sparse("shards/audio/0*/vectors.f16"),
    "sparse codes of a terabyte": _sparse("shards/audio/0*/codes.faiss"),
}
"""Indexes whose tables refer to files elsewhere, or to files that never end."""
