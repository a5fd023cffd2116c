"""What the API says about the folders of an index: their files, and what could not be used of them."""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from wave_search.reports import Skipped
from wave_search.serve.job_schemas import IndexAnswer, IndexedFolder, SkippedAnswer, SkippedEntry, SkippedGroup
from wave_search.serve.library import shown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wave_search.serve.library import Library
    from wave_search.store import FolderChoices

_MAX_GROUPS = 100
_MAX_FILES = 100
"""Of a group."""
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")


class Folders:
    """The folders of an index. What was skipped is read once for each version: that takes seconds for a million files.

    Args:
        library: the index.
    """

    def __init__(self, library: Library) -> None:
        self._library = library
        self._read: tuple[int, list[Skipped]] = -1, []

    def describe(self, allowed: list[Path] | None) -> IndexAnswer:
        """Return the folders, and their numbers of files.

        Args:
            allowed: further folders that may be indexed; None for any.
        """
        version, skipped_files = self._skipped()
        index = self._library.index()
        info = index.info()
        roots, choices = info.roots, {Path(one.folder): one for one in info.folders}
        files: Counter[Path | None] = Counter()
        for (folder, _), count in index.count_files().items():
            files[_root(folder, roots)] += count
        skipped = Counter(_root(file.path, roots) for file in skipped_files)
        return IndexAnswer(
            folders=[_folder(root, files[root], skipped[root], choices.get(root)) for root in roots],
            allowed=None if allowed is None else [shown(folder) for folder in allowed],
            index_version=version,
        )

    def skipped(self) -> SkippedAnswer:
        """Return what earlier runs could not use, or only in part, by cause."""
        version, skipped = self._skipped()
        groups: dict[tuple[str, str], list[Skipped]] = {}
        for file in skipped:
            groups.setdefault((_NUMBER.sub("", file.cause), file.remedy), []).append(file)
        largest = sorted(groups.values(), key=len, reverse=True)[:_MAX_GROUPS]
        return SkippedAnswer(groups=[_group(files) for files in largest], index_version=version)

    def _skipped(self) -> tuple[int, list[Skipped]]:
        index = self._library.index()
        version = index.version
        if self._read[0] != version:
            files = index.files(skipped=True)
            self._read = version, [Skipped(file.path, file.cause, file.remedy) for file in files]
        return self._read


def _folder(root: Path, files: int, skipped: int, choices: FolderChoices | None) -> IndexedFolder:
    return IndexedFolder(
        path=shown(root),
        files=files,
        skipped=skipped,
        exclude=[os.fsencode(glob).decode("utf-8", "replace") for glob in choices.exclude] if choices else [],
        max_duration_s=choices.max_duration_s if choices else None,
    )


def _group(files: list[Skipped]) -> SkippedGroup:
    first = files[0]
    shown_files = [
        SkippedEntry(path=shown(file.path), cause=file.cause, remedy=file.remedy) for file in files[:_MAX_FILES]
    ]
    return SkippedGroup(cause=first.cause, remedy=first.remedy, count=len(files), files=shown_files)


def _root(path: Path, roots: Iterable[Path]) -> Path | None:
    """Return the innermost of some folders that holds a path."""
    return max((root for root in roots if path.is_relative_to(root)), key=lambda root: len(root.parts), default=None)
