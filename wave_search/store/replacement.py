"""An index takes the place of another one, which may be removed then."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from wave_search.descriptors import exchange as exchange_folders
from wave_search.descriptors import spare
from wave_search.errors import IndexStateError
from wave_search.store import cleanup, embedding_cache
from wave_search.store.local_files import LOCK, LocalFiles

if TYPE_CHECKING:
    from pathlib import Path


def exchange(directory: Path, other: Path) -> None:
    """Exchange the folders of two indexes beside each other. Call it under the lock of the first.

    Raises:
        IndexStateError: one of them cannot be renamed, as it is the root of a disk or of a volume of a container.
    """
    try:
        exchange_folders(directory, other)
    except OSError as error:
        raise IndexStateError(
            f"{other} cannot take the place of {directory}: {error.strerror or error}",
            f"It is complete: use it where it is (--index {other}), or move it.",
        ) from error


def recover(directory: Path) -> None:
    """Put an index back that a crash during `exchange` has left under another name, on a disk that needs that."""
    if not os.path.lexists(directory) and spare(directory).is_dir():
        spare(directory).rename(directory)


def remove(directory: Path) -> bool:
    """Delete the files of an index, and the folders that become empty; return whether nothing else was in them.

    Raises:
        IndexStateError: they cannot be read or deleted.
    """
    store = LocalFiles(directory)
    store.delete(cleanup.all_files(store))
    store.delete([*embedding_cache.FILES, LOCK])
    store.remove_empty_folders()
    with suppress(OSError):
        directory.rmdir()
    return not directory.exists()
