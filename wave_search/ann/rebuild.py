"""Updates of shards: missing, damaged or outgrown ones are rebuilt from the stored vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from wave_search.ann import tuning
from wave_search.ann.codebook import Codebook
from wave_search.ann.plan import ShardPlan, covered, draw, plan_shards
from wave_search.ann.shard import Shard, build_shard
from wave_search.ann.shard_set import ShardSet
from wave_search.errors import IndexCorruptError
from wave_search.store import check_shard, table_checks
from wave_search.store.files import RESTORE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from wave_search.store import ShardRef, Snapshot, Writer
    from wave_search.types import PartitionKey

_MIN_NEW_SHARE = 0.2
"""Minimum share of segments newer than the codebook at which a new one is trained."""


def refresh_shards(
    writer: Writer,
    key: PartitionKey,
    min_shard_rows: int,
    recall: float | None = None,
    *,
    compact: bool = False,
    building: Callable[[], None] = lambda: None,
) -> Snapshot:
    """Build the missing, damaged or outgrown shards of a partition, and publish them in one commit.

    Fewer than `min_shard_rows` segments are left to exact search. The search parameters are measured again once the
    shards have grown by a quarter; if the measurement shows that the codebook is outgrown, a new one is trained.
    Readers keep the version that they opened. Needs no model.

    Args:
        writer: with nothing pending.
        key: of the partition.
        min_shard_rows: minimum number of segments in no shard that triggers a new one.
        recall: target recall@10; None for the previous target, or 0.95 if there is none.
        compact: also read all files to find damage, merge small shards, and drop deleted segments.
        building: called before something that takes time, if there is anything to build or to measure.

    Raises:
        IndexStateError: the disk is full or read-only, or a file cannot be read at the moment; nothing is rebuilt then.
    """
    snapshot = writer.snapshot
    ids = snapshot.partition(key).ids
    codebook, usable = _usable(snapshot, key, thorough=compact)
    todo = plan_shards(ids, usable, max(min_shard_rows, 1), compact=compact)
    if not todo.keep and not todo.build:
        writer.set_codebook(key, None)
        return writer.commit()
    target = recall or tuning.last_target(snapshot, key)
    is_as_planned = not todo.build and len(todo.keep) == len(snapshot.shards(key))
    if is_as_planned and not tuning.is_due(snapshot, key, int(covered(ids, todo.keep).sum()), target):
        return snapshot
    building()
    if codebook is None:
        codebook = _train(writer, key, ids)
    shards = _build(writer, key, codebook, ids, todo)
    if tuning.is_due(snapshot, key, shards.count, target) or (compact and todo.build):
        tunings, is_outgrown = tuning.measure(snapshot, key, shards, target)
        trained = next((ref.stop_id for ref in (snapshot.codebook(key),) if ref), 0)
        if is_outgrown and trained and (ids >= trained).mean() >= _MIN_NEW_SHARE:
            codebook = _train(writer, key, ids)
            shards = _build(writer, key, codebook, ids, plan_shards(ids, (), 1, compact=False))
            tunings, _ = tuning.measure(snapshot, key, shards, target)
        writer.set_tunings(key, tunings)
    return writer.commit()


def needs_rebuild(snapshot: Snapshot, key: PartitionKey, min_shard_rows: int) -> bool:
    """Return whether `refresh_shards` with `compact` would build or drop shards. Raises IndexStateError."""
    _, usable = _usable(snapshot, key, thorough=True)
    todo = plan_shards(snapshot.partition(key).ids, usable, max(min_shard_rows, 1), compact=True)
    return bool(todo.build) or todo.keep != snapshot.shards(key)


def _usable(snapshot: Snapshot, key: PartitionKey, *, thorough: bool) -> tuple[Codebook | None, list[ShardRef]]:
    """Return the codebook, None if it is missing or damaged, and the intact shards that were made with it.

    Raises:
        IndexStateError: a file cannot be read at the moment, so that it is unknown whether it is damaged.
    """
    ref = snapshot.codebook(key)
    if ref is None:
        return None, []
    try:
        if thorough:
            check_shard(snapshot, ref)
        codebook = Codebook.open(snapshot.shard_dir(ref), snapshot.manifest.model.dim)
    except IndexCorruptError:
        return None, []
    shards = snapshot.shards(key)
    return codebook, [shard for shard in shards if _is_intact(snapshot, shard, codebook, thorough=thorough)]


def _is_intact(snapshot: Snapshot, ref: ShardRef, codebook: Codebook, *, thorough: bool) -> bool:
    try:
        if thorough:
            check_shard(snapshot, ref)
        Shard.open(snapshot.shard_dir(ref), codebook)
    except IndexCorruptError:
        return False
    return True


def _train(writer: Writer, key: PartitionKey, ids: NDArray[np.int64]) -> Codebook:
    sample = _StoredVectors(writer.snapshot, key, draw(ids, Codebook.sample_size(len(ids))))
    codebook = Codebook.train(sample, len(ids))
    writer.set_codebook(key, codebook.write(writer.shard_parent(key)), int(ids[-1]) + 1)
    return codebook


@dataclass(frozen=True, slots=True)
class _StoredVectors:
    """Vectors of the table that are read by slices."""

    snapshot: Snapshot
    key: PartitionKey
    ids: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, part: slice) -> NDArray[np.float16]:
        vectors = self.snapshot.vectors(self.key, self.ids[part])
        _check_finite(self.snapshot, vectors)
        return vectors


def _stored_batches(
    snapshot: Snapshot, key: PartitionKey, first_id: int, stop_id: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float16]]]:
    for ids, vectors in snapshot.vector_batches(key, first_id, stop_id):
        _check_finite(snapshot, vectors)
        yield ids, vectors


def _check_finite(snapshot: Snapshot, vectors: NDArray[np.float16]) -> None:
    """Check that vectors can be put into a shard; faiss leaves out others. Raises IndexCorruptError."""
    if not np.isfinite(vectors).all():
        table = snapshot.store.url(f"{table_checks.FOLDER}/segments.lance")
        raise IndexCorruptError(f"{table} holds vectors that are not finite", RESTORE)


def _build(writer: Writer, key: PartitionKey, codebook: Codebook, ids: NDArray[np.int64], todo: ShardPlan) -> ShardSet:
    """Build the shards of the plan for the next version, and open them."""
    parent = writer.shard_parent(key)
    names = {shard.first_id: shard.name for shard in todo.keep}
    writer.drop_shards(key, keep=names.values())
    for first_id, stop_id in todo.build:
        built = build_shard(codebook, _stored_batches(writer.snapshot, key, first_id, stop_id), parent)
        writer.add_shard(key, built.name, built.first_id, stop_id, built.count)
        names[built.first_id] = built.name
    return ShardSet(codebook, [Shard.open(parent / names[first_id], codebook) for first_id in sorted(names)], ids)
