"""Opening and digesting files that may be anything."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from typing import TYPE_CHECKING, BinaryIO

from wave_search.errors import BrokenMediaError, MediaError, UnsupportedMediaError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_BLOCK_BYTES = 1 << 20
_KINDS: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def open_regular(path: Path) -> BinaryIO:
    """Open a file for reading, if it is a regular one with something in it.

    Raises:
        UnsupportedMediaError: it is a folder, a pipe or a device. It was not opened.
        BrokenMediaError: it is not there, may not be read, or is empty.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            kind = next((name for test, name in _KINDS if test(status.st_mode)), "something else")
            raise UnsupportedMediaError(path, f"{kind}, not a regular file", "Name a file.")
        if status.st_size == 0:
            raise BrokenMediaError(path, "an empty file (0 bytes)", "Replace it by an intact copy.")
        return path.open("rb")
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error


def digest_of(file: BinaryIO) -> str:
    """Compute the BLAKE2b digest of a file's content from its first byte on.

    Returns:
        16 bytes as hexadecimal digits.
    """
    digest = hashlib.blake2b(digest_size=16)
    file.seek(0)
    while block := file.read(_BLOCK_BYTES):
        digest.update(block)
    return digest.hexdigest()


def descriptor_path(file: BinaryIO) -> str:
    """Name an open file in a way that no library can take for a protocol or an option, whatever it is called."""
    return f"/proc/self/fd/{file.fileno()}"


class IndependentReader:
    """A position of its own in an open file, for several readers at once; it owns nothing and needs no closing."""

    def __init__(self, file: BinaryIO) -> None:
        self._descriptor = file.fileno()
        self._position = 0

    def read(self, size: int) -> bytes:
        """Read at most `size` bytes."""
        data = os.pread(self._descriptor, size, self._position)
        self._position += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move the position, and return it."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: os.fstat(self._descriptor).st_size}
        self._position = max(0, base[whence] + offset)
        return self._position

    def tell(self) -> int:
        """Return the position."""
        return self._position


def _unreadable(path: Path, error: OSError | ValueError) -> MediaError:
    code = error.errno if isinstance(error, OSError) else None
    if code in (errno.ENOENT, errno.ENOTDIR):
        if path.is_symlink():
            return BrokenMediaError(path, "a link to a file that is not there", "Repair or remove the link.")
        return BrokenMediaError(path, "there is no such file", "Check the name.")
    if code == errno.ELOOP:
        return BrokenMediaError(path, "a link that leads back to itself", "Repair or remove the link.")
    if code in (errno.EACCES, errno.EPERM):
        return BrokenMediaError(path, "may not be read (permission denied)", "Give yourself the right to read it.")
    why = (isinstance(error, OSError) and error.strerror) or error
    return BrokenMediaError(path, f"cannot be read ({why})", "Check the disk that it is on.")
