"""A shard: an immutable part of a partition on disk, with codes, and vectors for re-scoring candidates.

A folder with codes.faiss, the inverted lists; ids.npy, the int64 segment id of each position, which `verify` reads too;
vectors.f16, the vectors of the table, contiguous and mapped into memory; and meta.json.
"""

from __future__ import annotations

import mmap
import os
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from wave_search.ann.arrays import map_array, map_ids, read_array
from wave_search.ann.faiss_setup import on_gpus
from wave_search.ann.inverted_lists import InvertedLists
from wave_search.files import open_regular
from wave_search.store.shards import (
    check_file,
    damaged,
    new_folder,
    read_errors,
    read_meta,
    unique_suffix,
    unreadable,
    write_meta,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from wave_search.ann.codebook import Codebook

_LISTS_HEADER = struct.Struct("<4sQQQQ")
_SIZE = struct.Struct("<Q")
_BLOCK_VECTORS = 32
CODES, IDS, VECTORS = "codes.faiss", "ids.npy", "vectors.f16"


@dataclass(frozen=True, slots=True)
class Shard:
    """An open shard."""

    lists: InvertedLists
    ids: NDArray[np.int64]
    """(n,) ascending segment ids, mapped."""
    vectors: NDArray[np.float16]
    """(n, dim), mapped."""
    folder: Path | None
    """None for one in memory."""

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def open(cls, folder: Path, codebook: Codebook) -> Shard:
        """Read the codes and map the rest. faiss reads fast-scan codes faster than it maps them.

        Raises:
            IndexCorruptError: a file is missing or damaged, or the shard belongs to another codebook; rebuild it.
            IndexStateError: a file cannot be read at the moment.
        """
        meta = read_meta(folder)
        count, dim = meta.facts.get("count", -1), meta.facts.get("dim", -1)
        if (dim, meta.facts.get("codebook")) != (codebook.dim, codebook.checksum):
            raise damaged(folder, "it was made with another codebook")
        check_file(folder, IDS, meta)
        ids = map_ids(folder, IDS, count)
        vectors = map_array(folder, VECTORS, np.float16, (count, dim))
        check_file(folder, CODES, meta)  # faiss may crash on damaged data
        _check_lists(folder, codebook, count)
        return cls(_read_lists(folder, codebook, count), ids, vectors, folder)

    def batches(self, rows: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float16]]]:
        """Read all ids (b,) and vectors (b, dim), `rows` at a time.

        Avoids the mapping, whose pages would stay in memory.

        Raises:
            IndexCorruptError: the file was removed or truncated.
            IndexStateError: it cannot be read at the moment.
        """
        for start in range(0, len(self), rows):
            ids = self.ids[start : start + rows]
            if self.folder is None:
                yield ids, self.vectors[start : start + rows]
                continue
            yield ids, read_array(self.folder, VECTORS, np.float16, start, (len(ids), self.vectors.shape[1]))


@dataclass(frozen=True, slots=True)
class BuiltShard:
    """A shard that was written to disk."""

    name: str
    """Name of its folder."""
    first_id: int
    stop_id: int
    """One more than its highest id."""
    count: int


def build_shard(
    codebook: Codebook, batches: Iterable[tuple[NDArray[np.int64], NDArray[np.float16]]], parent: Path
) -> BuiltShard:
    """Write a shard under `parent`: a temporary folder, which is renamed when it is complete.

    Args:
        codebook: of the partition.
        batches: ids (b,) and vectors (b, dim), ids ascending throughout; at least one vector in all. Streamed.
        parent: the folder of the shards; exists.

    Raises:
        IndexStateError: the disk is full or read-only.
        ValueError: no vectors, vectors of another size, or ids that do not ascend.
    """
    with new_folder(parent) as temporary:
        ids = _write(codebook, batches, temporary)
        first_id, stop_id = int(ids[0]), int(ids[-1]) + 1
        name = f"{first_id:012d}-{stop_id:012d}-{unique_suffix()}"
        temporary.rename(parent / name)
    return BuiltShard(name, first_id, stop_id, len(ids))


def _check_lists(folder: Path, codebook: Codebook, count: int) -> None:
    """Check that a file of inverted lists agrees with itself: faiss believes its sizes, and it may be made to mislead.

    The file has a header, and for each list its number of vectors, their positions, and their codes in blocks of 32.

    Raises:
        IndexCorruptError: it does not.
        IndexStateError: it cannot be read at the moment.
    """
    with read_errors(folder, CODES), open_regular(folder / CODES) as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if os.fstat(file.fileno()).st_size else b""
    try:
        kind, lists, _, _, block_bytes = _LISTS_HEADER.unpack_from(data)
        at, found = _LISTS_HEADER.size, 0
        if (kind, lists, block_bytes) != (b"ilbl", codebook.lists, codebook.block_bytes):
            raise ValueError("it is for another codebook")
        for _ in range(lists):
            (size,) = _SIZE.unpack_from(data, at)
            positions = np.frombuffer(data, np.int64, size, at + _SIZE.size)
            (codes_bytes,) = _SIZE.unpack_from(data, at + _SIZE.size + positions.nbytes)
            if codes_bytes != -(-size // _BLOCK_VECTORS) * block_bytes:
                raise ValueError("a list has too many codes or too few")
            if size and not (positions.min() >= 0 and positions.max() < count):
                raise ValueError("a position is not in the shard")
            at, found = at + 2 * _SIZE.size + positions.nbytes + codes_bytes, found + size
        if (at, found) != (len(data), count):
            raise ValueError("it has another size")
    except (ValueError, OverflowError, struct.error) as error:
        raise damaged(folder, f"{CODES} is not valid: {error}") from error


def _read_lists(folder: Path, codebook: Codebook, count: int) -> InvertedLists:
    """Read a file that was checked."""
    import faiss

    index = codebook.new_index()
    with read_errors(folder, CODES):
        try:
            lists: Any = faiss.read_InvertedLists(faiss.FileIOReader(str(folder / CODES)))
        except RuntimeError as error:  # faiss reports system errors in its message only
            (folder / CODES).stat()  # raises if it has just been removed
            raise unreadable(folder, CODES, _cause(error)) from error
    # The packer is not in the file, but is needed for merging the lists of another shard.
    lists.packer = index.get_CodePacker()
    index.replace_invlists(lists, True)
    index.ntotal = count
    return InvertedLists(index)


def _cause(error: RuntimeError) -> str:
    """Return the last part of a message of faiss, which is the system error."""
    return str(error).strip().rsplit(": ", maxsplit=1)[-1]


def _write(
    codebook: Codebook, batches: Iterable[tuple[NDArray[np.int64], NDArray[np.float16]]], folder: Path
) -> NDArray[np.int64]:
    import faiss

    index = codebook.new_index()
    parts: list[NDArray[np.int64]] = []
    with (folder / VECTORS).open("wb") as file, on_gpus(index):
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
    (folder / CODES).write_bytes(faiss.vector_to_array(writer.data).data)
    np.save(folder / IDS, ids)
    write_meta(folder, count=len(ids), dim=codebook.dim, codebook=codebook.checksum)
    return ids
