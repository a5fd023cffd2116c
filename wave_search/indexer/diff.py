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
    """To be read: new, changed, or the first one of a content that has to be embedded again."""
    unchanged: tuple[FileRow, ...]
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
    rows = {row.path: row for row in known}
    fresh: list[FoundFile] = []
    unchanged: list[FileRow] = []
    skipped: list[FileRow] = []
    moved: list[FileRow] = []
    waiting = set(incomplete)
    for path, file in found.items():
        row = rows.get(path)
        is_known = row is not None and (row.size_bytes, row.mtime_ns) == (file.size_bytes, file.mtime_ns)
        if row is None or not is_known or (retry and row.status == "skipped"):
            fresh.append(file)
            continue
        if row.content_id in waiting:
            waiting.remove(row.content_id)
            fresh.append(replace(file, named=True))  # it is in the index, so it is media, whatever its name
        else:
            (skipped if row.status == "skipped" else unchanged).append(row)
        if (row.root, row.device) != (file.root, file.device):
            moved.append(replace(row, root=file.root, device=file.device))
    removed = (
        path
        for path in sorted(rows.keys() - found.keys())
        if any(is_under(path, folder) for folder in scanned) and not any(is_under(path, folder) for folder in protected)
    )
    return Plan(tuple(fresh), tuple(unchanged), tuple(skipped), tuple(removed), tuple(moved))
