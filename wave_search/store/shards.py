"""Folders of search structures (shards and codebooks): their location, writing and verification.

A folder is written once and never changes. Its meta.json lists the CRC-32 of every other file, and the manifest has the
digest of meta.json, so that one chain from the manifest covers each byte. The files have no digests like those of the
tables, because opening an index checks all codes, and CRC-32 is four times as fast: 0.02 instead of 0.09 s for a
million vectors, of 0.34 s in all.
"""

from __future__ import annotations

import json
import re
import secrets
import shutil
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import msgspec

from wave_search.errors import IndexCorruptError, IndexStateError
from wave_search.files import IrregularFileError, blocks, digest, open_regular, read_bounded
from wave_search.store.files import disk_errors, refused

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from wave_search.store.files import FileStore
    from wave_search.types import PartitionKey

SHARDS_FOLDER = "shards"
META = "meta.json"
_FORMAT = 2
_MADE = re.compile(
    rf"{SHARDS_FOLDER}/[a-z]+(-[0-9a-f]{{8}})?/([0-9]{{12}}-[0-9]{{12}}-[0-9a-f]{{8}}|codebook-[0-9a-f]{{8}}"
    r"|\.[0-9a-f]{8}\.tmp)/[a-z]+\.(json|npy|faiss|f16)"
)
"""The files of shards and codebooks, also of unfinished ones."""
_MAX_META_BYTES = 1 << 20
_Natural = Annotated[int, msgspec.Meta(ge=0, lt=2**48)]
"""A checksum, or a number of vectors or dimensions."""
_MAX_ARRAY_BYTES = 4 << 30
"""More than the ids of 500 million segments, the largest array that is read as a whole."""


@dataclass(frozen=True, slots=True)
class _Content:
    """The content of meta.json."""

    format: int
    checksums: dict[str, _Natural]
    facts: dict[str, _Natural]


@dataclass(frozen=True, slots=True)
class Meta:
    """The content of meta.json, which the other files of a folder must agree with."""

    checksums: Mapping[str, int]
    """CRC-32 of every other file, by its name."""
    facts: Mapping[str, int]
    """Numbers that describe the structure."""


def shard_folder(key: PartitionKey) -> str:
    """Return the folder name of a partition's shards. Partitions may share it, because shard names are unique."""
    name = key.modality.value
    if key.instruction:
        name += f"-{digest(key.instruction.encode(), 4)}"
    return f"{SHARDS_FOLDER}/{name}"


def is_made(name: str) -> bool:
    """Return whether a file has a name that only a shard or a codebook gives to its files."""
    return _MADE.fullmatch(name) is not None


@contextmanager
def new_folder(parent: Path) -> Iterator[Path]:
    """Create a temporary folder under `parent`, to be filled and renamed. It is removed if it was not renamed.

    Raises:
        IndexStateError: in place of an OSError: the disk is full or read-only.
    """
    temporary = parent / f".{unique_suffix()}.tmp"
    with disk_errors(temporary):
        try:
            temporary.mkdir()
            yield temporary
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def unique_suffix() -> str:
    """Return a random suffix that makes a folder name unique."""
    return secrets.token_hex(4)


def write_meta(folder: Path, **facts: int) -> None:
    """Write meta.json. Must be called after all other files of a folder are written.

    Raises:
        OSError: the disk is full or read-only.
    """
    checksums = {path.name: _crc32(path) for path in sorted(folder.iterdir())}
    (folder / META).write_text(json.dumps({"format": _FORMAT, "checksums": checksums, "facts": facts}))


def finish(store: FileStore, key: PartitionKey, name: str) -> str:
    """Make a complete folder of a partition durable, and return the digest of its meta.json.

    Raises:
        IndexStateError: it cannot be read or made durable.
    """
    folder = f"{shard_folder(key)}/{name}"
    store.flush(info.name for info in store.list(folder))
    with disk_errors(store.url(folder)):
        return digest(store.get(f"{folder}/{META}"))


def read_meta(folder: Path) -> Meta:
    """Read meta.json.

    Raises:
        IndexCorruptError: it is missing, damaged, or of another format.
        IndexStateError: it cannot be read at the moment.
    """
    return _parsed(folder, read_bytes(folder, META, _MAX_META_BYTES))


