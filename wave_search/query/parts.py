"""What a search is put together from: things to look for and things to avoid, each with a weight."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wave_search.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from wave_search.types import MediaRef, Modality

AVOIDED = 0.5
"""How much a part to avoid counts beside one to find. Measured: docs/queries.md."""


@dataclass(frozen=True, slots=True)
class Weighted:
    """A part of a query that does not count 1. See also `Not`."""

    item: Any
    """What the argument of `Index.search` takes without a weight: words, a file, a hit."""
    weight: float = 1.0
    """Beside the other parts. Below 0: what is found should be unlike it."""

    def __post_init__(self) -> None:
        if not math.isfinite(self.weight) or self.weight == 0:
            raise UsageError(
                f"{self.weight:g} is no weight", "Give a number, not 0; below 0 for what is to be avoided."
            )


def Not(item: Any, weight: float = AVOIDED) -> Weighted:  # noqa: N802 - reads as a type where it is used
    """A part of a query that is to be avoided; the more the higher `weight`, which is above 0. Raises UsageError."""
    if not weight > 0:
        raise UsageError(f"{weight:g} is no weight for what is to be avoided", "Give a number above 0.")
    return Weighted(item, -weight)


@dataclass(frozen=True, slots=True)
class SegmentRef:
    """A segment of the index, by its vector."""

    segment_id: int


@dataclass(frozen=True, slots=True)
class SimilarFile:
    """A file or a range of it, by the vectors that the index has of it if it has any."""

    path: Path
    modality: Modality | None = None
    """As what; None for what suits best."""
    start_s: float | None = None
    stop_s: float | None = None


@dataclass(frozen=True, slots=True)
class AudioVideoPair:
    """The sound of one file and the picture of another, to be embedded as one clip."""

    sound: MediaRef
    picture: MediaRef
