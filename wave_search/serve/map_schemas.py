"""What the API returns of maps."""

from __future__ import annotations

from typing import Literal

from wave_search.serve.schemas import Result
from wave_search.types import Modality


class MapAnswer(Result):
    """A map, or how far its computation is."""

    state: Literal["ready", "computing"]
    progress: float
    """Share of the computation that is done, from 0 to 1."""
    modality: Modality
    modalities: dict[str, int]
    """Number of segments of each modality that there is a map of."""
    points: int
    method: Literal["umap", "pca"] | None
    """How the points were placed; null while they are computed."""
    tag: str | None
    """Identifies the points: `/map/points`, `/map/groups` and `/map/matches` with the same tag belong together."""
    index_version: int


class MapGroup(Result):
    """Points of the same colour."""

    name: str
    """The value of the column, or a range of values; "" for the rest and for no value."""
    role: Literal["value", "rest", "none"]
    """"rest" is of all values that have no group of their own, "none" of the points without a value."""
    count: int


class MapGroupsAnswer(Result):
    """The points of a map by a column."""

    tag: str
    groups: list[MapGroup]
    codes: list[int]
    """The position in `groups` of each point, in the order of the points."""


class MapMatchesAnswer(Result):
    """Which points of a map satisfy a condition."""

    tag: str
    count: int
    matches: list[int]
    """1 for each point that does, 0 for the others, in the order of the points."""
