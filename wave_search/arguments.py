"""Checks of arguments of the library: what has another type than documented is an error that names the value."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterable
from numbers import Integral, Real
from pathlib import Path
from typing import Any, TypeVar

from wave_search.errors import UsageError, shown

Item = TypeVar("Item")
_MAX_ID = 2**63 - 1


def is_number(value: object) -> bool:
    """Return whether a value is a real number, of Python or numpy."""
    return type(value) is float or (isinstance(value, Real) and not isinstance(value, bool))


def check_type(value: object, kind: type | tuple[type, ...], what: str, remedy: str = "") -> None:
    """Raise UsageError if a value is not of a type; `what` names the argument."""
    if not isinstance(value, kind):
        raise UsageError(f"{what} must not be {shown(value)}", remedy)


def check_functions(**given: object) -> None:
    """Raise UsageError if an argument is neither None nor can be called."""
    for name, value in given.items():
        if value is not None and not callable(value):
            raise UsageError(f"{name} must be a function, got {shown(value)}")


def check_flags(**given: object) -> None:
    """Raise UsageError if an argument is neither True nor False, of Python or numpy."""
    for name, value in given.items():
        if not isinstance(value, bool) and type(value).__name__ not in ("bool", "bool_"):
            raise UsageError(f"{name} must be True or False, got {shown(value)}")


def check_choice(value: object, choices: tuple[str, ...], what: str) -> None:
    """Raise UsageError if a value is none of several texts."""
    if not isinstance(value, str) or value not in choices:
        names = " or ".join(f'"{one}"' for one in choices)
        raise UsageError(f"{what} must be {names}, got {shown(value)}")


def check_span(start_s: float | None, stop_s: float | None, what: str) -> None:
    """Raise UsageError if a range in seconds is empty, or begins before 0; None stands for the beginning or the end."""
    are_numbers = all(limit is None or is_number(limit) for limit in (start_s, stop_s))
    if not are_numbers or not 0 <= (start_s or 0.0) < (math.inf if stop_s is None else stop_s):
        raise UsageError(
            f"{what}: {shown(start_s)}-{shown(stop_s)} is not a range of seconds", "Its start must be before its stop."
        )


def check_whole(value: object, what: str, least: int = 0) -> None:
    """Raise UsageError if a value is no integer, of Python or numpy, of at least `least`."""
    if not isinstance(value, Integral) or isinstance(value, bool) or not least <= int(value) <= _MAX_ID:
        raise UsageError(f"{what} must be an integer of at least {least}, got {shown(value)}")


def items_of(values: Iterable[Item] | Any, what: str) -> list[Item]:
    """Return several items. Raises UsageError if the value cannot be iterated over."""
    is_closed = getattr(values, "closed", False) is True  # a file, of which the lines could be the items
    if not isinstance(values, Iterable) or isinstance(values, bytes) or is_closed:
        raise UsageError(f"{what} must be several items, got {shown(values)}", "Use a list.")
    return [*values]


def names_of(given: str | Iterable[str], what: str) -> list[str]:
    """Return several names, or a single one: not its letters, of which "*" would be a glob for all files.

    Raises:
        UsageError: one is no text.
    """
    names: list[str] = [given] if isinstance(given, str) else items_of(given, what)
    for name in names:
        if not isinstance(name, str):
            raise UsageError(f"{shown(name)} is not a text", f"{what} must be texts.")
    return [*map(str, names)]


def ids_of(segment_ids: Iterable[int], what: str = "the segments") -> list[int]:
    """Return ids of segments. Raises UsageError if one is no integer."""
    return [*map(id_of, items_of(segment_ids, what))]


def id_of(segment_id: int) -> int:
    """Return the id of a segment. Raises UsageError if it is no integer."""
    check_whole(segment_id, "the id of a segment", -_MAX_ID)
    return int(segment_id)


def path_of(path: str | os.PathLike[str]) -> Path:
    """Return the path of a file or a folder, which need not exist.

    Raises:
        UsageError: it is no name, or one that no file can have.
    """
    if not isinstance(path, str | os.PathLike) or not isinstance(name := os.fspath(path), str):
        raise UsageError(f"{shown(path)} is not a path", "Use a string or a pathlib.Path.")
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        raise UsageError(f"{name!r} is not a path: it has surrogates that stand for no byte") from None
    if not name or "\0" in name:
        fault = "contains a null character" if name else "is empty"
        raise UsageError(f"the name of a file or folder {fault}", "" if name else "Write . for the current folder.")
    return Path(name)


def paths_of(paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> list[Path]:
    """Return several paths, or a single one. Raises like `path_of`."""
    several = [paths] if isinstance(paths, str | os.PathLike) else items_of(paths, "the paths")
    return [path_of(path) for path in several]


def is_pillow(item: object) -> bool:
    """Return whether an item is an image of Pillow. Does not import it."""
    module = sys.modules.get("PIL.Image")
    return module is not None and isinstance(item, module.Image)
