"""Content digests of bytes and files, and files that are replaced as a whole."""

from __future__ import annotations

import hashlib
import os
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

DIGEST_BYTES = 16
_BLOCK_BYTES = 1 << 20


def digest(parts: bytes | Iterable[bytes], size_bytes: int = DIGEST_BYTES) -> str:
    """Return the BLAKE2b digest of bytes, or of parts one after another, as hexadecimal."""
    state = hashlib.blake2b(digest_size=size_bytes)
    for part in (parts,) if isinstance(parts, bytes) else parts:
        state.update(part)
    return state.hexdigest()


def file_digest(path: Path) -> str:
    """Return the BLAKE2b digest of the bytes of a file as hexadecimal.

    Raises:
        OSError: it cannot be read.
    """
    return digest(blocks(path))


def blocks(path: Path) -> Iterator[bytes]:
    """Read a file in blocks of one MiB.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            yield block


def write_atomic(path: Path, data: bytes, *, durable: bool = False) -> None:
    """Write a file as a whole: readers see the old content or the new one, also after a crash.

    Args:
        path: the file. The permissions of a new file follow the umask.
        data: its content.
        durable: whether the content and the name are on the disk before this returns (fsync).

    Raises:
        OSError: it cannot be written; what was there stays.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    if durable:
        sync(path.parent)


def sync(path: Path) -> None:
    """Bring the content of a file, or the names in a folder, to the disk (fsync).

    Raises:
        OSError: it cannot be opened or written.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
