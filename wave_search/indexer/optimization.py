"""One run of `optimize`: maintenance that makes an index smaller or faster and needs no model."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from wave_search.ann.rebuild import needs_rebuild, refresh_shards
from wave_search.files import disk_bytes
from wave_search.reports import OptimizePlan, OptimizeReport
from wave_search.store import Writer, plan_cleanup

if TYPE_CHECKING:
    from pathlib import Path

    from wave_search.store import Snapshot


def optimize(
    index_dir: Path, *, keep_versions_for_s: float, min_shard_rows: int, recall: float | None = None
) -> OptimizeReport:
    """Compact tables, drop removed rows, rebuild shards where necessary, and remove old versions.

    Readers are not affected. Each step is a separate commit, so that an interrupted run keeps its completed steps.

    Args:
        index_dir: an existing index.
        keep_versions_for_s: seconds for which a replaced version stays readable.
        min_shard_rows: minimum number of unindexed segments of a partition that triggers an IVF-PQ shard.
        recall: target recall@10 of the shards; None for the previous target, or 0.95 if there is none.

    Raises:
        IndexLockedError: another process is writing to the index.
        IndexCorruptError: a table is damaged.
        IndexStateError: the disk is full or read-only.
    """
    began_s = time.monotonic()
    with Writer(index_dir) as writer:
        before_bytes = disk_bytes(index_dir)
        keys = writer.compact().manifest.settings.keys
        rebuilt = []
        for key in keys:
            shards = writer.snapshot.shards(key)
            if refresh_shards(writer, key, min_shard_rows, recall, compact=True).shards(key) != shards:
                rebuilt.append(key)
        writer.cleanup(keep_versions_for_s)
        after_bytes, kept_versions = disk_bytes(index_dir), writer.kept_versions()
    return OptimizeReport(before_bytes, after_bytes, tuple(rebuilt), time.monotonic() - began_s, kept_versions)


def plan_optimize(snapshot: Snapshot, *, keep_versions_for_s: float, min_shard_rows: int) -> OptimizePlan:
    """Return what `optimize` would do. Nothing is written.

    Raises:
        IndexStateError: the index is damaged or cannot be read.
    """
    store, manifest = snapshot.store, snapshot.manifest
    replaced, unused = plan_cleanup(store, manifest, keep_versions_for_s)
    sizes = {info.name: info.size_bytes for info in store.list()}
    return OptimizePlan(
        size_bytes=disk_bytes(snapshot.dir),
        versions=len(replaced),
        unused_files=len(unused),
        unused_bytes=sum(sizes.get(name, 0) for name in unused),
        compact=snapshot.fragmented(),
        rebuild=tuple(key for key in manifest.settings.keys if needs_rebuild(snapshot, key, min_shard_rows)),
    )
