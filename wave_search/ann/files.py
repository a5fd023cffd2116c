"""Folders of files that are written once: each has a list of the others with their checksums.

A codebook: rotation.npy (dims, dim), centroids.npy (lists, dims), quantisers.npy (parts, 16, 2), all float32.
A shard: codes.faiss, the inverted lists; ids.npy, int64, the segment id of each position, which `verify` reads too;
vectors.f16, the vectors as they are in the table, one after another, mapped into memory to re-score candidates.
"""

from __future__ import annotations

import json
import math
import mmap
import secrets
import shutil
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from wave_search.errors import IndexCorruptError, IndexStateError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

Number = TypeVar("Number", bound=np.generic)
META = "meta.json"
_FORMAT = 2
_BLOCK_BYTES = 1 << 20
_READ_AROUND_BYTES = 1 << 26
"""A file no larger than this may be searched whole, and is soon in memory anyway."""


@dataclass(frozen=True, slots=True)
class Meta:
    """What the other files must agree with."""

    checksums: Mapping[str, int]
    """Of every other file: CRC-32."""
    facts: Mapping[str, int]
    """Numbers of the kind of folder."""


@contextmanager
def new_folder(parent: Path) -> Iterator[Path]:
    """A temporary folder under `parent`, to be filled and renamed; what is still there at the end is removed.

    Raises:
        IndexStateError: in place of an OSError: the disk is full or read-only.
    """
    temporary = parent / f".{new_mark()}.tmp"
    try:
        temporary.mkdir()
        yield temporary
    except OSError as error:
        raise IndexStateError(
            f"{error.filename or temporary} cannot be written: {error.strerror}",
            "Free some space or make the place writable.",
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def new_mark() -> str:
    """A part of a name that no other folder has."""
    return secrets.token_hex(4)


def write_meta(directory: Path, **facts: int) -> None:
    """Complete a folder whose other files are written.

    Raises:
        OSError: the disk is full or read-only.
    """
    checksums = {path.name: _checksum(path) for path in sorted(directory.iterdir())}
    (directory / META).write_text(json.dumps({"format": _FORMAT, "checksums": checksums, "facts": facts}))


def read_meta(directory: Path) -> Meta:
    """Read what the other files must agree with.

    Raises:
        IndexCorruptError: missing, damaged, or of another format.
    """
    try:
        content = json.loads((directory / META).read_bytes())
        if content["format"] != _FORMAT:
            raise damaged(directory, f"it has format {content['format']}, not {_FORMAT}")
        return Meta(dict(content["checksums"]), dict(content["facts"]))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise damaged(directory, f"{META}: {error!r}") from error


def read_bytes(directory: Path, name: str, meta: Meta) -> bytes:
    """Read a file whole. Libraries may crash on damaged data, so that the checksum goes first.

    Raises:
        IndexCorruptError: missing or damaged.
    """
    try:
        data = (directory / name).read_bytes()
    except OSError as error:
        raise damaged(directory, f"{name}: {error.strerror}") from error
    if zlib.crc32(data) != meta.checksums.get(name):
        raise damaged(directory, f"the checksum of {name} does not fit")
    return data


def check(directory: Path, name: str, meta: Meta) -> None:
    """Read a file and compare its checksum.

    Raises:
        IndexCorruptError: missing or damaged.
    """
    try:
        found = _checksum(directory / name)
    except OSError as error:
        raise damaged(directory, f"{name}: {error.strerror}") from error
    if found != meta.checksums.get(name):
        raise damaged(directory, f"the checksum of {name} does not fit")


def map_array(
    directory: Path, name: str, dtype: type[Number], shape: tuple[int, ...]
) -> np.ndarray[tuple[int, ...], np.dtype[Number]]:
    """Map a file of bare numbers without reading it, to pick from here and there.

    Of a large file, the system reads what is wanted and nothing around it, which it does otherwise: up to megabytes.

    Raises:
        IndexCorruptError: missing, or not as long as it should be.
    """
    path = directory / name
    try:
        with path.open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:  # the latter for an empty file
        raise damaged(directory, f"{name}: {error}") from error
    if len(mapped) != math.prod(shape) * np.dtype(dtype).itemsize:
        raise damaged(directory, f"{name} has {len(mapped)} bytes")
    if len(mapped) > _READ_AROUND_BYTES:
        mapped.madvise(mmap.MADV_RANDOM)
    return np.frombuffer(mapped, dtype).reshape(shape)


def read_array(
    directory: Path, name: str, dtype: type[Number], start: int, shape: tuple[int, int]
) -> np.ndarray[tuple[int, ...], np.dtype[Number]]:
    """Read some rows, from `start` on, of a file of bare numbers.

    Raises:
        IndexCorruptError: missing, or too short.
    """
    row_bytes = shape[1] * np.dtype(dtype).itemsize
    try:
        read = np.fromfile(directory / name, dtype, math.prod(shape), offset=start * row_bytes)
    except OSError as error:
        raise damaged(directory, f"{name}: {error.strerror}") from error
    if len(read) != math.prod(shape):
        raise damaged(directory, f"{name} is too short")
    return read.reshape(shape)


def map_ids(directory: Path, name: str, count: int) -> NDArray[np.int64]:
    """Map an .npy file of (count,) int64 without reading it.

    Raises:
        IndexCorruptError: missing, or of another kind.
    """
    try:
        mapped = np.load(directory / name, mmap_mode="r")
    except (OSError, ValueError) as error:
        raise damaged(directory, f"{name}: {error}") from error
    if mapped.shape != (count,) or mapped.dtype != np.int64:
        raise damaged(directory, f"{name} has {mapped.dtype} of {mapped.shape}")
    ids: NDArray[np.int64] = mapped.view(np.ndarray)
    return ids


def damaged(directory: Path, cause: str) -> IndexCorruptError:
    """The error for a folder that cannot be used."""
    return IndexCorruptError(
        f"{directory} is damaged: {cause}",
        "Run `wave-search optimize`: it builds it again from the stored vectors, without a model.",
    )


def _checksum(path: Path) -> int:
    checksum = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            checksum = zlib.crc32(block, checksum)
    return checksum
