"""Reading of metadata tables, CSV or JSON Lines, into typed columns."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import re
import sys
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from wave_search.errors import UsageError
from wave_search.media.encoding import EncodingError, detect_encoding
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
_UTF8 = ("utf-8", "utf-8-sig")
_WIDE = ("utf-16", "utf-32", "utf_16")
_SURROGATE = re.compile("[\ud800-\udfff]")
_HALF = "a text has half of a surrogate pair, which is no character"
_FORMS = 'Use a CSV file with a header, or lines of JSON like {"path": "a.wav", "year": 2020}.'


@dataclass(frozen=True, slots=True)
class MetadataTable:
    """Values of metadata columns by file."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, Mapping[str, Value]], ...]
    """Path, as in the table, and values by column, without empty cells."""
    malformed: tuple[str, ...] = ()
    """Rows that were left out, as line number and cause."""
    encoding: str = "utf-8"
    """Of the table."""


_Row = tuple[int, dict[str, Any] | str]
"""The number of a line, from 1, and its cells by column, or what is wrong with it."""


def read(file: Path, known: Iterable[Column] = ()) -> MetadataTable:
    """Read a CSV or JSON Lines file that has a column "path". The first character decides between the two formats.

    Args:
        file: in UTF-8, or in another encoding that is certain. In a table in UTF-8, paths may have other bytes, in JSON
            as lone surrogates.
        known: columns of the index. A text column of the index stays text.

    Raises:
        UsageError: it is in neither format or of an uncertain encoding, or all rows are malformed; the message names
            the line.
        OSError: it cannot be read.
    """
    numbered, encoding = _numbered(file, file.read_bytes())
    malformed = [(number, row) for number, row in numbered if isinstance(row, str)]
    good = [(number, row) for number, row in numbered if not isinstance(row, str)]
    if malformed and not good:
        number, cause = malformed[0]
        raise UsageError(f"{file}, line {number}: {cause}", _FORMS)
    names = tuple(dict.fromkeys(name for _, row in good for name in row if name != PATH))
    types = {column.name: column.type for column in known}
    columns = tuple(_column(file, name, [row.get(name) for _, row in good], types.get(name)) for name in names)
    rows = tuple((row[PATH], _values(row, columns)) for _, row in good)
    return MetadataTable(columns, rows, tuple(f"line {number}: {cause}" for number, cause in malformed), encoding)


def _numbered(file: Path, data: bytes) -> tuple[list[_Row], str]:
    """Parse a table, and return its encoding; that of bytes in paths if all else is in UTF-8."""
    failed: EncodingError | None = None
    try:
        encoding = detect_encoding(data)
    except EncodingError as error:
        encoding, failed = "utf-8", error
    if encoding.startswith(_WIDE):
        return _without_halves(_parsed(file, data, encoding)), encoding
    is_wide = failed is not None and b"\0" in data
    numbered = [] if is_wide else _parsed(file, data, "utf-8")
    if is_wide or any(_is_beyond_path(row) for _, row in numbered):
        if failed is not None:
            raise UsageError(f"{file}: {failed}", failed.remedy) from failed
        numbered = _without_halves(_parsed(file, data, encoding))
    return numbered, encoding


def _parsed(file: Path, data: bytes, encoding: str) -> list[_Row]:
    """Parse a table, with bytes that are not in its encoding as lone surrogates."""
    text = data.decode("utf-8-sig" if encoding in _UTF8 else encoding, "surrogateescape")
    parse = _json_rows if text.startswith("{") else _csv_rows
    with io.StringIO(text, newline="") as lines:
        return [(number, row if isinstance(row, str) else _checked(row)) for number, row in parse(file, lines)]


def _is_beyond_path(row: dict[str, Any] | str) -> bool:
    """Return whether other cells than the path have bytes that could not be decoded, or half of a surrogate pair."""
    cells = () if isinstance(row, str) else (cell for cell in row.items() if cell[0] != PATH)
    return any(not _is_unicode(part) for cell in cells for part in cell)


