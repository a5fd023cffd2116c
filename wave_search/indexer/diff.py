"""What has to be read again: the folders as they are against the index as it is. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from wave_search.indexer.scan import FoundFile, is_under

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from wave_search.store import FileRow


@dataclass(frozen=True, slots=True)
class Plan:
    """What one run has to do."""

    fresh: tuple[FoundFile, ...]
    """To be read: new, changed, or one of each content that has to be embedded again."""
    unchanged: int
    """How many files are as they were."""
    known_damaged: tuple[FileRow, ...]
    """Those of them of which only a part is in the index."""
    known_skipped: tuple[FileRow, ...]
    """Could not be used before, and are the same files still: not tried again."""
    removed: tuple[bytes, ...]
    """Known, and gone from a folder that was scanned."""
    moved_roots: tuple[FileRow, ...]
    """Unchanged files that now belong to another root, or whose disk has another number: their rows as they become."""


def compare(
    found: Mapping[bytes, FoundFile],
    known: Iterable[FileRow],
    scanned: Sequence[bytes],
    protected: Sequence[bytes],
    incomplete: Collection[int] = (),
    *,
    retry: bool = False,
) -> Plan:
    """Compare by path, size and time of modification.

    Args:
        found: the files that were seen, by path.
        known: the index's rows.
        scanned: folders that were scanned; a row below them without a file is a deletion.
        protected: folders whose content could not be seen; rows below them stay as they are.
        incomplete: ids of contents that have to be embedded again.
        retry: whether files that could not be used before are to be read again.
    """
    same: set[bytes] = set()
    damaged: list[FileRow] = []
    skipped: list[FileRow] = []
    removed: list[bytes] = []
    moved: list[FileRow] = []
    waiting = set(incomplete)
    again: set[bytes] = set()
    for row in known:
        file = found.get(row.path)
        if file is None:
            if _is_in(row.path, scanned) and not _is_in(row.path, protected):
                removed.append(row.path)
            continue
        is_skipped = row.status == "skipped"
        if (row.size_bytes, row.mtime_ns) != (file.size_bytes, file.mtime_ns) or (retry and is_skipped):
            continue
        if row.content_id in waiting:
            waiting.remove(row.content_id)
            again.add(row.path)
        else:
            same.add(row.path)
            if is_skipped:
                skipped.append(row)
            elif row.cause:
                damaged.append(row)
        if (row.root, row.device) != (file.root, file.device):
            moved.append(replace(row, root=file.root, device=file.device))
    # What is read again is in the index, so it is media, whatever its name.
    fresh = tuple(
        replace(file, named=True) if path in again else file for path, file in found.items() if path not in same
    )
    unchanged = len(same) - len(skipped)
    return Plan(fresh, unchanged, tuple(damaged), tuple(skipped), tuple(sorted(removed)), tuple(moved))


def _is_in(path: bytes, folders: Sequence[bytes]) -> bool:
    return any(is_under(path, folder) for folder in folders)
