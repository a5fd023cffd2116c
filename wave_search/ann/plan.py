"""Which segments of a partition go into which shards: arithmetic on ids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from wave_search.store import ShardRef

SHARD_VECTORS = 1_000_000
_MAX_DELETED = 0.1
"""Share of a shard that may be deleted segments."""
_SEED = 0


@dataclass(frozen=True, slots=True)
class ShardPlan:
    """What to do with the shards of a partition."""

    keep: tuple[ShardRef, ...]
    """Shards that stay, by their ids."""
    build: tuple[tuple[int, int], ...]
    """Ranges of ids, first and stop, each to become a shard."""


def plan_shards(ids: NDArray[np.int64], usable: Sequence[ShardRef], min_shard_rows: int, *, compact: bool) -> ShardPlan:
    """Decide which shards stay and which are built.

    Few segments that are in no shard are left to exact search. Otherwise they become a shard, together with the shards
    before them that are no larger. So there are never many small shards, and each vector is written a number of times
    that grows with the logarithm of the partition.

    Args:
        ids: of the segments that can be found, ascending.
        usable: intact shards, by their ids.
        min_shard_rows: how many segments in no shard become one.
        compact: also join small shards, and rebuild those with many deleted segments.
    """
    keep = list(usable)
    if compact:
        if len(ids) < min_shard_rows:
            return ShardPlan((), ())
        keep = [shard for shard in keep if _live(ids, shard) >= (1 - _MAX_DELETED) * shard.count]
        small = [shard for shard in keep if shard.count < SHARD_VECTORS]
        if len(small) + bool(len(_uncovered(ids, keep))) > 1:
            keep = [shard for shard in keep if shard not in small]
        pending = _uncovered(ids, keep)
    else:
        pending = _uncovered(ids, keep)
        if len(pending) < max(min_shard_rows, 1):
            return ShardPlan(tuple(keep), ())
        while keep and _live(ids, keep[-1]) <= len(pending):
            keep.pop()
            pending = _uncovered(ids, keep)
    return ShardPlan(tuple(keep), tuple(_ranges(pending, keep)))


def covered(ids: NDArray[np.int64], shards: Iterable[ShardRef]) -> NDArray[np.bool_]:
    """Return which of the segment ids (n,) of a partition are in one of its shards."""
    inside = np.zeros(len(ids), np.bool_)
    for shard in shards:
        inside |= (ids >= shard.first_id) & (ids < shard.stop_id)
    return inside


def draw(ids: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Draw a random sample of at most `size` of the ids (n,): always the same of the same ids, in their order."""
    if len(ids) <= size:
        return ids
    return np.sort(np.random.default_rng(_SEED).choice(ids, size, replace=False))


def _uncovered(ids: NDArray[np.int64], shards: Iterable[ShardRef]) -> NDArray[np.int64]:
    return ids[~covered(ids, shards)]


def _live(ids: NDArray[np.int64], shard: ShardRef) -> int:
    return int(np.diff(np.searchsorted(ids, (shard.first_id, shard.stop_id)))[0])


def _ranges(ids: NDArray[np.int64], keep: Sequence[ShardRef]) -> list[tuple[int, int]]:
    """Ranges of at most `SHARD_VECTORS` of the ids, none of which spans a shard that stays."""
    gaps = np.searchsorted([shard.first_id for shard in keep], ids, side="right")
    ranges = []
    for gap in np.unique(gaps):
        inside = ids[gaps == gap]
        for begin in range(0, len(inside), SHARD_VECTORS):
            part = inside[begin : begin + SHARD_VECTORS]
            ranges.append((int(part[0]), int(part[-1]) + 1))
    return ranges