def _without_halves(rows: Iterable[_Row]) -> list[_Row]:
    """Refuse rows that have surrogates although all bytes were decoded: JSON can escape half of a pair."""
    return [(number, _HALF if _is_beyond_path(row) else row) for number, row in rows]


def _csv_rows(file: Path, lines: Iterable[str]) -> Iterator[_Row]:
    iterator = iter(lines)
    header = next(iterator, "")
    delimiter = max(_DELIMITERS, key=header.count)
    limit = csv.field_size_limit(sys.maxsize)
    try:
        names = [_nfc(name) for name in next(csv.reader([header], delimiter=delimiter, strict=True), [])]
        if PATH not in names or len(set(names)) != len(names) or not all(names):
            cause = f'its header has no column "{PATH}", or a column without a name, or two of the same name'
            raise UsageError(f"{file}: {cause}", _FORMS)
        reader = csv.reader(iterator, delimiter=delimiter, strict=True)
        for cells in reader:
            if len(cells) == len(names):
                yield reader.line_num + 1, {name: cell for name, cell in zip(names, cells, strict=True) if cell != ""}
            elif cells:
                yield reader.line_num + 1, f"the row has {len(cells)} cells, the header {len(names)}"
    except csv.Error as error:
        raise UsageError(f"{file}: not valid CSV: {error}", _FORMS) from error
    finally:
        csv.field_size_limit(limit)


def _json_rows(_file: Path, lines: Iterable[str]) -> Iterator[_Row]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line, parse_int=_integer)
        except (ValueError, RecursionError) as error:
            yield number, f"not valid JSON: {'nested too deeply' if isinstance(error, RecursionError) else error}"
            continue
        if not isinstance(row, dict):
            yield number, "not a JSON object"
            continue
        yield number, {_nfc(name): cell for name, cell in row.items() if cell is not None and cell not in ("", [])}


def _integer(digits: str) -> int:
    if len(digits) > _MAX_NUMBER_CHARS:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)


def _checked(row: dict[str, Any]) -> dict[str, Any] | str:
    """Return a row with its texts composed, or what is wrong with it."""
    path = row.get(PATH)
    if not isinstance(path, str) or "\0" in path or not _is_file_name(path):
        return "no valid path"
    for name, value in row.items():
        if not _is_cell(value):
            return f'"{name}" is not a string, a finite number, a boolean or a list of strings'
        if _is_out_of_calendar(value):
            return f'"{name}" is a time before the year 1 or after 9999 in UTC'
    return {name: value if name == PATH else _nfc(value) for name, value in row.items()}


def _is_cell(value: Any) -> bool:
    if isinstance(value, list):
        return all(isinstance(item, str) for item in value)
    return value is None or isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))


def _is_file_name(text: str) -> bool:
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        return False
    return True


def _is_unicode(value: Any) -> bool:
    parts = value if isinstance(value, list) else [value]
    return not any(isinstance(part, str) and _SURROGATE.search(part) for part in parts)


def _nfc(value: Any) -> Any:
    """Return a text, or the texts of a list, with their letters composed."""
    if isinstance(value, list):
        return [_nfc(item) for item in value]
    return unicodedata.normalize("NFC", value) if isinstance(value, str) else value


def _is_out_of_calendar(cell: Any) -> bool:
    try:
        _utc(cell)
    except OverflowError:
        return True
    except (TypeError, ValueError):
        pass
    return False


def _utc(cell: Any) -> datetime:
    """Parse a time; raises OverflowError if it is before the year 1 or after 9999 in UTC."""
    moment = datetime.fromisoformat(cell)
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


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
        return _utc(cell).isoformat()
    except (TypeError, ValueError):
        return None


def _as_text(cell: Any) -> str:
    return cell if isinstance(cell, str) else json.dumps(cell)


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
