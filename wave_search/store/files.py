"""Files that survive a crash: written whole, on the disk before anything refers to them."""

from __future__ import annotations

import hashlib
import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from wave_search.errors import IndexLockedError, IndexStateError

if TYPE_CHECKING:
    from collections.abc import Iterator

    Stamp = tuple[str, int, int]
    """The path of a file with its size in bytes and its time of change in ns."""

_BLOCK_BYTES = 1 << 20
_DISK_REMEDY = "Free some space or make the place writable; the last committed state is intact."


@contextmanager
def disk_errors(place: Path) -> Iterator[None]:
    """Turn an OSError into one that names the file, the cause and a remedy.

    Raises:
        IndexStateError: in place of an OSError.
    """
    try:
        yield
    except OSError as error:
        raise write_error(error.filename or place, error.strerror or str(error)) from error


def write_error(place: object, cause: str) -> IndexStateError:
    """The error for something that cannot be written."""
    return IndexStateError(f"{place} cannot be written: {cause}", _DISK_REMEDY)


def publish(path: Path, data: bytes) -> None:
    """Write a file that never existed before: whole and durable, or not at all.

    Raises:
        IndexLockedError: it exists, so another process was faster.
        IndexStateError: it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with disk_errors(path):
        try:
            _write(temporary, data)
            # A link, unlike a rename, fails if the name is taken: nobody's commit is ever overwritten.
            os.link(temporary, path)
        except FileExistsError as error:
            raise IndexLockedError(f"{path} was written by another process", "Run the command again.") from error
        finally:
            temporary.unlink(missing_ok=True)
        sync(path.parent)


def write_over(path: Path, data: bytes) -> None:
    """Write a file, whole and durable, or leave what is there.

    Raises:
        OSError: it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        _write(temporary, data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync(path.parent)


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def stamps(folder: Path) -> set[Stamp]:
    """Every file under a folder with its size and time of change: what changes is not in an older set."""
    found = set()
    for file in _files(folder):
        status = file.stat()
        found.add((file.path, status.st_size, status.st_mtime_ns))
    return found


def sync_new(folder: Path, before: set[Stamp]) -> set[Stamp]:
    """Bring to the disk what is new or changed under `folder` since `before`; returns the stamps as of now."""
    now = stamps(folder)
    changed = [Path(path) for path, _, _ in now - before]
    for path in changed:
        sync(path)
    for parent in {above for path in changed for above in _folders(path, folder)}:
        sync(parent)
    return now


def sync_tree(folder: Path) -> None:
    """Bring everything under a folder, and its own name, to the disk."""
    sync_new(folder, set())
    sync(folder.parent)


def file_digest(path: Path) -> str:
    """BLAKE2b-16 hex over the bytes of a file."""
    digest = hashlib.blake2b(digest_size=16)
    _update(digest, path)
    return digest.hexdigest()


def _update(digest: hashlib.blake2b, path: Path) -> None:
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)


def size_bytes(folder: Path) -> int:
    """Bytes of all files under a folder, 0 if there is none."""
    total = 0
    for file in _files(folder):
        with suppress(FileNotFoundError):  # another process removes old versions
            total += file.stat().st_size
    return total


def _files(folder: str | Path) -> Iterator[os.DirEntry[str]]:
    """Those under a folder; none where there is no such folder."""
    # There may be ten thousands, which a commit looks through, and a Path takes ten times as long.
    try:
        entries = os.scandir(folder)
    except FileNotFoundError:
        return
    with entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _files(entry.path)
            elif entry.is_file():
                yield entry


def _folders(path: Path, top: Path) -> Iterator[Path]:
    for parent in path.parents:
        yield parent
        if parent == top:
            return
