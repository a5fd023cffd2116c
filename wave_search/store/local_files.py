"""The files of an index in a directory on a local or mounted disk. All code for crash safety is here."""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import shutil
import socket
import sys
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from wave_search.errors import IndexLockedError
from wave_search.files import blocks, sync, write_atomic
from wave_search.store.files import FileInfo, disk_errors, read_errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

LOCK = "lock"


class LocalFiles:
    """A `FileStore` in a directory.

    Args:
        directory: the directory. If it is missing there are no files, and the first write creates it.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory.absolute()

    def url(self, name: str = "") -> str:
        """Return a path as text."""
        return str(self._directory / name)

    def local_path(self, name: str) -> Path:
        """Return the path of the file or folder itself."""
        return self._directory / name

    def get(self, name: str) -> bytes:
        """Read a file."""
        with read_errors(self.url(name)):
            return self.local_path(name).read_bytes()

    def blocks(self, name: str) -> Iterator[bytes]:
        """Read a file in blocks of one MiB."""
        with read_errors(self.url(name)):
            yield from blocks(self.local_path(name))

    def list(self, folder: str = "") -> Iterator[FileInfo]:
        """List files. Links to folders are neither followed nor listed."""
        with read_errors(self.url(folder)):
            yield from _files(self.url(folder), f"{folder}/" if folder else "")

    def put(self, name: str, data: bytes) -> None:
        """Write a file under a temporary name and rename it."""
        path = self.local_path(name)
        with disk_errors(path):
            _make_folder(path.parent)
            write_atomic(path, data, durable=True)

    def put_if_absent(self, name: str, data: bytes) -> None:
        """Write a file under a temporary name and link it."""
        path = self.local_path(name)
        taken: FileExistsError | None = None
        with disk_errors(path):
            _make_folder(path.parent)
            try:
                write_atomic(path, data, durable=True, overwrite=False)
            except FileExistsError as error:
                taken = error
        if taken is not None:
            raise taken

    def delete(self, names: Iterable[str]) -> None:
        """Remove files, and folders that become empty."""
        folders = set()
        with disk_errors(self._directory):
            for name in names:
                path = self.local_path(name)
                with suppress(FileNotFoundError):
                    path.unlink()
                    folders.add(path.parent)
            for folder in sorted(folders):
                try:
                    folder.rmdir()
                except OSError:  # it is not empty
                    sync(folder)
                else:
                    sync(folder.parent)

    def flush(self, names: Iterable[str]) -> None:
        """Flush files and their folders' entries to disk (fsync)."""
        folders: set[Path] = set()
        with disk_errors(self._directory):
            for name in names:
                path = self.local_path(name)
                sync(path)
                folders.update(parent for parent in path.parents if parent.is_relative_to(self._directory))
            for folder in sorted(folders):
                sync(folder)

    def free_bytes(self) -> int:
        """Return the free space of the disk."""
        with disk_errors(self._directory):
            return shutil.disk_usage(self._directory).free

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Lock a file; the kernel frees it when this process ends, however it ends."""
        path = self.local_path(LOCK)
        with disk_errors(path):
            _make_folder(self._directory)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise IndexLockedError(
                    f"{self._directory} is being written by {_read_owner(path)}", "Wait for it to finish, or stop it."
                ) from error
            with disk_errors(path):
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, json.dumps(_owner()).encode(), 0)
            try:
                yield
            finally:  # closing is not enough: a child that another thread starts just now has a copy for a moment
                fcntl.flock(descriptor, fcntl.LOCK_UN)
        finally:
            os.close(descriptor)


def _files(folder: str, prefix: str) -> Iterator[FileInfo]:
    # Each commit lists them, there may be tens of thousands, and a Path takes ten times as long.
    try:
        entries = os.scandir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return
    with entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _files(entry.path, f"{prefix}{entry.name}/")
            else:
                with suppress(FileNotFoundError):  # another process removes old versions
                    if entry.is_file():
                        status = entry.stat()
                        yield FileInfo(prefix + entry.name, status.st_size, status.st_mtime_ns)


def _make_folder(folder: Path) -> None:
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync(folder.parent)


def _owner() -> dict[str, str | int]:
    return {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "command": shlex.join(sys.argv)[:200],
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _read_owner(path: Path) -> str:
    try:
        owner = json.loads(path.read_bytes())
        return f"process {owner['pid']} on {owner['host']} ({owner['command']}) since {owner['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        # The process has the lock, but has not written its name yet.
        return "another process"
