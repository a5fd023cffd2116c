"""Reading of metadata tables, CSV or JSON Lines, row by row into typed columns."""

from __future__ import annotations

import csv
import io
import json
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from wave_search.errors import UsageError
from wave_search.files import composed_text
from wave_search.indexer.metadata_cells import (
    MAX_DIGITS,
    PATH,
    ColumnTypes,
    convert,
    fault,
    is_unicode,
)
from wave_search.media.encoding import EncodingError, detect_encoding
from wave_search.store import Column

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path
    from typing import BinaryIO, TextIO

    from wave_search.types import ColumnType, Value

MAX_ROW_CHARS = 10_000_000
"""A row is in memory as a whole, which may be the rest of a table after a quotation mark that is not closed."""
MAX_COLUMNS = 10_000
MAX_LISTED = 1000
"""Of the rows that are left out, so many are reported in full, the others counted."""
_DELIMITERS = ",;\t"
_WIDE = ("utf-16", "utf-32", "utf_16")
_HEAD_BYTES = 4096
_FORMS = 'Use a CSV file with a header, or lines of JSON like {"path": "a.wav", "year": 2020}.'


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows that were left out."""

    listed: tuple[str, ...]
    """The first `MAX_LISTED`."""
    count: int


@dataclass(frozen=True, slots=True)
class MetadataTable:
    """Values of metadata columns by indexed file."""

    columns: tuple[Column, ...]
    """Without those that have no value in the table and are not in the index."""
    values: Mapping[bytes, Mapping[str, Value]]
    """By indexed file and column, without empty cells."""
    unknown: Rows
    """Paths of files that are not indexed."""
    malformed: Rows
    """Malformed rows, as line numbers and cause."""


class _Row(NamedTuple):
    first: int
    """Line in which it begins, from 1."""
    last: int
    cells: dict[str, Any]
    fault: str | None = None
    """Why it could not be parsed."""

    @property
    def place(self) -> str:
        return f"line {self.first}" if self.first == self.last else f"lines {self.first} to {self.last}"


class _RowError(Exception):
    pass


def read(file: Path, known: Iterable[Column], find: Callable[[str, str], bytes | None]) -> MetadataTable:
    """Read a CSV or JSON Lines file that has a column "path". The first character decides between the two formats.

    Only the values of indexed files and one row are in memory, independent of the size of the table. The types of
    columns are inferred from all rows.

    Args:
        file: in UTF-8, or in another encoding that is certain. In a table in UTF-8, paths may have other bytes, in JSON
            as lone surrogates. It may be a pipe.
        known: columns of the index. A text column of the index stays text.
        find: returns the indexed file of a path in the table, None if there is none. Its second argument is the
            encoding of bytes in paths.

    Raises:
        UsageError: it is in neither format or of an uncertain encoding, or all rows are malformed; the message names
            the line.
        OSError: it cannot be read.
    """
    with _opened(file) as stream:
        encoding, of_paths = _encodings(file, stream)
        types = ColumnTypes()
        cells: dict[bytes, dict[str, Any]] = {}
        unknown, malformed = _Report(), _Report()
        good = 0
        for row in _rows(file, stream, encoding):
            cause = row.fault or fault(row.cells)
            if cause is not None:
                malformed.add(f"{row.place}: {cause}")
                continue
            good += 1
            types.add(row.cells)
            if len(types) > MAX_COLUMNS:
                raise UsageError(f"{file}, {row.place}: more than {MAX_COLUMNS:,} columns", _FORMS)
            path = row.cells.pop(PATH)
            found = find(path, of_paths)
            if found is None:
                unknown.add(path)
            else:
                cells[found] = {name: cell for name, cell in row.cells.items() if cell is not None}
    if malformed.count and not good:
        raise UsageError(f"{file}, {malformed.listed[0]}", _FORMS)
    known_types = {column.name: column.type for column in known}
    emptied = [Column(name, known_types[name]) for name in types.without_values() if name in known_types]
    columns = (*(_column(file, name, it, known_types.get(name)) for name, it in types.found().items()), *emptied)
    values = {path: _values(row, columns) for path, row in cells.items()}
    return MetadataTable(columns, values, unknown.rows(), malformed.rows())


class _Report:
    def __init__(self) -> None:
        self.listed: list[str] = []
        self.count = 0

    def add(self, what: str) -> None:
        self.count += 1
        if self.count <= MAX_LISTED:
            self.listed.append(what)

    def rows(self) -> Rows:
        return Rows(tuple(self.listed), self.count)


@contextmanager
def _opened(file: Path) -> Iterator[BinaryIO]:
    """Open a file; a pipe, which can only be read once, as a temporary copy."""
    with file.open("rb") as stream:
        if stream.seekable():
            yield stream
            return
        with tempfile.TemporaryFile() as copy:
            shutil.copyfileobj(stream, copy)
            yield copy


def _encodings(file: Path, stream: BinaryIO) -> tuple[str, str]:
    """Return the encoding of a table and that of bytes in paths, which differ if all but paths is in UTF-8."""
    failed: EncodingError | None = None
    try:
        encoding = detect_encoding(stream)
    except EncodingError as error:
        encoding, failed = "utf-8", error
    if failed is None and (encoding.startswith(("utf-8", *_WIDE))):
        return encoding, encoding
    stream.seek(0)
    is_wide = b"\0" in stream.read(_HEAD_BYTES)
    if not is_wide and all(map(_is_unicode_beyond_path, _rows(file, stream, "utf-8"))):
        return "utf-8", encoding
    if failed is not None:
        raise UsageError(f"{file}: {failed}", failed.remedy) from failed
    return encoding, encoding


def _is_unicode_beyond_path(row: _Row) -> bool:
    return all(is_unicode(part) for cell in row.cells.items() if cell[0] != PATH for part in cell)


def _rows(file: Path, stream: BinaryIO, encoding: str) -> Iterator[_Row]:
    """Parse a table, with bytes that are not in its encoding as lone surrogates, and empty cells as None."""
    stream.seek(0)
    codec = "utf-8-sig" if encoding.startswith("utf-8") else encoding
    text = io.TextIOWrapper(stream, codec, errors="surrogateescape", newline="")
    limit = csv.field_size_limit(MAX_ROW_CHARS)
    try:
        is_json = text.read(1) == "{"
        text.seek(0)
        lines = _Lines(text)
        parse = partial(_json_cells, lines) if is_json else _csv_parser(file, lines)
        while True:
            first = lines.begin_row()
            try:
                cells = parse()
            except StopIteration:
                return
            except _RowError as error:
                yield _Row(first, lines.number, {}, str(error))
            else:
                if cells is not None:
                    yield _Row(first, lines.number, cells)
    finally:
        csv.field_size_limit(limit)
        text.detach()


class _Lines:
    """The lines of a table."""

    def __init__(self, text: TextIO) -> None:
        self._text = text
        self._row_chars = 0
        self.number = 0
        """Of the last line that was read, from 1."""

    def begin_row(self) -> int:
        """Return the number of the next line."""
        self._row_chars = 0
        return self.number + 1

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._text.readline(MAX_ROW_CHARS)
        if not line:
            raise StopIteration
        self.number += 1
        self._row_chars += len(line)
        if self._row_chars < MAX_ROW_CHARS:
            return line
        while line and not line.endswith(("\n", "\r")):
            line = self._text.readline(MAX_ROW_CHARS)
        raise _RowError(f"longer than {MAX_ROW_CHARS // 10**6} million characters")


def _csv_parser(file: Path, lines: _Lines) -> Callable[[], dict[str, Any] | None]:
    """Read the header of a CSV table, and return a function that parses the next row, if it is not blank."""
    try:
        header = next(lines, "")
        delimiter = max(_DELIMITERS, key=header.count)
        names = [composed_text(name) for name in next(csv.reader([header], delimiter=delimiter, strict=True), [])]
    except (_RowError, csv.Error) as error:
        raise UsageError(f"{file}, line 1: {_csv_cause(error)}", _FORMS) from error
    if PATH not in names or len(set(names)) != len(names) or not all(names):
        cause = f'its header has no column "{PATH}", or a column without a name, or two of the same name'
        raise UsageError(f"{file}: {cause}", _FORMS)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)

    def parse() -> dict[str, Any] | None:
        try:
            cells = next(reader)
        except csv.Error as error:
            raise _RowError(_csv_cause(error)) from error
        if len(cells) == len(names):
            return {name: cell or None for name, cell in zip(names, cells, strict=True)}
        if cells:
            raise _RowError(f"the row has {len(cells)} cells, the header {len(names)}")
        return None

    return parse


def _csv_cause(error: Exception) -> str:
    if isinstance(error, _RowError):
        return str(error)
    cause = str(error)
    return "a quotation mark is not closed" if cause == "unexpected end of data" else f"not valid CSV: {cause}"


def _json_cells(lines: _Lines) -> dict[str, Any] | None:
    line = next(lines)
    if not line.strip():
        return None
    try:
        row = json.loads(line, parse_int=_integer)
    except RecursionError as error:
        raise _RowError("not valid JSON: nested too deeply") from error
    except ValueError as error:
        raise _RowError(f"not valid JSON: {error}") from error
    if not isinstance(row, dict):
        raise _RowError("not a JSON object")
    if not all(map(is_unicode, row)):
        raise _RowError("a name has half of a surrogate pair, which is no character")
    return {composed_text(name): None if cell in ("", []) else cell for name, cell in row.items()}


def _integer(digits: str) -> int | str:
    """Parse an integer; one that is too long stays text, which `fault` refuses."""
    return digits if len(digits) > MAX_DIGITS + 1 else int(digits)


def _column(file: Path, name: str, found: ColumnType, known: ColumnType | None) -> Column:
    if known == "text" and found != "texts":
        return Column(name, "text")
    if known not in (None, found):
        what = f'the column "{name}" has the type {known} in the index, but {found} in {file}'
        raise UsageError(what, f"Remove it first with `wave-search metadata remove {name}`, or rename it in the file.")
    return Column(name, found)


def _values(cells: Mapping[str, Any], columns: Iterable[Column]) -> dict[str, Value]:
    return {column.name: convert(cells[column.name], column.type) for column in columns if column.name in cells}
