"""The files of an index in a directory on a local or mounted disk. All code for crash safety is here.

Only the directory itself may be reached through a link. Below it, every file is opened relative to its opened folder
and never through a link: an index may come from someone else, and a link may lead anywhere.
"""

from __future__ import annotations

import errno
import json
import os
import shlex
import shutil
import socket
import stat
import sys
from collections.abc import Callable
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

from wave_search.descriptors import Folder, flags, is_link, lock, open_file, read_at, unlock, write_at
from wave_search.errors import IndexLockedError
from wave_search.files import (
    IrregularFileError,
    blocks,
    check_holes,
    check_regular,
    may_have_holes,
    open_regular,
    read_bounded,
    write_atomic,
)
from wave_search.store.files import FileInfo, disk_errors, name_parts, read_errors, refused

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from wave_search.errors import IndexStateError

T = TypeVar("T")

_View = Callable[["os.DirEntry[str]", Folder, str], T | IrregularFileError]
"""What is listed of a file in an opened folder; the text is what its name begins with."""

LOCK = "lock"
_MAX_BYTES = 64 << 20
"""Maximum size of a file that is read as a whole: far above those of a large index."""
_OWNER_BYTES = 4096
_THIS = "(this one, in another call)"
_WAIT_HERE = "Wait until it returns: add, remove and other calls that write exclude each other."
_UNNAMED = "another process"
"""One that has not written its name yet."""
_taking = Lock()
"""While this process takes or frees a lock."""
_taken: dict[tuple[int, int], dict[str, str | int]] = {}
"""The locks of this process, by the file: its calls know each other before the name is in the file."""


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
        path = self._directory
        parts = name_parts(name)
        for depth, part in enumerate(parts, 1):
            path = path / part
            if is_link(path):
                raise refused(IrregularFileError(path, "it is a symbolic link"))
            if depth < len(parts) and path.is_file():
                raise refused(IrregularFileError(path, "it is a file, not a folder"))
        return path

    def get(self, name: str) -> bytes:
        """Read a file."""
        with read_errors(self.url(name)), self._folder_of(name) as folder:
            return read_bounded(self._directory / name, _MAX_BYTES, folder=folder)

    def blocks(self, name: str) -> Iterator[bytes]:
        """Read a file in blocks of one MiB."""
        with (
            read_errors(self.url(name)),
            self._folder_of(name) as folder,
            open_regular(self._directory / name, folder=folder) as file,
        ):
            yield from blocks(file, self._directory / name)

    def list(self, folder: str = "") -> Iterator[FileInfo]:
        """List files."""
        return self._listed(folder, _described)

    def names(self, folder: str = "") -> Iterator[str]:
        """List files by what the folders say of them."""
        return self._listed(folder, _named)

    def _listed(self, folder: str, view: _View[T]) -> Iterator[T]:
        with read_errors(self.url(folder)):
            for found in self._files(folder, view):
                if isinstance(found, IrregularFileError):
                    raise found
                yield found

    def info(self, name: str) -> FileInfo:
        """Look at a file."""
        with (
            read_errors(self.url(name)),
            self._folder_of(name) as folder,
            open_regular(self._directory / name, folder=folder) as file,
        ):
            check_holes(file, self._directory / name)
            status = os.fstat(file.fileno())
            return FileInfo(name, status.st_size, status.st_mtime_ns)

    def faults(self, folders: Iterable[str], files: Iterable[str]) -> Iterator[IndexStateError]:
        """Yield an error for each link, and for all else that is not a file, or a folder, where there has to be one."""
        for name, is_folder in (*((name, True) for name in folders), *((name, False) for name in files)):
            try:
                with read_errors(self.url(name)):
                    for found in self._files(name, _described, is_folder=is_folder):
                        if isinstance(found, IrregularFileError):
                            yield refused(found)
            except FileNotFoundError:
                continue

    def put(self, name: str, data: bytes) -> None:
        """Write a file under a temporary name and rename it."""
        path = self._directory / name
        with disk_errors(path), self._folder_of(name, create=True) as folder:
            write_atomic(path, data, durable=True, folder=folder)

    def put_if_absent(self, name: str, data: bytes) -> None:
        """Write a file under a temporary name and link it."""
        path = self._directory / name
        taken: FileExistsError | None = None
        with disk_errors(path), self._folder_of(name, create=True) as folder:
            try:
                write_atomic(path, data, durable=True, overwrite=False, folder=folder)
            except FileExistsError as error:
                taken = error
        if taken is not None:
            raise taken

    def make_folder(self, name: str) -> Path:
        """Create a folder unless it exists."""
        with disk_errors(self._directory / name), self._folder(name_parts(name), create=True):
            return self._directory / name

    def delete(self, names: Iterable[str]) -> None:
        """Remove files, and folders that become empty."""
        folders = set()
        with disk_errors(self._directory):
            for name in names:
                with suppress(FileNotFoundError), self._folder_of(name) as folder:
                    folder.remove(name_parts(name)[-1])
                    folders.add(name_parts(name)[:-1])
            for parts in sorted(folders):
                with self._folder(parts[:-1]) as folder:
                    try:
                        if parts:
                            folder.remove_folder(parts[-1])
                    except OSError:  # it is not empty
                        with self._folder(parts) as kept:
                            kept.sync()
                    else:
                        folder.sync()

    def remove_empty_folders(self) -> None:
        """Remove the folders in the directory that hold no file."""
        with disk_errors(self._directory), self._folder(()) as folder:
            _remove_empty(folder)

    def flush(self, names: Iterable[str]) -> None:
        """Flush files and their folders' entries to disk (fsync)."""
        folders: set[tuple[str, ...]] = set()
        with disk_errors(self._directory):
            for name in names:
                parts = name_parts(name)
                with self._folder_of(name) as folder, open_regular(self._directory / name, folder=folder) as file:
                    os.fsync(file.fileno())
                folders.update(parts[:depth] for depth in range(len(parts)))
            for parts in sorted(folders):
                with self._folder(parts) as folder:
                    folder.sync()

    def free_bytes(self) -> int:
        """Return the free space of the disk."""
        with disk_errors(self._directory):
            return shutil.disk_usage(self._directory).free

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Lock a file; the kernel frees it when this process ends, however it ends."""
        path = self._directory / LOCK
        with disk_errors(path):
            descriptor = self._open_lock(path)
        try:
            identity, record = _identity(descriptor), _owner()
            try:
                with _taking:
                    lock(descriptor)
                    _taken[identity] = record
            except BlockingIOError as error:
                owner = _owner_of(descriptor)
                remedy = _WAIT_HERE if _THIS in owner else "Wait for it to finish, or stop it."
                raise IndexLockedError(f"{self._directory} is being written by {owner}", remedy) from error
            try:
                with disk_errors(path):
                    os.ftruncate(descriptor, 0)
                    write_at(descriptor, json.dumps(record).encode(), 0)
                yield
            finally:  # closing is not enough: a child that another thread starts just now has a copy for a moment
                with _taking:
                    del _taken[identity]
                    unlock(descriptor)
        finally:
            os.close(descriptor)

    def writer(self) -> str | None:
        """Try to lock the file, together with others that try."""
        with (
            read_errors(self.url(LOCK)),
            suppress(FileNotFoundError),
            self._folder(()) as folder,
            open_regular(self._directory / LOCK, folder=folder) as file,
        ):
            try:
                lock(file.fileno(), shared=True)
            except BlockingIOError:
                return _owner_of(file.fileno())
        return None

    def _open_lock(self, path: Path) -> int:
        opening = os.O_RDWR | os.O_CREAT | flags("O_NONBLOCK")
        with self._folder((), create=True) as folder:
            try:
                descriptor = open_file(path, opening, 0o644, folder=folder)
            except OSError as error:
                if error.errno == errno.ELOOP:
                    raise IrregularFileError(path, "it is a symbolic link") from error
                raise
        try:
            status = os.fstat(descriptor)
            check_regular(status, path)
            is_shared = status.st_nlink > 1  # as in a backup, or in a trap
            if is_shared and _owner_in(descriptor) is None:
                raise IrregularFileError(path, "it is a hard link to a file that is not a lock")
        except OSError:
            os.close(descriptor)
            raise
        return descriptor

    @contextmanager
    def _folder_of(self, name: str, *, create: bool = False) -> Iterator[Folder]:
        """Open the folder of a file."""
        with self._folder(name_parts(name)[:-1], create=create) as folder:
            yield folder

    @contextmanager
    def _folder(self, parts: tuple[str, ...], *, create: bool = False) -> Iterator[Folder]:
        """Open a folder by the parts of its name, none of which may be a link."""
        if create:
            _make_folder(self._directory)
        folder = Folder(self._directory)
        try:
            for part in parts:
                outer, folder = folder, _open_folder(folder.path / part, folder, create=create)
                outer.close()
            yield folder
        finally:
            folder.close()

    def _files(self, name: str, view: _View[T], *, is_folder: bool = True) -> Iterator[T | IrregularFileError]:
        """List the files below a name, as `view` returns them, and what is neither a file nor a folder."""
        parts = name_parts(name)
        try:
            if parts:
                with self._folder(parts[:-1]) as outer:
                    inner = _open_folder(self._directory / name, outer)
            else:
                inner = Folder(self._directory)
        except IrregularFileError as error:
            yield error
        except FileNotFoundError:
            return
        except NotADirectoryError as error:
            if is_folder and self._directory.is_dir():
                yield IrregularFileError(error.filename, "it is a file, not a folder")
        else:
            yield from _walk(inner, f"{name}/" if name else "", view)


def _remove_empty(folder: Folder) -> None:
    with folder.entries() as entries:
        names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    for name in names:
        with _open_folder(folder.path / name, folder) as inner:
            _remove_empty(inner)
        with suppress(OSError):  # it is not empty
            folder.remove_folder(name)


def _walk(folder: Folder, prefix: str, view: _View[T]) -> Iterator[T | IrregularFileError]:
    """List the files of an opened folder, which is closed."""
    # Each commit lists them, there may be tens of thousands, and a Path takes ten times as long.
    with folder, folder.entries() as entries:
        for entry in entries:
            if entry.is_symlink():
                yield IrregularFileError(folder.path / entry.name, "it is a symbolic link")
            elif entry.is_dir(follow_symlinks=False):
                with suppress(FileNotFoundError):  # another process removes old versions
                    yield from _walk(_open_folder(folder.path / entry.name, folder), f"{prefix}{entry.name}/", view)
            elif not entry.is_file(follow_symlinks=False):
                yield IrregularFileError(folder.path / entry.name, "it is not a regular file")
            else:
                with suppress(FileNotFoundError):
                    yield view(entry, folder, prefix)


def _named(entry: os.DirEntry[str], _: Folder, prefix: str) -> str:
    """Return the name of a file in an opened folder."""
    return prefix + entry.name


def _described(entry: os.DirEntry[str], folder: Folder, prefix: str) -> FileInfo | IrregularFileError:
    """Describe a file in an opened folder."""
    status = entry.stat(follow_symlinks=False)
    if may_have_holes(status):
        path = folder.path / entry.name
        try:
            with open_regular(path, folder=folder) as file:
                check_holes(file, path)
        except IrregularFileError as error:
            return error
    return FileInfo(prefix + entry.name, status.st_size, status.st_mtime_ns)


def _open_folder(path: Path, outer: Folder, *, create: bool = False) -> Folder:
    try:
        return Folder(path, outer)
    except FileNotFoundError:
        if not create:
            raise
        with suppress(FileExistsError):
            outer.make(path.name)
        outer.sync()
        return _open_folder(path, outer)
    except OSError as error:  # which one for a link depends on the system
        error.filename = str(path)
        with suppress(FileNotFoundError):
            mode = outer.stat(path.name).st_mode
            if stat.S_ISLNK(mode) or error.errno == errno.ELOOP:
                raise IrregularFileError(path, "it is a symbolic link") from error
            if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
                raise IrregularFileError(path, "it is not a regular file") from error
        raise


def _make_folder(folder: Path) -> None:
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        with Folder(folder.parent) as parent:
            parent.sync()


def _owner() -> dict[str, str | int]:
    return {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "command": shlex.join(sys.argv)[:200],
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _identity(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino


def _owner_of(descriptor: int) -> str:
    """Return the process that holds a lock."""
    record = _taken.get(_identity(descriptor))
    if record is not None and record["pid"] == os.getpid():  # a forked process has the locks of its parent in memory
        return _described_owner(record)
    return _owner_in(descriptor) or _UNNAMED


def _owner_in(descriptor: int) -> str | None:
    """Return the process that has written its name into a lock; None if there is none."""
    try:
        return _described_owner(json.loads(read_at(descriptor, _OWNER_BYTES, 0)))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _described_owner(owner: Mapping[str, Any]) -> str:
    if (owner["pid"], owner["host"]) == (os.getpid(), socket.gethostname()):
        return f"process {owner['pid']} {_THIS} since {owner['since']}"
    return f"process {owner['pid']} on {owner['host']} ({owner['command']}) since {owner['since']}"
