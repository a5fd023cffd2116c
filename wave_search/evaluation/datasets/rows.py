"""Row-wise reading of files: an unusable row does not prevent the use of the others."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from wave_search.errors import DatasetError, UsageError
from wave_search.models import check_text
from wave_search.types import Modality

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

_BATCH_ROWS = 64
"""Batch size for parquet files, whose rows may contain whole media files."""
_MAX_CELL_CHARS = 10_000_000
"""Of CSV and TSV, where a quotation mark that is not closed would take the rest of the file."""
_SPACE = re.compile(r"\s*")
Parsed = TypeVar("Parsed")


@dataclass(frozen=True, slots=True)
class Place:
    """The position of a row in a file."""

    path: Path
    line: int | None
    """Number of the line in which it begins, from 1; None in files without lines."""
    entry: int | None = None
    """Number of the row, from 1, in files where a line is not a row."""

    def __str__(self) -> str:
        line = f"line {self.line}"
        if self.entry is None:
            return line
        return f"entry {self.entry}" if self.line is None else f"entry {self.entry} ({line})"


@dataclass(frozen=True, slots=True)
class Row:
    """Named values."""

    place: Place
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class BadRow:
    """An unusable row and the reason."""

    place: Place
    cause: str


@dataclass(frozen=True, slots=True)
class Columns:
    """The required and optional columns of a table."""

    required: Sequence[str]
    optional: Collection[str] | None = None
    """Optional columns; None for any."""

    def check(self, path: Path, names: Sequence[str]) -> None:
        """Check the header of a table.

        Raises:
            DatasetError: a column is missing, unknown or repeated.
        """
        faults = [f"there is no column {name!r}" for name in self.required if name not in names]
        if self.optional is not None:
            known = (*self.required, *self.optional)
            faults += [f"there is an unknown column {name!r}" for name in names if name not in known]
        faults += [f"there are two columns {name!r}" for name in names if names.count(name) > 1]
        if faults:
            raise DatasetError(
                f"{path}: {faults[0]}; its columns are {', '.join(names):.200}",
                f"The first line names the columns: {','.join((*self.required, *(self.optional or ())))}, with commas "
                "between them, in UTF-8.",
            )


def read_rows(path: Path, names: Sequence[str] | None = None, columns: Columns | None = None) -> Iterator[Row | BadRow]:
    """Read a file by its suffix: .jsonl, .json (a list of objects), .csv, .tsv or .parquet.

    Args:
        path: of the file.
        names: column names, for a CSV or TSV file without a header.
        columns: columns that the header of a CSV or TSV file is checked against.

    Raises:
        DatasetError: it cannot be read in the format of its suffix.
    """
    readers = {".jsonl": _json_lines, ".json": _json_list, ".parquet": _parquet}
    suffix = path.suffix.lower()
    try:
        if suffix in (".csv", ".tsv"):
            yield from _table(path, "," if suffix == ".csv" else "\t", names, columns)
        elif suffix in readers:
            yield from readers[suffix](path)
        else:
            supported = ", ".join([*readers, ".csv", ".tsv"])
            raise DatasetError(f"{path}: files of this kind cannot be read", f"Use one of {supported}.")
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror or error})", "Check the name.") from error


def parse_rows(rows: Iterable[Row | BadRow], parse: Callable[[Row], Parsed]) -> Iterator[Parsed | BadRow]:
    """Parse each row. A row for which `parse` raises a `UsageError` becomes a `BadRow`."""
    for row in rows:
        if isinstance(row, BadRow):
            yield row
            continue
        try:
            parsed = parse(row)
        except UsageError as error:
            yield BadRow(row.place, error.message)
        else:
            yield parsed


def _json_lines(path: Path) -> Iterator[Row | BadRow]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                place = Place(path, number)
                try:
                    yield _checked(place, json.loads(line))
                except (ValueError, RecursionError) as error:
                    yield BadRow(place, f"not JSON ({_json_cause(error)})")


def _json_cause(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply"
    # Python's own limit, whose error names a remedy for programmers.
    is_long_number = type(error) is ValueError and "digits" in str(error)
    return "a number of more than 4,300 digits" if is_long_number else str(error)


def _json_list(path: Path) -> Iterator[Row | BadRow]:
    try:
        content = path.read_text(encoding="utf-8-sig")
        if content.lstrip()[:1] != "[":
            raise DatasetError(f"{path}: not a list of entries", "The file must be one JSON list of objects.")
        for number, (line, entry) in enumerate(_elements(content), start=1):
            yield _checked(Place(path, line, number), entry)
    except ValueError as error:
        raise DatasetError(f"{path}: not JSON ({error})", "Name a file of JSON Lines .jsonl.") from error


def _elements(content: str) -> Iterator[tuple[int, Any]]:
    """Decode each element of a list and yield it with its line number, which `json.loads` does not report."""
    decoder = json.JSONDecoder()
    at, line, counted = _past_space(content, content.index("[") + 1), 1, 0
    while content[at : at + 1] != "]":
        line, counted = line + content.count("\n", counted, at), at
        try:
            entry, at = decoder.raw_decode(content, at)
        except json.JSONDecodeError:  # names the line
            raise
        except (ValueError, RecursionError) as error:
            raise ValueError(f"line {line}: {_json_cause(error)}") from error
        yield line, entry
        at = _past_space(content, at)
        if content[at : at + 1] not in (",", "]"):
            raise json.JSONDecodeError("a comma or a closing bracket must follow", content, at)
        if content[at] == ",":
            at = _past_space(content, at + 1)


def _past_space(content: str, at: int) -> int:
    found = _SPACE.match(content, at)
    return found.end() if found else at


def _checked(place: Place, entry: object) -> Row | BadRow:
    return Row(place, entry) if isinstance(entry, dict) else BadRow(place, "not an object with fields")


def _table(path: Path, delimiter: str, names: Sequence[str] | None, columns: Columns | None) -> Iterator[Row | BadRow]:
    csv.field_size_limit(_MAX_CELL_CHARS)
    # Bytes that are not UTF-8 may be part of a file name and are preserved.
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        if delimiter == ",":
            reader = csv.reader(file, strict=True)
        else:  # quotes have no special meaning in TSV
            reader = csv.reader(file, delimiter=delimiter, quoting=csv.QUOTE_NONE, strict=True)
        while True:
            place = Place(path, reader.line_num + 1)
            try:
                values = next(reader)
            except StopIteration:
                break
            except csv.Error as error:
                hint = "; put texts with quotes in quotes" if "limit" not in str(error) else ""
                yield BadRow(place, f"not well-formed ({error}){hint}")
                continue
            if not values:
                continue
            if names is None:
                names = [name.strip() for name in values]
                if columns is not None:
                    columns.check(path, names)
            elif len(values) != len(names):
                hint = "; put texts with commas in quotes" if len(values) > len(names) and delimiter == "," else ""
                yield BadRow(place, f"{len(values)} fields instead of {len(names)} ({', '.join(names)}){hint}")
            else:
                yield Row(place, dict(zip(names, values, strict=True)))
    if names is None and columns is not None:
        columns.check(path, [])


def _parquet(path: Path) -> Iterator[Row | BadRow]:
    import pyarrow
    from pyarrow import parquet

    number = 0
    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=_BATCH_ROWS):
                for fields in _parquet_fields(batch):
                    number += 1
                    place = Place(path, None, number)
                    yield BadRow(place, fields) if isinstance(fields, str) else Row(place, fields)
    except pyarrow.ArrowException as error:
        cause = str(error).splitlines()[0]
        raise DatasetError(f"{path}: not a complete parquet file ({cause})", "Download it again.") from error


def _parquet_fields(batch: Any) -> Iterator[dict[str, Any] | str]:
    """Yield the values of each row, or why Python cannot represent them, such as times after the year 9999."""
    try:
        yield from batch.to_pylist()
    except (OverflowError, ValueError) as error:
        if len(batch) == 1:
            yield f"a value is out of range ({error})"
            return
        for at in range(len(batch)):
            yield from _parquet_fields(batch.slice(at, 1))


def checked_text(value: object, what: str) -> str:
    """Check a text to be embedded, and strip surrounding white space.

    Args:
        value: the text.
        what: its name in errors.

    Raises:
        UsageError: it is not a string, or empty, or not valid Unicode.
    """
    if not isinstance(value, str):
        raise UsageError(f"the {what} is {value!r:.40}, not a string")
    check_text(value, what)
    return value.strip()


def modality_of(name: object) -> Modality:
    """Parse the name of a modality.

    Raises:
        UsageError: there is no modality of that name.
    """
    try:
        return Modality(str(name).strip())
    except ValueError:
        raise UsageError(f'"{name}" is not a modality, use one of {", ".join(Modality)}') from None


def value_of(row: Row, *names: str) -> Any:
    """Return the value of the first of several fields that a row has.

    Raises:
        UsageError: it has none of them.
    """
    for name in names:
        if row.fields.get(name) is not None:
            return row.fields[name]
    raise UsageError(f"there is no {' or '.join(names)}")
