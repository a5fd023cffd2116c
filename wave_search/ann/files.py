"""The files of a shard.

index.faiss    rotation, centroids and codes
ids.npy        int64, the segment id of each position; `verify` reads it too
vectors.f16    the vectors as they are in the table, one after another, memory-mapped for re-scoring
meta.json      how many of what size, and checksums of what is read whole
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from wave_search.errors import IndexCorruptError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

INDEX, IDS, VECTORS, META = "index.faiss", "ids.npy", "vectors.f16", "meta.json"
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Meta:
    """What the other files must agree with."""

    count: int
    dim: int
    index_checksum: int
    ids_checksum: int
    format: int = _FORMAT


def write_rest(directory: Path, index: Any, ids: NDArray[np.int64]) -> None:
    """Write everything but the vectors, which were streamed before.

    Raises:
        OSError: the disk is full or read-only.
    """
    import faiss

    codes = faiss.serialize_index(index).tobytes()
    (directory / INDEX).write_bytes(codes)
    np.save(directory / IDS, ids)
    meta = Meta(len(ids), int(index.d), zlib.crc32(codes), _checksum(directory / IDS))
    (directory / META).write_text(json.dumps({name: getattr(meta, name) for name in Meta.__slots__}))


def read_meta(directory: Path) -> Meta:
    """Read what the other files must agree with.

    Raises:
        IndexCorruptError: missing, damaged, or of another format.
    """
    try:
        meta = Meta(**json.loads((directory / META).read_bytes()))
    except (OSError, ValueError, TypeError) as error:
        raise damaged(directory, f"{META}: {error}") from error
    if meta.format != _FORMAT:
        raise damaged(directory, f"it has format {meta.format}, not {_FORMAT}")
    return meta


def read_index(directory: Path) -> Any:
    """Read the codes as a faiss index. faiss may crash on damaged files, so a checksum goes first.

    Raises:
        IndexCorruptError: missing or damaged.
    """
    import faiss

    meta = read_meta(directory)
    try:
        codes = (directory / INDEX).read_bytes()
    except OSError as error:
        raise damaged(directory, f"{INDEX}: {error.strerror}") from error
    if zlib.crc32(codes) != meta.index_checksum:
        raise damaged(directory, f"the checksum of {INDEX} does not fit")
    return faiss.deserialize_index(np.frombuffer(codes, np.uint8))


def read_ids(directory: Path) -> NDArray[np.int64]:
    """Read the segment ids.

    Raises:
        IndexCorruptError: missing or damaged.
    """
    meta = read_meta(directory)
    try:
        if _checksum(directory / IDS) != meta.ids_checksum:
            raise damaged(directory, f"the checksum of {IDS} does not fit")
        ids: NDArray[np.int64] = np.load(directory / IDS)
    except OSError as error:
        raise damaged(directory, f"{IDS}: {error.strerror}") from error
    return ids


def map_vectors(directory: Path) -> NDArray[np.float16]:
    """Map the (count, dim) vectors without reading them.

    Raises:
        IndexCorruptError: missing, or not as long as they should be.
    """
    meta = read_meta(directory)
    path = directory / VECTORS
    try:
        if path.stat().st_size != meta.count * meta.dim * 2:
            raise damaged(directory, f"{VECTORS} has {path.stat().st_size} bytes")
        mapped = np.memmap(path, np.float16, "r", shape=(meta.count, meta.dim))
    except OSError as error:
        raise damaged(directory, f"{VECTORS}: {error.strerror}") from error
    return mapped.view(np.ndarray)


def damaged(directory: Path, cause: str) -> IndexCorruptError:
    """The error for a shard that cannot be used."""
    return IndexCorruptError(
        f"the shard {directory} is damaged: {cause}",
        "Delete that folder and run `wave-search index` again: it is rebuilt without a model.",
    )


def _checksum(path: Path) -> int:
    return zlib.crc32(path.read_bytes())
