"""Reading of metadata tables, CSV or JSON Lines, into typed columns."""

from __future__ import annotations

import csv
import json
import math
import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from wave_search.errors import UsageError
from wave_search.store import Column

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from wave_search.types import ColumnType, Value

PATH = "path"
_NUMBER = re.compile(r"[+-]?(0|[1-9]\d*)(\.\d*)?([eE][+-]?\d+)?|[+-]?\.\d+([eE][+-]?\d+)?")
"""A number with a leading zero is an identifier and stays text."""
_MAX_NUMBER_CHARS = 1000
"""Python refuses to convert more than 4,300 digits."""
_EXACT_TO = 2**53
"""Larger integers are not exact as floating-point numbers, so they are treated as identifiers, too."""
_INF = float("inf")
_BOOLS = {"true": True, "false": False}
_DELIMITERS = ",;\t"
_FORMS = 'Use a CSV file with a header, or lines of JSON like {"path": "a.wav", "year": 2020}.'


@dataclass(frozen=True, slots=True)
class MetadataTable:
    """Values of metadata columns by file."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, Mapping[str, Value]], ...]
    """Path, as in the table, and values by column, without empty cells."""


def read(file: Path, known: Iterable[Column] = ()) -> MetadataTable:
    """Read a CSV or JSON Lines file that has a column "path". The first character decides between the two formats.

    Args:
        file: encoded in UTF-8. Paths that are not valid UTF-8 are written as their raw bytes, or in JSON as lone
            surrogates.
        known: columns of the index. A text column of the index stays text.

    Raises:
        UsageError: it is in neither format, or a row is malformed; the message names the line.
        OSError: it cannot be read.
    """
    with file.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as lines:
        start = lines.read(1)
        lines.seek(0)
        parse = _json_rows if start == "{" else _csv_rows
        numbered = list(parse(file, lines))
    names = tuple(dict.fromkeys(name for _, row in numbered for name in row if name != PATH))
    rows = [(_path(file, number, row), row) for number, row in numbered]
    types = {column.name: column.type for column in known}
    columns = tuple(_column(file, name, [row.get(name) for _, row in rows], types.get(name)) for name in names)
    return MetadataTable(columns, tuple((path, _values(row, columns)) for path, row in rows))


def _csv_rows(file: Path, lines: Iterable[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    iterator = iter(lines)
    header = next(iterator, "")
    delimiter = max(_DELIMITERS, key=header.count)
    try:
        names = next(csv.reader([header], delimiter=delimiter, strict=True), [])
        if PATH not in names or len(set(names)) != len(names) or not all(names):
            cause = f'its header has no column "{PATH}", or a column without a name, or two of the same name'
            raise UsageError(f"{file}: {cause}", _FORMS)
        reader = csv.reader(iterator, delimiter=delimiter, strict=True)
        for cells in reader:
            if not cells:
                continue
            if len(cells) != len(names):
                what = f"the row has {len(cells)} cells, the header {len(names)}"
                raise UsageError(f"{file}, line {reader.line_num + 1}: {what}", _FORMS)
            yield reader.line_num + 1, {name: cell for name, cell in zip(names, cells, strict=True) if cell != ""}
    except csv.Error as error:
        raise UsageError(f"{file}: not valid CSV: {error}", _FORMS) from error


def _json_rows(file: Path, lines: Iterable[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise UsageError(f"{file}, line {number}: not valid JSON: {error}", _FORMS) from error
        if not isinstance(row, dict):
            raise UsageError(f"{file}, line {number}: not a JSON object", _FORMS)
        for name, value in row.items():
            if not _is_cell(value):
                raise UsageError(
                    f'{file}, line {number}: "{name}" is not a string, a finite number, a boolean or a list of strings',
                    _FORMS,
                )
        yield number, {name: value for name, value in row.items() if value is not None and value not in ("", [])}


def _is_cell(value: Any) -> bool:
    if isinstance(value, list):
        return all(isinstance(item, str) for item in value)
    return value is None or isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))


def _path(file: Path, number: int, row: Mapping[str, Any]) -> str:
    path = row.get(PATH)
    try:
        if isinstance(path, str) and b"\0" not in os.fsencode(path):
            return path
    except UnicodeEncodeError:
        pass
    raise UsageError(f"{file}, line {number}: no valid path", _FORMS)


def _column(file: Path, name: str, cells: Sequence[Any], known: ColumnType | None) -> Column:
    present = [cell for cell in cells if cell is not None]
    found = Column(name, _type(present))
    if known == "text" and found.type != "texts":
        return Column(name, "text")
    if known not in (None, found.type) and present:
        what = f'the column "{name}" has the type {known} in the index, but {found.type} in {file}'
        raise UsageError(what, f"Remove it first with `wave-search metadata remove {name}`, or rename it in the file.")
    return found


def _type(cells: Sequence[Any]) -> ColumnType:
    if any(isinstance(cell, list) for cell in cells):
        return "texts"
    for column_type in _NARROW:
        if cells and all(_CONVERT[column_type](cell) is not None for cell in cells):
            return column_type
    return "text"


def _values(row: Mapping[str, Any], columns: Iterable[Column]) -> dict[str, Value]:
    return {column.name: _CONVERT[column.type](row[column.name]) for column in columns if column.name in row}


def _as_bool(cell: Any) -> bool | None:
    if isinstance(cell, bool):
        return cell
    return _BOOLS.get(cell.casefold()) if isinstance(cell, str) else None


def _as_number(cell: Any) -> float | None:
    if isinstance(cell, str) and len(cell) <= _MAX_NUMBER_CHARS and _NUMBER.fullmatch(cell):
        cell = int(cell) if cell.lstrip("+-").isdigit() else float(cell)
    if isinstance(cell, bool | str) or (isinstance(cell, int) and abs(cell) > _EXACT_TO) or cell in (_INF, -_INF):
        return None
    number: float = cell
    return number


def _as_timestamp(cell: Any) -> str | None:
    try:
        moment = datetime.fromisoformat(cell)
        return (moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment).isoformat()
    except (TypeError, ValueError, OverflowError):  # the last: in UTC it is before the year 1 or after 9999
        return None


def _as_text(cell: Any) -> str:
    text = cell if isinstance(cell, str) else json.dumps(cell)
    return text.encode("utf-8", "replace").decode()


def _as_texts(cell: Any) -> list[str]:
    return [_as_text(item) for item in (cell if isinstance(cell, list) else [cell])]


_NARROW: tuple[ColumnType, ...] = ("bool", "number", "timestamp")
"""The types that not all cells have, in the order in which they are tried."""
_CONVERT: dict[ColumnType, Any] = {
    "bool": _as_bool,
    "number": _as_number,
    "timestamp": _as_timestamp,
    "text": _as_text,
    "texts": _as_texts,
}
