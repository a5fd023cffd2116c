"""Detection of unmounted disks, whose files stay in the index, unlike deleted files."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from wave_search.files import is_under

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from wave_search.indexer.scan import FoundFile
    from wave_search.store import FileRow


def is_lost(folder: bytes, known: Iterable[FileRow]) -> bool:
    """Return whether a folder that had files is gone, or is the empty mount point of the disk that they are on."""
    try:
        if not _is_empty(folder):
            return False
        device = os.stat(folder).st_dev  # noqa: PTH116 - names are bytes
    except (FileNotFoundError, NotADirectoryError):
        device = None
    except OSError:
        return False  # it exists but cannot be listed, which the scan reports
    devices = {row.device for row in known if is_under(row.path, folder)}
    return bool(devices) and device not in devices


def unmounted(
    found: Mapping[bytes, FoundFile],
    known: Mapping[bytes, FileRow],
    scanned: Sequence[bytes],
    protected: Sequence[bytes],
) -> set[bytes]:
    """Return folders below the scanned ones that are empty or missing because their disk is not mounted.

    A disk is mounted if any of its files was found, whatever its device number: numbers change at a reboot.

    Args:
        found: the files in the folders, by path.
        known: the rows of the index, by path.
        scanned: folders that were scanned.
        protected: folders in which no file counts as deleted.
    """
    mounted = {file.device for file in found.values()}
    mounted |= {row.device for row in known.values() if row.path in found}
    places = {(row.path.rpartition(b"/")[0], row.device) for row in known.values() if row.device not in mounted}
    lost = set()
    for folder, device in places:
        if any(is_under(folder, area) for area in scanned) and not any(is_under(folder, area) for area in protected):
            with suppress(OSError):  # what cannot be listed is reported by the scan
                gone, ancestor = _gone_part(folder)
                if gone and os.stat(ancestor).st_dev != device:  # noqa: PTH116
                    lost.add(gone)
    return lost


def _gone_part(folder: bytes) -> tuple[bytes, bytes]:
    """Return the outermost part of a path that is missing or empty, or b"", and the nearest folder that exists."""
    gone, ancestor = b"", folder
    while not os.path.isdir(ancestor):  # noqa: PTH112
        gone, ancestor = ancestor, ancestor.rpartition(b"/")[0] or b"/"
    return (ancestor if _is_empty(ancestor) else gone), ancestor


def _is_empty(folder: bytes) -> bool:
    with os.scandir(folder) as entries:
        return next(entries, None) is None
