"""Comparison of the files in folders with those of the index. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from wave_search.files import is_under

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from wave_search.indexer.scan import FoundFile, Unusable
    from wave_search.store import FileRow


@dataclass(frozen=True, slots=True)
class ChangePlan:
    """The work of a run."""

    fresh: tuple[FoundFile, ...]
    """Files to process: new, changed, or one file of each content that has to be embedded again."""
    unchanged: int
    """Number of unchanged files that are in the index."""
    known_damaged: tuple[FileRow, ...]
    """Unchanged files that are only partly indexed."""
    known_skipped: tuple[FileRow, ...]
    """Unchanged files that could not be indexed before and are not retried, and what is still no regular file."""
    unusable: tuple[Unusable, ...]
    """What is no regular file, and was not known to be."""
    removed: tuple[bytes, ...]
    """Paths in the index that no longer exist in a scanned folder."""
    moved_roots: tuple[FileRow, ...]
    """New rows of unchanged files that now belong to another root, or whose disk has another device number."""


def compare(
    found: Mapping[bytes, FoundFile],
    known: Iterable[FileRow],
    scanned: Sequence[bytes],
    protected: Sequence[bytes],
    incomplete: Collection[int] = (),
    *,
    unusable: Mapping[bytes, Unusable] = MappingProxyType({}),
    retry: bool = False,
) -> ChangePlan:
    """Compare files by path, size and time of modification.

    Args:
        found: the files in the folders, by path.
        known: the rows of the index.
        scanned: folders that were scanned; a row below them without a file means that the file was deleted.
        protected: folders that could not be read; rows below them do not change.
        incomplete: ids of contents that must be embedded again.
        unusable: what is no regular file in the folders, by path.
        retry: whether to retry files that could not be indexed before. Those that were too long, and are not any more,
            are retried in any case.
    """
    same: set[bytes] = set()
    damaged: list[FileRow] = []
    skipped: list[FileRow] = []
    removed: list[bytes] = []
    moved: list[FileRow] = []
    waiting = set(incomplete)
    again: set[bytes] = set()
    news = dict(unusable)
    for row in known:
        file = found.get(row.path)
        if file is None and row.path in unusable:
            if row.status == "skipped" and row.cause == unusable[row.path].why.cause:
                skipped.append(row)
                del news[row.path]
            continue
        if file is None:
            if _is_in(row.path, scanned) and not _is_in(row.path, protected):
                removed.append(row.path)
            continue
        is_skipped = row.status == "skipped"
        limit_s = file.max_duration_s
        fits = row.too_long_s is not None and (limit_s is None or row.too_long_s <= limit_s)
        if (row.size_bytes, row.mtime_ns) != (file.size_bytes, file.mtime_ns) or (retry and is_skipped) or fits:
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
    # A file to be embedded again is in the index, so it is media, whatever its name.
    fresh = tuple(
        replace(file, named=True) if path in again else file for path, file in found.items() if path not in same
    )
    unchanged = len(same) - sum(row.path in same for row in skipped)
    return ChangePlan(
        fresh,
        unchanged,
        tuple(damaged),
        tuple(skipped),
        tuple(news.values()),
        tuple(sorted(removed)),
        tuple(moved),
    )


def _is_in(path: bytes, folders: Sequence[bytes]) -> bool:
    return any(is_under(path, folder) for folder in folders)
