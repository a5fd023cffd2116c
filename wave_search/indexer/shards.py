"""Search structures for what has been added: IVF-PQ shards, where a partition is large enough to need them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wave_search.ann import Codebook, build_shard

if TYPE_CHECKING:
    from wave_search.store import Snapshot, Writer
    from wave_search.types import Space

SHARD_VECTORS = 1_000_000
_SEED = 0


def uncovered_from(snapshot: Snapshot, space: Space) -> int:
    """The first segment id behind all shards of a space; ids ascend, so shards cover the oldest segments."""
    return max((shard.stop_id for shard in snapshot.shards(space)), default=0)


def build_missing_shards(writer: Writer, space: Space, ivf_from: int) -> Snapshot:
    """Build and publish shards for a space if at least `ivf_from` segments are in none.

    What is fewer stays for exact search. A shard that is gone from the disk makes all of its space be built again.

    Raises:
        IndexError_: the disk is full or read-only, or a shard is damaged.
    """
    snapshot = writer.snapshot
    if any(not snapshot.shard_dir(shard).is_dir() for shard in snapshot.shards(space)):
        writer.drop_shards(space)
        snapshot = writer.commit()
    ids = snapshot.partition(space).ids
    ids = ids[ids >= uncovered_from(snapshot, space)]
    if len(ids) < max(ivf_from, 1):
        return snapshot
    shards = snapshot.shards(space)
    codebook = Codebook.of_shard(snapshot.shard_dir(shards[-1])) if shards else _train(snapshot, space)
    parent = writer.shard_parent(space)
    for begin in range(0, len(ids), SHARD_VECTORS):
        part = ids[begin : begin + SHARD_VECTORS]
        first_id, stop_id = int(part[0]), int(part[-1]) + 1
        built = build_shard(codebook, snapshot.vector_batches(space, first_id, stop_id), parent)
        writer.add_shard(space, built.name, first_id, stop_id, built.count)
    return writer.commit()


def _train(snapshot: Snapshot, space: Space) -> Codebook:
    ids = snapshot.partition(space).ids
    size = min(len(ids), Codebook.sample_size(len(ids)))
    sample = np.sort(np.random.default_rng(_SEED).choice(ids, size, replace=False))
    return Codebook.train(snapshot.vectors(space, sample), len(ids))
