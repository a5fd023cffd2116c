"""Which segments of a space go into which shards: plain arithmetic on ids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from wave_search.store import covered

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from wave_search.store import ShardRef

SHARD_VECTORS = 1_000_000
_WORN = 0.1
"""So much of a shard may be segments that were dropped since."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do with a space."""

    keep: tuple[ShardRef, ...]
    """Shards that stay, by their ids."""
    build: tuple[tuple[int, int], ...]
    """Ranges of ids, first and stop, each to become a shard."""


def plan(ids: NDArray[np.int64], whole: Sequence[ShardRef], min_shard_rows: int, *, compact: bool) -> Plan:
    """Decide which shards stay and which are built.

    Few segments that are in no shard stay so: they are searched exactly. Otherwise they become a shard, together with
    shards before them that are no larger, so that there are never many small ones, and each vector is written a number
    of times that grows with the logarithm of the whole.

    Args:
        ids: of the segments that can be found, ascending.
        whole: shards that can be used, by their ids.
        min_shard_rows: so many segments are worth a shard.
        compact: also join small shards, and build those again of which much was dropped.
    """
    keep = list(whole)
    if compact:
        if len(ids) < min_shard_rows:
            return Plan((), ())
        keep = [shard for shard in keep if _live(ids, shard) >= (1 - _WORN) * shard.count]
        small = [shard for shard in keep if shard.count < SHARD_VECTORS]
        if len(small) + bool(len(_uncovered(ids, keep))) > 1:
            keep = [shard for shard in keep if shard not in small]
        pending = _uncovered(ids, keep)
    else:
        pending = _uncovered(ids, keep)
        if len(pending) < max(min_shard_rows, 1):
            return Plan(tuple(keep), ())
        while keep and _live(ids, keep[-1]) <= len(pending):
            keep.pop()
            pending = _uncovered(ids, keep)
    return Plan(tuple(keep), tuple(_ranges(pending, keep)))


def _uncovered(ids: NDArray[np.int64], shards: Sequence[ShardRef]) -> NDArray[np.int64]:
    return ids[~covered(ids, shards)]


def _live(ids: NDArray[np.int64], shard: ShardRef) -> int:
    return int(np.diff(np.searchsorted(ids, (shard.first_id, shard.stop_id)))[0])


def _ranges(ids: NDArray[np.int64], keep: Sequence[ShardRef]) -> list[tuple[int, int]]:
    """Ranges of at most `SHARD_VECTORS` of the ids, none of which goes beyond a shard that stays."""
    gaps = np.searchsorted([shard.first_id for shard in keep], ids, side="right")
    ranges = []
    for gap in np.unique(gaps):
        inside = ids[gaps == gap]
        for begin in range(0, len(inside), SHARD_VECTORS):
            part = inside[begin : begin + SHARD_VECTORS]
            ranges.append((int(part[0]), int(part[-1]) + 1))
    return ranges
