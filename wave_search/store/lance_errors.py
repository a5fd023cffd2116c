"""What Lance raises, as errors of an index."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from wave_search.errors import IndexCorruptError, IndexStateError
from wave_search.store.files import write_error

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def read_errors(place: Path, pin: Path) -> Iterator[None]:
    """Turn what Lance raises while it reads `place` into an error of the index.

    Raises:
        IndexStateError: the file `pin`, which keeps what is read from being removed, is gone.
        IndexCorruptError: it is damaged.
    """
    try:
        yield
    except BaseException as error:
        if not _is_of_lance(error):
            raise
        check_pin(place.parent, pin)
        raise IndexCorruptError(
            f"{place} cannot be read: {_first_line(error)}",
            "Run `wave-search verify`. If that fails too: `wave-search optimize`, or restore the index from a copy.",
        ) from error


def check_pin(directory: Path, pin: Path) -> None:
    """Make sure that a version of an index has not been removed.

    Raises:
        IndexStateError: the file `pin`, which keeps what belongs to it from being removed, is gone.
    """
    if not pin.exists():
        cause = f"the version of {directory} that was opened has been removed"
        raise IndexStateError(cause, "Open it again, or call refresh().")


@contextmanager
def write_errors(place: Path) -> Iterator[None]:
    """Turn what Lance raises while it writes to `place` into an error with a remedy.

    Raises:
        IndexStateError: it cannot be written.
    """
    try:
        yield
    except BaseException as error:
        if not _is_of_lance(error):
            raise
        raise write_error(place, _first_line(error)) from error


def _is_of_lance(error: BaseException) -> bool:
    # On damaged files Lance panics, which Python sees as an exception that is no Exception.
    return isinstance(error, OSError | RuntimeError | ValueError) or type(error).__name__ == "PanicException"


def _first_line(error: BaseException) -> str:
    """What Lance says, without the line of its source."""
    return re.sub(r",? /\S+\.rs:\d+:\d+", "", (str(error).splitlines() or [type(error).__name__])[0])
