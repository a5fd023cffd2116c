"""Where search structures are, and which segments they stand for."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from wave_search.store import files as durable

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from wave_search.store.rows import ShardRef
    from wave_search.types import PartitionKey

SHARDS_FOLDER = "shards"


def shard_parent(directory: Path, key: PartitionKey) -> Path:
    """The folder of the shards of a space. Spaces may share one: the names of shards differ by their content."""
    name = key.modality.value
    if key.instruction:
        name += f"-{hashlib.blake2b(key.instruction.encode(), digest_size=4).hexdigest()}"
    return directory / SHARDS_FOLDER / name


def make_parent(directory: Path, key: PartitionKey) -> Path:
    """Make the folder of the shards of a space, if it is missing.

    Raises:
        IndexStateError: the disk is full or read-only.
    """
    folder = shard_parent(directory, key)
    with durable.disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        durable.sync(directory / SHARDS_FOLDER)
        durable.sync(directory)
    return folder


def finish(directory: Path, key: PartitionKey, name: str) -> str:
    """Bring a folder of a space to the disk; returns its digest.

    Raises:
        IndexStateError: it cannot be read.
    """
    folder = shard_parent(directory, key) / name
    with durable.disk_errors(folder):
        durable.sync_tree(folder)
        return durable.folder_digest(folder)


def covered(ids: NDArray[np.int64], shards: Iterable[ShardRef]) -> NDArray[np.bool_]:
    """Which of the segment ids (n,) of a space are in one of its shards."""
    inside = np.zeros(len(ids), np.bool_)
    for shard in shards:
        inside |= (ids >= shard.first_id) & (ids < shard.stop_id)
    return inside
