"""One run of `optimize`: everything that makes an index smaller or faster again and needs no model."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from wave_search.indexer.shards import build_missing_shards
from wave_search.store import Writer, shard_fault
from wave_search.types import OptimizeReport

if TYPE_CHECKING:
    from pathlib import Path

    from wave_search.store import Snapshot
    from wave_search.types import Space

_DEAD_SHARE = 0.1
"""So much of a shard may be segments that were dropped, before it is built again."""


def optimize(index_dir: Path, *, grace_s: float, ivf_from: int) -> OptimizeReport:
    """Join small pieces of tables, drop what was removed, rebuild search structures, and forget old versions.

    Readers go on meanwhile. Each step is committed by itself, so that a run that is cut off is done in part.

    Args:
        index_dir: an existing index.
        grace_s: versions that were replaced less than so many seconds ago stay, for readers that opened them.
        ivf_from: build IVF-PQ shards for a space once so many of its segments are in none.

    Raises:
        IndexLockedError: another process writes.
        IndexCorruptError: a table is damaged.
        IndexError_: the disk is full or read-only.
    """
    began_s = time.monotonic()
    with Writer(index_dir) as writer:
        before_bytes = sum(writer.snapshot.sizes_bytes().values())
        spaces = writer.compact().manifest.settings.spaces
        worn = [space for space in spaces if _is_worn(writer.snapshot, space)]
        for space in worn:
            writer.drop_shards(space)
        writer.commit()
        for space in spaces:
            build_missing_shards(writer, space, 1 if space in worn else ivf_from)
        writer.prune(grace_s)
        after_bytes = sum(writer.snapshot.sizes_bytes().values())
    return OptimizeReport(before_bytes, after_bytes, tuple(worn), time.monotonic() - began_s)


def _is_worn(snapshot: Snapshot, space: Space) -> bool:
    """Whether shards of a space are missing, damaged, or full of segments that were dropped."""
    shards = snapshot.shards(space)
    if any(shard_fault(snapshot, shard) for shard in shards):
        return True
    ids = snapshot.partition(space).ids
    alive = sum(int(((ids >= shard.first_id) & (ids < shard.stop_id)).sum()) for shard in shards)
    return alive < (1 - _DEAD_SHARE) * sum(shard.count for shard in shards)
