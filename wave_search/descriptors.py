"""Open files and folders: what systems do differently with locks, descriptors, links and renames.

Linux is the model; each function describes its fallback for systems that lack what it uses.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Self

from wave_search.system import constants

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOCKED_AT = 1 << 30
"""Position of the byte that stands for a lock where nobody else may read what is locked: behind all text."""
_NO_LINKS = constants(errno, "EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK")
"""Errors of `os.link` that are of the disk and not of the name."""
_AT_FDCWD, _EXCHANGE = -100, 2
"""Of `renameat2` on Linux; the latter is RENAME_SWAP of macOS as well."""
_NO_EXCHANGE = constants(errno, "EINVAL", "ENOSYS", "ENOTSUP", "EOPNOTSUPP")
"""Errors of disks whose folders cannot be exchanged."""
_OPENED = Path("/proc/self/fd")
"""Where Linux has the open files of a process."""
_moving = threading.Lock()


def flags(*names: str) -> int:
    """Return those flags of `os.open` that the system has."""
    return sum(getattr(os, name, 0) for name in names)


def lock(descriptor: int, *, shared: bool = False, wait: bool = False) -> None:
    """Lock an open file against other opened files; the kernel frees it when this process ends, however it ends.

    Windows has no shared locks by file descriptor: there, a shared one is like any other.

    Args:
        descriptor: of the file, opened for reading and, unless `shared`, writing.
        shared: together with others that are shared.
        wait: for the others, or else fail.

    Raises:
        BlockingIOError: it is locked.
        OSError: it cannot be locked.
    """
    if fcntl is not None:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
        return
    import msvcrt

    os.lseek(descriptor, _LOCKED_AT, os.SEEK_SET)
    while True:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EDEADLK):
                raise
            if not wait:
                raise BlockingIOError(errno.EWOULDBLOCK, os.strerror(errno.EWOULDBLOCK)) from error
        else:
            return


def unlock(descriptor: int) -> None:
    """Free the lock of an open file."""
    if fcntl is not None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        return
    import msvcrt

    os.lseek(descriptor, _LOCKED_AT, os.SEEK_SET)
    msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)


def read_at(descriptor: int, size_bytes: int, offset: int) -> bytes:
    """Read at a position of an open file, and leave its own position alone."""
    if hasattr(os, "pread"):
        return os.pread(descriptor, size_bytes, offset)
    with _position(descriptor, offset):
        return os.read(descriptor, size_bytes)


def write_at(descriptor: int, data: bytes, offset: int) -> None:
    """Write at a position of an open file, and leave its own position alone."""
    if hasattr(os, "pwrite"):
        os.pwrite(descriptor, data, offset)
        return
    with _position(descriptor, offset):
        os.write(descriptor, data)


@contextlib.contextmanager
def _position(descriptor: int, offset: int) -> Iterator[None]:
    with _moving:
        before = os.lseek(descriptor, 0, os.SEEK_CUR)
        os.lseek(descriptor, offset, os.SEEK_SET)
        try:
            yield
        finally:
            os.lseek(descriptor, before, os.SEEK_SET)


def descriptor_path(file: BinaryIO) -> str:
    """Return a path to an open file that no library can mistake for a protocol or an option.

    Without /proc it is the absolute name by which the file was opened: what is there then may be another file.
    """
    path = f"{_OPENED}/{file.fileno()}"
    return path if os.path.lexists(path) else os.path.abspath(os.fsdecode(file.name))  # noqa: PTH100


def is_opened_at(file: BinaryIO, path: Path) -> bool:
    """Return whether an open file is at this path, with no link in any part of it."""
    try:
        return (_OPENED / str(file.fileno())).readlink() == path
    except OSError:  # no /proc
        return Path(os.path.realpath(path)) == path and os.path.samestat(os.fstat(file.fileno()), path.lstat())


def occupies_bytes(status: os.stat_result) -> int:
    """Return the space of a file on the disk; its size where the system reports nothing else, or no holes."""
    has_holes = hasattr(status, "st_blocks") and hasattr(os, "SEEK_HOLE")
    return status.st_blocks * 512 if has_holes else status.st_size


class Folder:
    """An opened folder, in which names are looked up; a context manager.

    It is a descriptor, so that nothing that replaces the folder is reached by it. On Windows it is a path, and a link
    is refused when it is opened.

    Args:
        path: of the folder.
        outer: the opened folder that it is in; then it may be no link. None to look up the whole path.

    Raises:
        OSError: it is missing, a link, or no folder.
    """

    BY_DESCRIPTOR = os.open in os.supports_dir_fd and os.scandir in os.supports_fd and hasattr(os, "O_DIRECTORY")

    def __init__(self, path: Path, outer: Folder | None = None) -> None:
        self.path = path
        self._descriptor: int | None = None
        if self.BY_DESCRIPTOR:
            opening = os.O_RDONLY | os.O_DIRECTORY
            self._descriptor = open_file(path, opening, folder=outer, follow_link=outer is None)
            return
        if outer is not None and is_link(path):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
        if not stat.S_ISDIR(path.stat().st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _place(self, name: str) -> tuple[str | Path, dict[str, Any]]:
        return (self.path / name, {}) if self._descriptor is None else (name, {"dir_fd": self._descriptor})

    def stat(self, name: str) -> os.stat_result:
        """Return the status of what has a name, a link itself."""
        place, at = self._place(name)
        return os.stat(place, follow_symlinks=False, **at)  # noqa: PTH116 - names in a descriptor, like the following

    def make(self, name: str) -> None:
        """Create a folder."""
        place, at = self._place(name)
        os.mkdir(place, **at)  # noqa: PTH102

    def remove(self, name: str) -> None:
        """Remove a file."""
        place, at = self._place(name)
        os.unlink(place, **at)

    def remove_folder(self, name: str) -> None:
        """Remove an empty folder."""
        place, at = self._place(name)
        os.rmdir(place, **at)

    def rename(self, old: str, new: str, *, overwrite: bool) -> None:
        """Rename a file as one step.

        Without `overwrite` it fails if the name is taken: a link does that, or on Windows a rename. A disk that has no
        links (exFAT) is looked at first, so that only one process may write there.

        Raises:
            FileExistsError: the name is taken.
        """
        source, at = self._place(old)
        target, _ = self._place(new)
        both = {f"{side}_dir_fd": value for side in ("src", "dst") for value in at.values()}
        if overwrite:
            os.replace(source, target, **both)  # noqa: PTH105
            return
        if sys.platform == "win32":
            os.rename(source, target)  # noqa: PTH104
            return
        try:
            os.link(source, target, **both)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            with contextlib.suppress(FileNotFoundError):
                self.stat(new)
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), new) from error
            os.replace(source, target, **both)  # noqa: PTH105

    def entries(self) -> Any:
        """Return the entries, like `os.scandir`."""
        return os.scandir(self.path if self._descriptor is None else self._descriptor)

    def sync(self) -> None:
        """Write the names to the disk (fsync). Windows does that by itself."""
        if self._descriptor is not None:
            os.fsync(self._descriptor)


def open_file(
    path: Path, opening: int, mode: int = 0o666, *, folder: Folder | None = None, follow_link: bool = False
) -> int:
    """Return the descriptor of a file, which child processes do not inherit.

    Args:
        path: the file. In an opened folder, its name alone is looked up.
        opening: flags of `os.open`; those that the system may not have by `flags`.
        mode: of a new file, before the umask.
        folder: the opened folder.
        follow_link: whether the last part of the path may be a symbolic link.

    Raises:
        OSError: it cannot be opened; ELOOP for a link, on most systems.
    """
    place, at = (path, {}) if folder is None else folder._place(path.name)
    if not follow_link and not hasattr(os, "O_NOFOLLOW") and is_link(path):
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    always = ("O_CLOEXEC", "O_BINARY", "O_NOINHERIT")
    return os.open(place, opening | flags(*always, *(() if follow_link else ("O_NOFOLLOW",))), mode, **at)


def is_link(path: Path) -> bool:
    """Return whether a path is a symbolic link, or a junction of Windows, which is one for folders."""
    return path.is_symlink() or bool(getattr(os.path, "isjunction", lambda _: False)(path))


def exchange(first: Path, second: Path) -> None:
    """Exchange the names of two folders of one disk.

    Linux and macOS do it in one step. Elsewhere, and on disks that cannot, the folders are renamed one after the other
    by way of `spare(first)`: a crash between leaves the first folder there.

    Raises:
        OSError: one of them cannot be renamed.
    """
    if not _exchanged_at_once(first, second):
        first.rename(spare(first))
        second.rename(first)
        spare(first).rename(second)


def spare(folder: Path) -> Path:
    """Return the name by way of which `exchange` renames a folder where it needs one."""
    return folder.with_name(f"{folder.name}.exchanged")


def _exchanged_at_once(first: Path, second: Path) -> bool:
    import ctypes

    try:
        library = ctypes.CDLL(None, use_errno=True)
    except (OSError, TypeError):  # Windows
        return False
    names = os.fsencode(first), os.fsencode(second)
    if hasattr(library, "renameat2"):
        code = library.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _EXCHANGE)
    elif hasattr(library, "renamex_np"):
        code = library.renamex_np(*names, _EXCHANGE)
    else:
        return False
    if code == 0:
        return True
    number = ctypes.get_errno()
    if number in _NO_EXCHANGE:
        return False
    raise OSError(number, os.strerror(number), str(first), None, str(second))
