"""Files of rows, read one by one: a row that cannot be read costs no other."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wave_search.errors import DatasetError
from wave_search.evaluation.datasets.dataset import BadRow

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

_BATCH_ROWS = 64
"""Rows of published parquet files may hold whole media."""


@dataclass(frozen=True, slots=True)
class Row:
    """Named values, and where they are from."""

    path: Path
    place: str
    fields: Mapping[str, Any]


def read_rows(path: Path, columns: Sequence[str] | None = None) -> Iterator[Row | BadRow]:
    """Read a file by its suffix: .jsonl, .json (a list of objects), .csv, .tsv or .parquet.

    Args:
        path: of the file.
        columns: names for a CSV or TSV file that has no line with names.

    Raises:
        DatasetError: it cannot be read as what its suffix says.
    """
    readers = {".jsonl": _json_lines, ".json": _json_list, ".parquet": _parquet}
    suffix = path.suffix.lower()
    try:
        if suffix in (".csv", ".tsv"):
            yield from _table(path, "," if suffix == ".csv" else "\t", columns)
        elif suffix in readers:
            yield from readers[suffix](path)
        else:
            names = ", ".join([*readers, ".csv", ".tsv"])
            raise DatasetError(f"{path}: there is no reader for this kind of file", f"Give one of {names}.")
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror or error})", "Check the name.") from error


def _json_lines(path: Path) -> Iterator[Row | BadRow]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield _json_row(path, f"line {number}", line)


def _json_row(path: Path, place: str, line: bytes) -> Row | BadRow:
    try:
        return _checked(path, place, json.loads(line))
    except (ValueError, RecursionError) as error:
        return BadRow(path, place, f"not JSON ({error})")


def _json_list(path: Path) -> Iterator[Row | BadRow]:
    try:
        entries = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path}: not JSON ({error})", "JSON Lines are named .jsonl.") from error
    if not isinstance(entries, list):
        raise DatasetError(f"{path}: not a list of entries", "The file is one JSON list of objects.")
    for number, entry in enumerate(entries, start=1):
        yield _checked(path, f"entry {number}", entry)


def _checked(path: Path, place: str, entry: object) -> Row | BadRow:
    return Row(path, place, entry) if isinstance(entry, dict) else BadRow(path, place, "not an object with fields")


def _table(path: Path, delimiter: str, columns: Sequence[str] | None) -> Iterator[Row | BadRow]:
    # Bytes that are not UTF-8 may be part of a file's name, which keeps them.
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        if delimiter == ",":
            reader = csv.reader(file, strict=True)
        else:  # a quote in a TSV is a character
            reader = csv.reader(file, delimiter=delimiter, quoting=csv.QUOTE_NONE, strict=True)
        names = columns
        while True:
            place = f"line {reader.line_num + 1}"
            try:
                values = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield BadRow(path, place, f"not well-formed ({error})")
                continue
            if not values:
                continue
            if names is None:
                names = [name.strip() for name in values]
            elif len(values) != len(names):
                yield BadRow(path, place, f"{len(values)} fields instead of {len(names)} ({', '.join(names)})")
            else:
                yield Row(path, place, dict(zip(names, values, strict=True)))


def _parquet(path: Path) -> Iterator[Row | BadRow]:
    import pyarrow
    from pyarrow import parquet

    number = 0
    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=_BATCH_ROWS):
                for fields in batch.to_pylist():
                    number += 1
                    yield Row(path, f"row {number}", fields)
    except pyarrow.ArrowException as error:
        cause = str(error).splitlines()[0]
        raise DatasetError(f"{path}: not a whole parquet file ({cause})", "Download it again.") from error
