"""Search structures for what has been added: IVF-PQ shards, where a partition is large enough to need them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wave_search.ann import Codebook, build_shard

if TYPE_CHECKING:
    from wave_search.store import Snapshot, Writer
    from wave_search.types import Modality

SHARD_VECTORS = 1_000_000
_SEED = 0


def uncovered_from(snapshot: Snapshot, modality: Modality) -> int:
    """The first segment id behind all shards of a modality; ids ascend, so shards cover the oldest segments."""
    return max((shard.stop_id for shard in snapshot.shards(modality)), default=0)


def build_missing_shards(writer: Writer, modality: Modality, ivf_from: int) -> Snapshot:
    """Build and publish shards for a modality if at least `ivf_from` segments are in none.

    What is fewer stays for exact search. A shard that is gone from the disk makes all of its modality be built again.

    Raises:
        IndexError_: the disk is full or read-only, or a shard is damaged.
    """
    snapshot = writer.snapshot
    if any(not snapshot.shard_dir(shard).is_dir() for shard in snapshot.shards(modality)):
        writer.drop_shards(modality)
        snapshot = writer.commit()
    ids = snapshot.partition(modality).ids
    ids = ids[ids >= uncovered_from(snapshot, modality)]
    if len(ids) < max(ivf_from, 1):
        return snapshot
    shards = snapshot.shards(modality)
    codebook = Codebook.of_shard(snapshot.shard_dir(shards[-1])) if shards else _train(snapshot, modality)
    parent = writer.shard_parent(modality)
    for begin in range(0, len(ids), SHARD_VECTORS):
        part = ids[begin : begin + SHARD_VECTORS]
        first_id, stop_id = int(part[0]), int(part[-1]) + 1
        built = build_shard(codebook, snapshot.vector_batches(modality, first_id, stop_id), parent)
        writer.add_shard(modality, built.name, first_id, stop_id, built.count)
    return writer.commit()


def _train(snapshot: Snapshot, modality: Modality) -> Codebook:
    ids = snapshot.partition(modality).ids
    size = min(len(ids), Codebook.sample_size(len(ids)))
    sample = np.sort(np.random.default_rng(_SEED).choice(ids, size, replace=False))
    return Codebook.train(snapshot.vectors(modality, sample), len(ids))
