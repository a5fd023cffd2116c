"""Building shards."""

from __future__ import annotations

import secrets
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from wave_search.ann import files
from wave_search.ann.gpu import on_gpus
from wave_search.errors import IndexError_

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
        parent: shards/<modality> of the index; exists.

    Raises:
        IndexError_: the disk is full or read-only.
        ValueError: no vectors, vectors of another size, or ids that do not ascend.
    """
    mark = secrets.token_hex(4)
    temporary = parent / f".{mark}.tmp"
    try:
        temporary.mkdir()
        ids = _write(codebook, batches, temporary)
        first_id, stop_id = int(ids[0]), int(ids[-1]) + 1
        name = f"{first_id:012d}-{stop_id:012d}-{mark}"
        temporary.rename(parent / name)
    except OSError as error:
        raise IndexError_(
            f"the shard {error.filename or temporary} cannot be written: {error.strerror}",
            "Free some space or make the place writable.",
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return BuiltShard(name, first_id, stop_id, len(ids))


def _write(
    codebook: Codebook, batches: Iterable[tuple[NDArray[np.int64], NDArray[np.float16]]], directory: Path
) -> NDArray[np.int64]:
    import faiss

    index = codebook.filled()
    parts: list[NDArray[np.int64]] = []
    with (directory / files.VECTORS).open("wb") as file, on_gpus(faiss.extract_index_ivf(index)):
        for batch_ids, vectors in batches:
            if vectors.shape != (len(batch_ids), codebook.dim) or vectors.dtype != np.float16:
                raise ValueError(f"not float16 vectors of {codebook.dim} for {len(batch_ids)} ids: {vectors.shape}")
            file.write(np.ascontiguousarray(vectors).data)
            index.add(vectors.astype(np.float32))
            parts.append(np.array(batch_ids, np.int64))
    ids = np.concatenate([*parts, np.empty(0, np.int64)])
    if not len(ids) or (np.diff(ids) <= 0).any():
        raise ValueError("a shard needs vectors with ascending ids")
    files.write_rest(directory, index, ids)
    return ids
