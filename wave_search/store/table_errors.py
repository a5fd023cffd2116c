"""Exceptions of Lance as errors of the index: damage, or an error of the system that says nothing about the content."""

from __future__ import annotations

import errno
import os
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from wave_search.errors import IndexCorruptError, IndexStateError, is_panic
from wave_search.store.files import RESTORE, read_error, write_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from wave_search.store.files import FileStore

LANCE_FOLDER = "lance"
"""Folder of the tables."""
_NOT_FOUND = re.compile(r"Not found: /?(.+)$")
_BUG = "Encountered internal error. Please file a bug report at "
"""What Lance says of files that lie, followed by an address."""
_OS_ERROR = re.compile(r"\(os error (\d+)\)")
"""How Rust formats a system error."""


@contextmanager
def read_errors(store: FileStore, pin: str | None, folder: str = LANCE_FOLDER) -> Iterator[None]:
    """Turn exceptions of Lance while it reads the tables, or the one in `folder`, into index errors.

    Only a missing file and content that Lance cannot decode are damage. Other errors of the system (too many open
    files, no permission, an I/O error, no memory) say nothing about the content.

    Raises:
        IndexStateError: the version was removed, see `check_pin`; or an error of the system.
        IndexCorruptError: a file is damaged.
    """
    try:
        yield
    except BaseException as error:
        if not _is_of_lance(error):
            raise
        if pin is not None:
            check_pin(store, pin)
        code = _system_code(error)
        if code is not None:
            raise read_error(store.url(folder), f"{os.strerror(code)} ({_first_line(error)})") from error
        raise _damaged(store.url(folder), error) from error


def check_pin(store: FileStore, pin: str) -> None:
    """Check that a version of an index has not been removed.

    Raises:
        IndexStateError: the file `pin`, which keeps what belongs to it from being removed, is gone.
    """
    if pin not in store.names(pin.rpartition("/")[0]):
        cause = f"the version of {store.url()} that was opened has been removed"
        raise IndexStateError(cause, "Open it again, or call refresh().")


@contextmanager
def write_errors(place: str, check: Callable[[], object] = lambda: None) -> Iterator[None]:
    """Turn exceptions of Lance while it writes tables into an error with a remedy.

    Lance does not notice that the disk is full, and fails when it reads what it has just written. It fails in the same
    way if the tables were damaged before.

    Args:
        place: what is written, for messages.
        check: raises IndexCorruptError if that was damaged before; called after exceptions that are ambiguous.

    Raises:
        IndexStateError: it cannot be written.
        IndexCorruptError: see `check`; or a file that Lance has to read for it is missing.
    """
    try:
        yield
    except BaseException as error:
        if not _is_of_lance(error):
            raise
        if _missing_file(error):
            raise _damaged(place, error) from error
        code = _system_code(error)
        if code is None:
            check()
        raise write_error(place, _first_line(error), code) from error


def _damaged(place: str, error: BaseException) -> IndexCorruptError:
    missing = _missing_file(error)
    what = f"{missing} is missing" if missing else f"{place} cannot be read: {_first_line(error).rstrip('.?')}"
    return IndexCorruptError(what, RESTORE)


def _missing_file(error: BaseException) -> str | None:
    """Return the file that Lance has not found, None for another error."""
    found = _NOT_FOUND.search(_first_line(error))
    return f"/{found[1]}" if found else None


def _is_of_lance(error: BaseException) -> bool:
    # On damaged files Lance panics.
    return isinstance(error, OSError | RuntimeError | ValueError | MemoryError) or is_panic(error)


def _system_code(error: BaseException) -> int | None:
    """Return the code of a system error; None if there is none, or only a missing file."""
    if isinstance(error, MemoryError):
        return errno.ENOMEM
    found = _OS_ERROR.search(str(error))
    code = int(found[1]) if found else error.errno if isinstance(error, OSError) else None
    return None if code in (errno.ENOENT, errno.ENOTDIR) else code


def _first_line(error: BaseException) -> str:
    """Return the message of Lance without its source location."""
    line = re.sub(r",? /\S+\.rs:\d+:\d+", "", (str(error).splitlines() or [type(error).__name__])[0])
    before, bug, rest = line.partition(_BUG)
    return f"a table contradicts itself ({rest.partition(' ')[2].rstrip('.')})" if bug else before
