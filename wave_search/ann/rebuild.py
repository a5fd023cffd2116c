"""Search structures for what has been added: IVF-PQ shards, where a partition is large enough to need them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from wave_search.ann import Codebook, Shard, Shards, build_shard, draw, measure
from wave_search.ann.plan import plan
from wave_search.errors import IndexCorruptError
from wave_search.store import covered, shard_fault

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from wave_search.ann.plan import Plan
    from wave_search.store import ShardRef, Snapshot, Writer
    from wave_search.types import PartitionKey

_NEW_SHARE = 0.2
"""So much has to be new since a codebook was trained, before another one is tried."""


def refresh_shards(
    writer: Writer, key: PartitionKey, min_shard_rows: int, recall: float | None = None, *, compact: bool = False
) -> Snapshot:
    """Build what is missing, damaged or outgrown of a space's search structures, and publish it in one commit.

    Fewer than `min_shard_rows` segments stay for exact search. How widely the shards are searched is measured once they
    have grown by a quarter; if that shows the codebook outgrown, it is trained anew. Readers keep what they opened.
    Needs no model.

    Args:
        writer: with nothing pending.
        key: which partition.
        min_shard_rows: build shards once so many segments are in none.
        recall: wanted recall@10; None for that of before, or 0.95.
        compact: also read all files to find damage, join small shards, and drop what was deleted.

    Raises:
        IndexStateError: the disk is full or read-only.
    """
    snapshot = writer.snapshot
    ids = snapshot.partition(key).ids
    codebook, whole = _usable(snapshot, key, thorough=compact)
    todo = plan(ids, whole, max(min_shard_rows, 1), compact=compact)
    if not todo.keep and not todo.build:
        writer.set_codebook(key, None)
        return writer.commit()
    target = recall or measure.last_target(snapshot, key)
    is_as_planned = not todo.build and len(todo.keep) == len(snapshot.shards(key))
    if is_as_planned and not measure.is_due(snapshot, key, int(covered(ids, todo.keep).sum()), target):
        return snapshot
    if codebook is None:
        codebook = _train(writer, key, ids)
    shards = _build(writer, key, codebook, ids, todo)
    if measure.is_due(snapshot, key, shards.count, target) or (compact and todo.build):
        tunings, is_outgrown = measure.measure(snapshot, key, shards, target)
        trained = next((ref.stop_id for ref in (snapshot.codebook(key),) if ref), 0)
        if is_outgrown and trained and (ids >= trained).mean() >= _NEW_SHARE:
            codebook = _train(writer, key, ids)
            shards = _build(writer, key, codebook, ids, plan(ids, (), 1, compact=False))
            tunings, _ = measure.measure(snapshot, key, shards, target)
        writer.set_tunings(key, tunings)
    return writer.commit()


def _usable(snapshot: Snapshot, key: PartitionKey, *, thorough: bool) -> tuple[Codebook | None, list[ShardRef]]:
    """The codebook, None if there is none or it is damaged, and the shards that can be searched with it."""
    ref = snapshot.codebook(key)
    if ref is None or (thorough and shard_fault(snapshot, ref)):
        return None, []
    try:
        codebook = Codebook.open(snapshot.shard_dir(ref), snapshot.manifest.model.dim)
    except IndexCorruptError:
        return None, []
    shards = (shard for shard in snapshot.shards(key) if not (thorough and shard_fault(snapshot, shard)))
    return codebook, [shard for shard in shards if _opens(snapshot.shard_dir(shard), codebook)]


def _opens(directory: Path, codebook: Codebook) -> bool:
    try:
        Shard.open(directory, codebook)
    except IndexCorruptError:
        return False
    return True


def _train(writer: Writer, key: PartitionKey, ids: NDArray[np.int64]) -> Codebook:
    sample = _Stored(writer.snapshot, key, draw(ids, Codebook.sample_size(len(ids))))
    codebook = Codebook.train(sample, len(ids))
    writer.set_codebook(key, codebook.write(writer.shard_parent(key)), int(ids[-1]) + 1)
    return codebook


@dataclass(frozen=True, slots=True)
class _Stored:
    """Vectors that are read when they are asked for."""

    snapshot: Snapshot
    key: PartitionKey
    ids: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, part: slice) -> NDArray[np.float16]:
        return self.snapshot.vectors(self.key, self.ids[part])


def _build(writer: Writer, key: PartitionKey, codebook: Codebook, ids: NDArray[np.int64], todo: Plan) -> Shards:
    """Bring the shards of the next version to what was planned, and open them."""
    parent = writer.shard_parent(key)
    names = {shard.first_id: shard.name for shard in todo.keep}
    writer.drop_shards(key, keep=names.values())
    for first_id, stop_id in todo.build:
        built = build_shard(codebook, writer.snapshot.vector_batches(key, first_id, stop_id), parent)
        writer.add_shard(key, built.name, built.first_id, stop_id, built.count)
        names[built.first_id] = built.name
    return Shards(codebook, [Shard.open(parent / names[first_id], codebook) for first_id in sorted(names)], ids)