def check_folder(folder: Path, meta_digest: str) -> None:
    """Read a whole folder and compare every byte with what was written.

    Args:
        folder: of a shard or codebook.
        meta_digest: of its meta.json, from the manifest.

    Raises:
        IndexCorruptError: a file is missing, damaged, or was added.
        IndexStateError: a file cannot be read at the moment.
    """
    data = read_bytes(folder, META, _MAX_META_BYTES)
    if digest(data) != meta_digest:
        raise damaged(folder, f"the digest of {META} does not match")
    meta = _parsed(folder, data)
    for name in meta.checksums:
        check_file(folder, name, meta)
    with read_errors(folder, META):
        added = {path.name for path in folder.iterdir()} - meta.checksums.keys() - {META}
    if added:
        raise damaged(folder, f"{min(added)} does not belong to it")


def check_file(folder: Path, name: str, meta: Meta) -> None:
    """Read a file and compare its checksum.

    Raises:
        IndexCorruptError: it is missing or damaged.
        IndexStateError: it cannot be read at the moment.
    """
    with read_errors(folder, name):
        found = _crc32(folder / name)
    _compare(folder, name, meta, found)


def read_checked(folder: Path, name: str, meta: Meta) -> bytes:
    """Return the content of a file whose checksum matches: libraries may crash on damaged data.

    Raises:
        IndexCorruptError: it is missing or damaged.
        IndexStateError: it cannot be read at the moment.
    """
    data = read_bytes(folder, name)
    _compare(folder, name, meta, zlib.crc32(data))
    return data


def read_bytes(folder: Path, name: str, limit_bytes: int = _MAX_ARRAY_BYTES) -> bytes:
    """Return the content of a file of at most `limit_bytes`.

    Raises:
        IndexCorruptError: it is missing.
        IndexStateError: it cannot be read at the moment.
    """
    with read_errors(folder, name):
        return read_bounded(folder / name, limit_bytes)


@contextmanager
def read_errors(folder: Path, name: str) -> Iterator[None]:
    """Distinguish damage, which a rebuild repairs, from errors that may be gone when the command is run again.

    Only a missing file is damage. Any other system error (too many open files, an I/O error, no permission, no memory)
    says nothing about the content, and must never cost the user a rebuild.

    Raises:
        IndexCorruptError: in place of an OSError: the file is missing, or is not a file.
        IndexStateError: in place of any other OSError, of a link for example, and of a MemoryError.
    """
    try:
        yield
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise damaged(folder, f"{name} is missing") from error
    except IrregularFileError as error:
        raise refused(error) from error
    except OSError as error:
        raise unreadable(folder, name, error.strerror or str(error)) from error
    except MemoryError as error:
        raise unreadable(folder, name, "there is not enough memory") from error


def damaged(folder: Path, cause: str) -> IndexCorruptError:
    """Return the error for a folder that must be rebuilt."""
    return IndexCorruptError(
        f"{folder} is damaged: {cause}",
        "Run `wave-search optimize`: it rebuilds this from the stored vectors, without a model.",
    )


def unreadable(folder: Path, name: str, cause: str) -> IndexStateError:
    """Return the error for a file that cannot be read, although it may be intact."""
    return IndexStateError(
        f"{folder / name} cannot be read: {cause}",
        "Remove the cause and run the command again; nothing was rebuilt. "
        f"If the disk has lost the file, delete {folder} and run `wave-search optimize`.",
    )


def _parsed(folder: Path, data: bytes) -> Meta:
    try:
        content = msgspec.json.decode(data, type=_Content)
    except (ValueError, RecursionError) as error:
        raise damaged(folder, f"{META} is not valid: {error}") from error
    if content.format != _FORMAT:
        raise damaged(folder, f"it has format {content.format}, not {_FORMAT}")
    if any("/" in name or "\0" in name or name in (".", "..") for name in content.checksums):
        raise damaged(folder, f"{META} names files of another folder")
    return Meta(content.checksums, content.facts)


def _compare(folder: Path, name: str, meta: Meta, checksum: int) -> None:
    if checksum != meta.checksums.get(name):
        raise damaged(folder, f"the checksum of {name} does not match")


def _crc32(path: Path) -> int:
    checksum = 0
    with open_regular(path) as file:
        for block in blocks(file, path):
            checksum = zlib.crc32(block, checksum)
    return checksum
