"""What the API says about the folders of an index: their files, and what could not be used of them."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from wave_search.serve.job_schemas import IndexAnswer, IndexedFolder, SkippedAnswer, SkippedEntry, SkippedGroup
from wave_search.serve.library import shown

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from wave_search.index import Index

_MAX_GROUPS = 100
_MAX_FILES = 100
"""Of a group."""
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")


def index_answer(index: Index, allowed: list[Path] | None) -> IndexAnswer:
    """Return the folders of an index.

    Args:
        index: the index.
        allowed: further folders that may be indexed; None for any.
    """
    version, roots = index.version, index.info().roots
    files: Counter[Path | None] = Counter()
    for (folder, _), count in index.count_files().items():
        files[_root(folder, roots)] += count
    skipped = Counter(_root(file.path, roots) for file in index.files(skipped=True))
    return IndexAnswer(
        folders=[IndexedFolder(path=shown(root), files=files[root], skipped=skipped[root]) for root in roots],
        allowed=None if allowed is None else [shown(folder) for folder in allowed],
        index_version=version,
    )


def skipped_answer(index: Index) -> SkippedAnswer:
    """Return what earlier runs could not use, or only in part, by cause."""
    version = index.version
    groups: dict[tuple[str, str], list[SkippedEntry]] = {}
    counts: Counter[tuple[str, str]] = Counter()
    for file in index.files(skipped=True):
        key = _NUMBER.sub("", file.cause), file.remedy
        counts[key] += 1
        if len(files := groups.setdefault(key, [])) < _MAX_FILES:
            files.append(SkippedEntry(path=shown(file.path), cause=file.cause, remedy=file.remedy))
    return SkippedAnswer(
        groups=[
            SkippedGroup(cause=groups[key][0].cause, remedy=groups[key][0].remedy, count=count, files=groups[key])
            for key, count in counts.most_common(_MAX_GROUPS)
        ],
        index_version=version,
    )


def _root(path: Path, roots: Iterable[Path]) -> Path | None:
    """Return the innermost of some folders that holds a path."""
    return max((root for root in roots if path.is_relative_to(root)), key=lambda root: len(root.parts), default=None)
