"""Groups of the points of a map by a property of their files, few enough to give each a colour."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

MAX_GROUPS = 11
"""More colours than these and two greys, for the rest and for points without a value, nobody can tell apart."""
_RANGES = 6
"""Ranges of a number that has many values."""
Role = Literal["value", "rest", "none"]


@dataclass(frozen=True, slots=True)
class PointGroup:
    """Points that have the same colour."""

    name: str
    """The value, or the range of values; "" for the rest and for no value."""
    role: Role
    count: int


@dataclass(frozen=True, slots=True)
class PointGroups:
    """Groups, and the group of each point."""

    groups: tuple[PointGroup, ...]
    codes: NDArray[np.uint8]
    """(n,) positions in `groups`."""


def folder_names(folders: Sequence[str]) -> list[str]:
    """Return the folder of each file that tells most: the first one below what all of them have in common."""
    common = os.path.commonpath(set(folders)) if folders else ""
    below = [folder[len(common) :].strip("/").partition("/")[0] for folder in folders]
    return [name or os.path.basename(common) or common for name in below]  # noqa: PTH119 - text, not a file


def group_points(values: Sequence[Any], *, times: bool = False) -> PointGroups:
    """Group points by the values of a column.

    Args:
        values: of each point; None for none. Of a list, the first entry counts. Numbers with many values are grouped
            by ranges.
        times: whether the values are times in ISO 8601, which are grouped by year, or by month within a year.
    """
    first = [(value[0] if value else None) if isinstance(value, list) else value for value in values]
    known = {value for value in first if value is not None}
    are_numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in known)
    if are_numbers and len(known) > MAX_GROUPS:
        name_of = _range_names([value for value in first if value is not None])
    elif times:
        digits = 4 if len({value[:4] for value in known}) > 1 else 7
        name_of = {value: value[:digits] for value in known}
    else:
        name_of = {value: _shown(value) for value in known}
    names = [None if value is None else name_of[value] for value in first]
    counts = Counter(name for name in names if name is not None)
    largest = sorted(counts, key=lambda name: (-counts[name], name))[:MAX_GROUPS]
    if are_numbers or times:  # in their own order
        least = {name_of[value]: value for value in sorted(known, reverse=True)}
        largest.sort(key=lambda name: least[name])
    groups = [PointGroup(name, "value", counts[name]) for name in largest]
    codes: dict[str | None, int] = {name: code for code, name in enumerate(largest)}
    rest, none = sum(counts.values()) - sum(group.count for group in groups), names.count(None)
    if rest:
        codes |= dict.fromkeys(counts.keys() - set(largest), len(groups))
        groups.append(PointGroup("", "rest", rest))
    if none:
        codes[None] = len(groups)
        groups.append(PointGroup("", "none", none))
    return PointGroups(tuple(groups), np.array([codes[name] for name in names], np.uint8))


def _range_names(numbers: Sequence[float]) -> dict[float, str]:
    """Return the name of the range of each number; ranges have about as many numbers each."""
    edges = np.unique(np.quantile(numbers, np.linspace(0, 1, _RANGES + 1), method="nearest"))
    names = {}
    for number in set(numbers):
        at = min(int(np.searchsorted(edges, number, "right")), len(edges) - 1)
        names[number] = f"{edges[at - 1]:g} to {edges[at]:g}"
    return names


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
