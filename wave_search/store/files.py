"""The few file operations that the store needs, so that an index can be kept elsewhere than in a local directory.

Lance reads and writes its tables itself, below `FileStore.url`, and search structures are opened and mapped through
`FileStore.local_path`. All else that the store does with files goes through this interface.
"""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple, Protocol

from wave_search.errors import IndexStateError
from wave_search.files import IrregularFileError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path


class FileInfo(NamedTuple):
    """A listed file. A file that was rewritten compares unequal to its earlier state."""

    name: str
    size_bytes: int
    modified_ns: int


class FileStore(Protocol):
    """The files of one index by name. Safe to use from several threads and processes.

    Names are relative paths with "/" between their parts, see `name_parts`. A folder is only a prefix of names: it
    exists while a file is in it. Nothing is read, written or deleted through a link: all methods refuse one.

    All methods raise IndexStateError, with the file, the cause and a remedy, if an operation fails for a reason other
    than those that they list. Such a failure says nothing about the content of a file and is not damage.
    """

    def url(self, name: str = "") -> str:
        """Return where a file or folder is, as Lance opens it and as messages name it."""

    def local_path(self, name: str) -> Path:
        """Return a path at which a file, or a folder with all its files, can be opened and mapped."""

    def get(self, name: str) -> bytes:
        """Return the content of a file.

        Raises:
            FileNotFoundError: there is no such file.
        """

    def blocks(self, name: str) -> Iterator[bytes]:
        """Stream the content of a possibly large file.

        Raises:
            FileNotFoundError: there is no such file.
        """

    def list(self, folder: str = "") -> Iterator[FileInfo]:
        """List all files in a folder and in the folders below it, in no particular order; none if it is missing."""

    def names(self, folder: str = "") -> Iterator[str]:
        """List the names of the files of `list`, without looking at each file: a fifth of its time."""

    def info(self, name: str) -> FileInfo:
        """Return what `list` returns of a file.

        Raises:
            FileNotFoundError: there is no such file.
        """

    def put(self, name: str, data: bytes) -> None:
        """Write a file atomically and durably, replacing an existing one."""

    def put_if_absent(self, name: str, data: bytes) -> None:
        """Write a file atomically and durably unless it exists; of several writers, exactly one succeeds.

        Raises:
            FileExistsError: it exists already, and is left unchanged.
        """

    def make_folder(self, name: str) -> Path:
        """Create a folder if it is missing, and return a path at which files can be created in it."""

    def delete(self, names: Iterable[str]) -> None:
        """Delete files durably, in the given order. Missing files are ignored."""

    def flush(self, names: Iterable[str]) -> None:
        """Make files durable that were written through `url` or `local_path`."""

    def free_bytes(self) -> int:
        """Return the number of bytes that can still be written."""

    def lock(self) -> AbstractContextManager[None]:
        """Hold the write lock, which one process has at a time and which is released when that process ends.

        Raises:
            IndexLockedError: another process holds it; the message names that process.
        """

    def writer(self) -> str | None:
        """Return the process that holds the write lock, None if none does. Not for a decision to write."""


def name_parts(name: str) -> tuple[str, ...]:
    """Return the parts of a name; none for "".

    Raises:
        IndexStateError: the name is absolute, or could lead out of the index.
    """
    parts = tuple(name.split("/")) if name else ()
    if any(part in ("", ".", "..") or "\0" in part or "\\" in part for part in parts):
        raise IndexStateError(f"the index names the file {name!r}, which is not one of its own", DISTRUST)
    return parts


RESTORE = "Restore the index from a copy, or index the files again into another folder."
"""The remedy for tables that have lost a file: they hold what everything else is made from."""
DISTRUST = (
    "wave-search does not write such an index: if it came from someone else, do not use it; "
    "if it is yours, restore it from a copy, or index the files again into another folder."
)


def refused(error: IrregularFileError) -> IndexStateError:
    """Return the error for a link, or another thing that no index has, in the place of a file or folder."""
    return IndexStateError(
        f"{error.filename} cannot be used: {error.strerror}",
        "An index has only files and folders of its own. Put the original in its place, or delete it and run "
        "`wave-search verify`, which names what is missing then. To keep an index on another disk, move its whole "
        "folder. If the index came from someone else, do not use it.",
    )


def read_error(place: object, cause: str) -> IndexStateError:
    """Return the error for a file that cannot be read now, although it may be intact."""
    return IndexStateError(
        f"{place} cannot be read: {cause}",
        "Remove the cause and run the command again; nothing was changed. "
        "If the disk has lost the file, restore the index from a copy.",
    )


_OF_THE_MOMENT = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.EAGAIN, errno.EINTR, errno.ESTALE}
)
"""Errors that say nothing about the room on a disk, or the permission to write there."""


def write_error(place: object, cause: str, code: int | None = None) -> IndexStateError:
    """Return the error for a file that cannot be written.

    Args:
        place: the file.
        cause: why.
        code: of the error of the system, if there is one.
    """
    remedy = "Free some space or make the place writable"
    if code in _OF_THE_MOMENT:
        remedy = "Remove the cause and run the command again"
    return IndexStateError(f"{place} cannot be written: {cause}", f"{remedy}; the last committed state is intact.")


@contextmanager
def read_errors(place: object) -> Iterator[None]:
    """Turn an OSError into one that names the file, the cause and a remedy.

    Raises:
        FileNotFoundError: passed on unchanged; also if the file is a folder, or its folder a file.
        IndexStateError: in place of any other OSError, and of a MemoryError.
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except IrregularFileError as error:
        raise refused(error) from error
    except (IsADirectoryError, NotADirectoryError) as error:  # a folder is only a prefix of names
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), error.filename) from error
    except OSError as error:
        raise read_error(error.filename or place, error.strerror or str(error)) from error
    except MemoryError as error:
        raise read_error(place, "there is not enough memory") from error


@contextmanager
def disk_errors(place: object) -> Iterator[None]:
    """Turn an OSError into one that names the file, the cause and a remedy.

    Raises:
        IndexStateError: in place of an OSError.
    """
    try:
        yield
    except IrregularFileError as error:
        raise refused(error) from error
    except OSError as error:
        raise write_error(error.filename or place, error.strerror or str(error), error.errno) from error


def size_bytes(store: FileStore, folder: str) -> int:
    """Return the total size in bytes of all files in a folder, 0 if there is none."""
    return sum(info.size_bytes for info in store.list(folder))
