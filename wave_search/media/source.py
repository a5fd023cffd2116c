"""Open files of unknown content, each read as exactly one format."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from wave_search.descriptors import is_opened_at, read_at
from wave_search.errors import BrokenMediaError, ChangedMediaError, MediaError, UnsupportedMediaError
from wave_search.files import IrregularFileError, mtime_ns, open_checked
from wave_search.files import open_regular as regular_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from io import BufferedReader
    from pathlib import Path

    from wave_search.types import FileKind

REPLACE = "Replace it with an intact copy."
"""The remedy for what cannot be anything but damage."""
CONVERT = "If a player or viewer opens it, convert it there; otherwise replace it with an intact copy."
"""The remedy for what may be damaged, or only unusual."""
EXCLUDE = "Exclude it with --exclude."
RENAME = "Rename it to .txt or .md to index it."
USE_LISTED = "Index the files that it lists."
_INDEX_AGAIN = "Index its folder again: `wave-search index FOLDER`."
RETRY = "Try again; if it fails again, check the disk."
"""The remedy for errors of the system."""
_KINDS: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


@dataclass(frozen=True, slots=True)
class Source:
    """An open file and its format."""

    path: Path
    """Used in messages only; never passed to libraries."""
    file: BinaryIO
    demuxer: str
    """Name of the format: Pillow's for images, FFmpeg's demuxer for audio and video."""
    offset_bytes: int = 0
    """Number of bytes before the media. If there are any, only an `IndependentReader` may be passed to libraries."""
    stop_bytes: int | None = None
    """Position in the file at which the media end; None for its end."""

    def reader(self) -> IndependentReader:
        """Return a reader of the media, without the bytes before them."""
        return IndependentReader(self.file, self.offset_bytes, self.stop_bytes)


def open_regular(path: Path) -> BinaryIO:
    """Open a regular, non-empty file for reading.

    Raises:
        UnsupportedMediaError: it is a folder, a pipe or a device. It was not opened.
        BrokenMediaError: it does not exist, is empty, or may not be read.
        MediaError: reading it failed for a possibly transient reason: a disk error, too many open files.
    """
    try:
        _check_regular(path, path.stat())
        # In the meantime, the name may have become that of a pipe, which must not be waited for.
        return open_checked(path, lambda status: _check_regular(path, status))
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error


def _check_regular(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = next((name for test, name in _KINDS if test(status.st_mode)), "something else")
        raise UnsupportedMediaError(path, f"{kind}, not a regular file", "Name a file.")
    if status.st_size == 0:
        raise BrokenMediaError(path, "an empty file (0 bytes)", REPLACE)


class IndependentReader:
    """A reader with its own position in an open file, so that several readers can share it. Need not be closed.

    Args:
        file: the file.
        offset: position in the file that is the beginning for the reader.
        stop: position in the file that is the end for the reader; None for the end of the file.
    """

    def __init__(self, file: BinaryIO, offset: int = 0, stop: int | None = None) -> None:
        self._descriptor = file.fileno()
        self._offset, self._stop = offset, stop
        self._position = 0

    def read(self, size: int = -1) -> bytes:
        """Read at most `size` bytes, or all that are left."""
        if size < 0 or self._stop is not None:
            left = max(0, self._size() - self._position)
            size = left if size < 0 else min(size, left)
        data = read_at(self._descriptor, size, self._offset + self._position)
        self._position += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move the position, and return it."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size()}
        self._position = max(0, base[whence] + offset)
        return self._position

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def _size(self) -> int:
        stop = os.fstat(self._descriptor).st_size if self._stop is None else self._stop
        return stop - self._offset


def _unreadable(path: Path, error: OSError | ValueError) -> MediaError:
    code = error.errno if isinstance(error, OSError) else None
    if code in (errno.ENOENT, errno.ENOTDIR):
        if path.is_symlink():
            return BrokenMediaError(path, "a link to a file that does not exist", "Repair or remove the link.")
        return BrokenMediaError(path, "there is no such file", "Check the name.")
    if code == errno.ELOOP:
        return BrokenMediaError(path, "a link that leads back to itself", "Repair or remove the link.")
    if code in (errno.EACCES, errno.EPERM):
        return BrokenMediaError(path, "may not be read (permission denied)", "Grant yourself permission to read it.")
    if isinstance(error, ValueError):
        return BrokenMediaError(path, f"cannot be opened ({error})", "Rename it.")
    return MediaError(path, f"cannot be read ({error.strerror or error})", RETRY)


@dataclass(frozen=True, slots=True)
class IndexedFile:
    """A file as an index knows it, to be opened only if it is still the same."""

    path: Path
    kind: FileKind
    size_bytes: int
    mtime_ns: int
    """In the range of `wave_search.files.mtime_ns`."""

    def open(self) -> BufferedReader:
        """Open the file for reading. No symbolic link is followed, in any part of its path.

        Raises:
            ChangedMediaError: it is missing, or has another size or time, or is no regular file, or a link leads there.
            MediaError: it may not be read, or reading failed for a possibly transient reason.
        """
        try:
            file = regular_file(self.path)
        except (IrregularFileError, IsADirectoryError) as error:
            raise self._changed(error.strerror or "it is not a regular file") from error
        except (FileNotFoundError, NotADirectoryError) as error:
            raise ChangedMediaError(self.path, "there is no such file any more", _INDEX_AGAIN) from error
        except (OSError, ValueError) as error:
            raise _unreadable(self.path, error) from error
        status = os.fstat(file.fileno())
        try:
            if (status.st_size, mtime_ns(status)) != (self.size_bytes, self.mtime_ns):
                raise self._changed("its size or time differs")
            # The name by which the kernel knows it: another one if a folder of the path has become a link.
            if not is_opened_at(file, self.path):
                raise self._changed("a symbolic link leads there")
        except BaseException:
            file.close()
            raise
        return file

    def _changed(self, cause: str) -> ChangedMediaError:
        return ChangedMediaError(self.path, f"it is not the file that was indexed: {cause}", _INDEX_AGAIN)
