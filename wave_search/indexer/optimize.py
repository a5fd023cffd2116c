"""One run of `optimize`: everything that makes an index smaller or faster again and needs no model."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from wave_search.indexer.shards import refresh_shards
from wave_search.reports import OptimizeReport
from wave_search.store import Writer

if TYPE_CHECKING:
    from pathlib import Path


def optimize(index_dir: Path, *, grace_s: float, ivf_from: int, recall: float | None = None) -> OptimizeReport:
    """Join small pieces of tables, drop what was removed, rebuild search structures, and forget old versions.

    Readers go on meanwhile. Each step is committed by itself, so that a run that is cut off is done in part.

    Args:
        index_dir: an existing index.
        grace_s: versions that were replaced less than so many seconds ago stay, for readers that opened them.
        ivf_from: build IVF-PQ shards for a space if it has so many segments.
        recall: wanted recall@10 of shards; None for that of before, or 0.95.

    Raises:
        IndexLockedError: another process writes.
        IndexCorruptError: a table is damaged.
        IndexError_: the disk is full or read-only.
    """
    began_s = time.monotonic()
    with Writer(index_dir) as writer:
        before_bytes = sum(writer.snapshot.sizes_bytes().values())
        spaces = writer.compact().manifest.settings.spaces
        rebuilt = []
        for space in spaces:
            shards = writer.snapshot.shards(space)
            if refresh_shards(writer, space, ivf_from, recall, compact=True).shards(space) != shards:
                rebuilt.append(space)
        writer.prune(grace_s)
        after_bytes = sum(writer.snapshot.sizes_bytes().values())
    return OptimizeReport(before_bytes, after_bytes, tuple(rebuilt), time.monotonic() - began_s)
