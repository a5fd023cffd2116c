"""Building shards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from wave_search.ann import files
from wave_search.ann.gpu import on_gpus
from wave_search.ann.shard import CODES, IDS, VECTORS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from wave_search.ann.codebook import Codebook


@dataclass(frozen=True, slots=True)
class BuiltShard:
    """A shard that now exists on disk."""

    name: str
    """Of its folder."""
    first_id: int
    stop_id: int
    """One more than its highest id."""
    count: int


def build_shard(
    codebook: Codebook, batches: Iterable[tuple[NDArray[np.int64], NDArray[np.float16]]], parent: Path
) -> BuiltShard:
    """Write a shard under `parent`, in a temporary folder that is renamed when it is whole.

    Args:
        codebook: of the partition.
        batches: ids (b,) and vectors (b, dim), ids ascending throughout; at least one vector in all. Streamed.
        parent: the folder of the shards; exists.

    Raises:
        IndexStateError: the disk is full or read-only.
        ValueError: no vectors, vectors of another size, or ids that do not ascend.
    """
    with files.new_folder(parent) as temporary:
        ids = _write(codebook, batches, temporary)
        first_id, stop_id = int(ids[0]), int(ids[-1]) + 1
        name = f"{first_id:012d}-{stop_id:012d}-{files.new_mark()}"
        temporary.rename(parent / name)
    return BuiltShard(name, first_id, stop_id, len(ids))


def _write(
    codebook: Codebook, batches: Iterable[tuple[NDArray[np.int64], NDArray[np.float16]]], directory: Path
) -> NDArray[np.int64]:
    import faiss

    index = codebook.new_index()
    parts: list[NDArray[np.int64]] = []
    with (directory / VECTORS).open("wb") as file, on_gpus(index):
        for batch_ids, vectors in batches:
            if vectors.shape != (len(batch_ids), codebook.dim) or vectors.dtype != np.float16:
                raise ValueError(f"not float16 vectors of {codebook.dim} for {len(batch_ids)} ids: {vectors.shape}")
            file.write(np.ascontiguousarray(vectors).data)
            index.add(codebook.rotate(vectors.astype(np.float32)))
            parts.append(np.array(batch_ids, np.int64))
    ids = np.concatenate([*parts, np.empty(0, np.int64)])
    if not len(ids) or (np.diff(ids) <= 0).any():
        raise ValueError("a shard needs vectors with ascending ids")
    writer = faiss.VectorIOWriter()
    faiss.write_InvertedLists(index.invlists, writer)
    (directory / CODES).write_bytes(faiss.vector_to_array(writer.data).data)
    np.save(directory / IDS, ids)
    files.write_meta(directory, count=len(ids), dim=codebook.dim, codebook=codebook.checksum)
    return ids
