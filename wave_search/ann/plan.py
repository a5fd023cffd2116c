"""Assignment of the segments of a partition to shards. Arithmetic on ids only."""

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
"""Maximum share of deleted segments in a shard."""
_SEED = 0


@dataclass(frozen=True, slots=True)
class ShardPlan:
    """The shards of a partition to keep and to build."""

    keep: tuple[ShardRef, ...]
    """Shards to keep, ordered by ids."""
    build: tuple[tuple[int, int], ...]
    """Ranges of ids (first, stop), each to be built as a shard."""


def plan_shards(ids: NDArray[np.int64], usable: Sequence[ShardRef], min_shard_rows: int, *, compact: bool) -> ShardPlan:
    """Decide which shards are kept and which are built.

    A small number of segments in no shard is left to exact search. Otherwise they become a shard, merged with the
    preceding shards that are no larger. This avoids many small shards, and the number of times that each vector is
    rewritten grows with the logarithm of the partition size.

    Args:
        ids: ids of the searchable segments, ascending.
        usable: intact shards, ordered by ids.
        min_shard_rows: minimum number of segments in no shard that triggers a new one.
        compact: also merge small shards, and rebuild those with many deleted segments.
    """
    keep = list(usable)
    if compact:
        if len(ids) < min_shard_rows:
            return ShardPlan((), ())
        keep = [shard for shard in keep if _live(ids, shard) >= (1 - _MAX_DELETED) * shard.count]
        small = [shard for shard in keep if shard.count < SHARD_VECTORS]
        if len(small) + bool(len(_unindexed(ids, keep))) > 1:
            keep = [shard for shard in keep if shard not in small]
        pending = _unindexed(ids, keep)
    else:
        pending = _unindexed(ids, keep)
        if len(pending) < max(min_shard_rows, 1):
            return ShardPlan(tuple(keep), ())
        while keep and _live(ids, keep[-1]) <= len(pending):
            keep.pop()
            pending = _unindexed(ids, keep)
    return ShardPlan(tuple(keep), tuple(_ranges(pending, keep)))


def covered(ids: NDArray[np.int64], shards: Iterable[ShardRef]) -> NDArray[np.bool_]:
    """Return whether each of the segment ids (n,) of a partition is in one of its shards."""
    inside = np.zeros(len(ids), np.bool_)
    for shard in shards:
        inside |= (ids >= shard.first_id) & (ids < shard.stop_id)
    return inside


def draw(ids: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Draw a deterministic random sample of at most `size` of the ids (n,), in their order."""
    if len(ids) <= size:
        return ids
    return np.sort(np.random.default_rng(_SEED).choice(ids, size, replace=False))


def _unindexed(ids: NDArray[np.int64], shards: Iterable[ShardRef]) -> NDArray[np.int64]:
    return ids[~covered(ids, shards)]


def _live(ids: NDArray[np.int64], shard: ShardRef) -> int:
    return int(np.diff(np.searchsorted(ids, (shard.first_id, shard.stop_id)))[0])


def _ranges(ids: NDArray[np.int64], keep: Sequence[ShardRef]) -> list[tuple[int, int]]:
    """Divide ids into ranges of at most `SHARD_VECTORS`, none of which spans a shard that is kept."""
    gaps = np.searchsorted([shard.first_id for shard in keep], ids, side="right")
    ranges = []
    for gap in np.unique(gaps):
        inside = ids[gaps == gap]
        for begin in range(0, len(inside), SHARD_VECTORS):
            part = inside[begin : begin + SHARD_VECTORS]
            ranges.append((int(part[0]), int(part[-1]) + 1))
    return ranges
