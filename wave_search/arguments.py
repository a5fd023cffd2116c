"""Checks of arguments of the library: what has another type than documented is an error that names the value."""

from __future__ import annotations

import os
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
    """Raise UsageError if an argument is not True or False."""
    for name, value in given.items():
        check_type(value, bool, name, "Use True or False.")


def check_whole(value: object, what: str, least: int = 0) -> None:
    """Raise UsageError if a value is no integer, of Python or numpy, of at least `least`."""
    if not isinstance(value, Integral) or isinstance(value, bool) or not least <= int(value) <= _MAX_ID:
        raise UsageError(f"{what} must be an integer of at least {least}, got {shown(value)}")


def items_of(values: Iterable[Item] | Any, what: str) -> list[Item]:
    """Return several items. Raises UsageError if the value cannot be iterated over."""
    if not isinstance(values, Iterable) or isinstance(values, bytes):
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
    ids: list[Any] = items_of(segment_ids, what)
    for one in ids:
        check_whole(one, "the id of a segment", -_MAX_ID)
    return [*map(int, ids)]


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
