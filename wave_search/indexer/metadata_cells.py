"""Cells of metadata tables: which are valid, and the types of columns."""

from __future__ import annotations

import json
import math
import os
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from wave_search.files import composed_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wave_search.types import ColumnType, Value

PATH = "path"
MAX_DIGITS = 1000
"""Python converts no integer of more than 4,300 digits, and one of so many is not a quantity."""
_NUMBER = re.compile(r"[+-]?(0|[1-9]\d*)(\.\d*)?([eE][+-]?\d+)?|[+-]?\.\d+([eE][+-]?\d+)?", re.ASCII)
"""A number with a leading zero is an identifier and stays text."""
_INTEGER = re.compile(r"[+-]?[1-9]\d*", re.ASCII)
_EXACT_TO = 2**53
"""Larger integers are not exact as floating-point numbers, so they are treated as identifiers, too."""
_INF = float("inf")
_BOOLS = {"true": True, "false": False}
_BOUNDARY_YEARS = ("0001", "9999")
_SURROGATE = re.compile("[\ud800-\udfff]")


class ColumnTypes:
    """The types of columns, inferred row by row: the narrowest one that all values of a column have."""

    def __init__(self) -> None:
        self._narrow: dict[str, tuple[ColumnType, ...] | None] = {}
        """The types but text that a column may still have; None before its first value."""
        self._with_lists: set[str] = set()

    def __len__(self) -> int:
        return len(self._narrow)

    def add(self, row: Mapping[str, Any]) -> None:
        """Take the cells of a valid row into account."""
        for name, cell in row.items():
            if name == PATH:
                continue
            narrow = self._narrow.setdefault(name, None)
            if cell is None:
                continue
            if narrow is None or any(_CONVERT[column_type](cell) is None for column_type in narrow):
                possible = _NARROW if narrow is None else narrow
                self._narrow[name] = tuple(one for one in possible if _CONVERT[one](cell) is not None)
            if isinstance(cell, list):
                self._with_lists.add(name)

    def found(self) -> dict[str, ColumnType]:
        """Return the types by column, in the order in which they were named."""
        return {
            name: "texts" if name in self._with_lists else narrow[0] if narrow else "text"
            for name, narrow in self._narrow.items()
            if narrow is not None
        }

    def without_values(self) -> list[str]:
        """Return the names of the columns whose cells are all empty."""
        return [name for name, narrow in self._narrow.items() if narrow is None]


def fault(row: Mapping[str, Any]) -> str | None:
    """Return what is wrong with a row, None if it is valid. An empty cell is None."""
    path = row.get(PATH)
    if not isinstance(path, str) or "\0" in path or not (path.isascii() or _is_file_name(path)):
        return "no valid path"
    for name, cell in row.items():
        if isinstance(cell, str) and cell.isascii() and len(cell) <= MAX_DIGITS and cell[:4] not in _BOUNDARY_YEARS:
            continue
        found = None if name == PATH or cell is None else cell_fault(cell)
        if found is not None:
            return f'"{name}" is {found}'
    return None


def cell_fault(cell: Any) -> str | None:
    """Return what is wrong with a cell that is not empty, None if it can be a value."""
    items = cell if isinstance(cell, list) else [cell]
    if not _is_cell(cell):
        return "not a string, a finite number, a boolean or a list of strings"
    if not all(map(is_unicode, items)):
        return "a text with half of a surrogate pair, which is no character"
    if any(len(item) > MAX_DIGITS and _INTEGER.fullmatch(item) for item in items if isinstance(item, str)):
        return f"a number of more than {MAX_DIGITS:,} digits"
    if _is_out_of_calendar(cell):
        return "a time before the year 1 or after 9999 in UTC"
    return None


def convert(cell: Any, column_type: ColumnType) -> Value:
    """Convert a cell to the type of its column; None if it has none of that type, which texts always do."""
    value: Value = _CONVERT[column_type](cell)
    return value


def is_unicode(cell: Any) -> bool:
    """Return whether a cell has no bytes that could not be decoded, and no half of a surrogate pair."""
    return not isinstance(cell, str) or cell.isascii() or _SURROGATE.search(cell) is None


def _is_cell(cell: Any) -> bool:
    if isinstance(cell, list):
        return all(isinstance(item, str) for item in cell)
    return isinstance(cell, str | int) or (isinstance(cell, float) and math.isfinite(cell))


def _is_file_name(text: str) -> bool:
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        return False
    return True


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


def _as_bool(cell: Any) -> bool | None:
    if isinstance(cell, bool):
        return cell
    return _BOOLS.get(cell.casefold()) if isinstance(cell, str) else None


def _as_number(cell: Any) -> float | None:
    if isinstance(cell, str) and _NUMBER.fullmatch(cell):
        cell = int(cell) if cell.lstrip("+-").isdigit() else float(cell)
    if not isinstance(cell, int | float) or isinstance(cell, bool):
        return None
    if (isinstance(cell, int) and abs(cell) > _EXACT_TO) or cell in (_INF, -_INF):
        return None
    number: float = cell
    return number


def _as_timestamp(cell: Any) -> str | None:
    try:
        return _utc(cell).isoformat()
    except (TypeError, ValueError):
        return None


def _as_text(cell: Any) -> str:
    return composed_text(cell) if isinstance(cell, str) else json.dumps(cell)


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
