"""Where search structures are, and which segments they stand for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wave_search.files import digest
from wave_search.store.files import disk_errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from wave_search.store.files import FileStore
    from wave_search.store.rows import ShardRef
    from wave_search.types import PartitionKey

SHARDS_FOLDER = "shards"


def shard_folder(key: PartitionKey) -> str:
    """Return the name of the folder of a partition's shards. Partitions may share one: names of shards are unique."""
    name = key.modality.value
    if key.instruction:
        name += f"-{digest(key.instruction.encode(), 4)}"
    return f"{SHARDS_FOLDER}/{name}"


def make_parent(store: FileStore, key: PartitionKey) -> Path:
    """Create the folder in which a partition's shards are built, if it is missing, and return it.

    Raises:
        IndexStateError: the disk is full or read-only.
    """
    folder = store.local_path(shard_folder(key))
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def finish(store: FileStore, key: PartitionKey, name: str) -> str:
    """Make a written folder of a partition durable, and return its digest.

    Raises:
        IndexStateError: it cannot be read.
    """
    folder = f"{shard_folder(key)}/{name}"
    store.flush(info.name for info in store.list(folder))
    return folder_digest(store, folder)


def folder_digest(store: FileStore, folder: str) -> str:
    """Return the digest over the names, sizes and bytes of all files in a folder.

    Raises:
        IndexStateError: a file cannot be read now.
    """
    return digest(_parts(store, folder))


def _parts(store: FileStore, folder: str) -> Iterator[bytes]:
    for name, size_bytes, _ in sorted(store.list(folder)):
        yield f"{name.removeprefix(folder)}\0{size_bytes}\0".encode()
        yield from store.blocks(name)


def covered(ids: NDArray[np.int64], shards: Iterable[ShardRef]) -> NDArray[np.bool_]:
    """Which of the segment ids (n,) of a space are in one of its shards."""
    inside = np.zeros(len(ids), np.bool_)
    for shard in shards:
        inside |= (ids >= shard.first_id) & (ids < shard.stop_id)
    return inside
