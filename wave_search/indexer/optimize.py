"""One run of `optimize`: everything that makes an index smaller or faster and needs no model."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from wave_search.ann.rebuild import refresh_shards
from wave_search.reports import OptimizeReport
from wave_search.store import Writer

if TYPE_CHECKING:
    from pathlib import Path


def optimize(
    index_dir: Path, *, keep_versions_for_s: float, min_shard_rows: int, recall: float | None = None
) -> OptimizeReport:
    """Compact tables, drop removed rows, rebuild shards that need it, and remove old versions.

    Readers are not disturbed. Each step is a commit of its own, so an interrupted run keeps the steps that it finished.

    Args:
        index_dir: an existing index.
        keep_versions_for_s: seconds for which a replaced version stays readable.
        min_shard_rows: minimum number of segments of a partition that is searched by IVF-PQ shards.
        recall: target recall@10 of the shards; None for that of earlier runs, or 0.95.

    Raises:
        IndexLockedError: another process is writing to the index.
        IndexCorruptError: a table is damaged.
        IndexStateError: the disk is full or read-only.
    """
    began_s = time.monotonic()
    with Writer(index_dir) as writer:
        before_bytes = sum(writer.snapshot.sizes_bytes().values())
        keys = writer.compact().manifest.settings.keys
        rebuilt = []
        for key in keys:
            shards = writer.snapshot.shards(key)
            if refresh_shards(writer, key, min_shard_rows, recall, compact=True).shards(key) != shards:
                rebuilt.append(key)
        writer.cleanup(keep_versions_for_s)
        after_bytes = sum(writer.snapshot.sizes_bytes().values())
    return OptimizeReport(before_bytes, after_bytes, tuple(rebuilt), time.monotonic() - began_s)
