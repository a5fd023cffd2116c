"""What a run leaves out: the user's choices for folders, which an index remembers, and `.waveignore` files."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from wave_search.files import as_path, is_under, read_bounded
from wave_search.store import FolderChoices

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pathspec import GitIgnoreSpec

IGNORE_FILE = b".waveignore"
_MAX_IGNORE_BYTES = 1 << 20


def remember(
    known: Iterable[FolderChoices],
    folders: Iterable[bytes],
    exclude: Sequence[str] | None,
    max_duration_s: float | None,
) -> tuple[FolderChoices, ...]:
    """Return the choices for folders after a run with options for some of them.

    Args:
        known: the choices that the index remembers.
        folders: of the run.
        exclude: replaces the globs of these folders; empty to forget them, None to keep them.
        max_duration_s: replaces their maximum duration; infinite to forget it, None to keep it.

    Returns:
        The choices by folder, without folders that have none.
    """
    choices = {one.folder: one for one in known}
    for folder in map(os.fsdecode, folders):
        chosen = choices.get(folder, FolderChoices(folder))
        if exclude is not None:
            chosen = replace(chosen, exclude=tuple(exclude))
        if max_duration_s is not None:
            chosen = replace(chosen, max_duration_s=None if max_duration_s == float("inf") else max_duration_s)
        choices[folder] = chosen
    return tuple(one for _, one in sorted(choices.items()) if one.exclude or one.max_duration_s is not None)


@dataclass(frozen=True, slots=True)
class FolderRules:
    """What is left out of one folder, and of the folders in it.

    Args:
        folder: the folder.
        own: the folder of the index.
        choices: for all folders.
        ignored: patterns of `.waveignore` files, each with its folder; the outermost first.
    """

    folder: bytes
    own: bytes
    choices: tuple[FolderChoices, ...]
    ignored: tuple[tuple[bytes, GitIgnoreSpec], ...] = ()

    def enter(self, folder: bytes, *, has_ignore_file: bool = True) -> FolderRules:
        """Return the rules of this folder, or of one in it.

        Args:
            folder: the folder.
            has_ignore_file: whether it may contain a `.waveignore`.

        Raises:
            OSError: its `.waveignore` cannot be read.
        """
        rules = replace(self, folder=folder)
        if has_ignore_file and (spec := _read(folder)) is not None:
            rules = replace(rules, ignored=(*self.ignored, (folder, spec)))
        return rules

    @property
    def max_duration_s(self) -> float | None:
        """Longer audio and video is left out: the choice for the innermost folder that has one."""
        limits = (one for one in self.choices if one.max_duration_s is not None)
        around = [one for one in limits if is_under(self.folder, os.fsencode(one.folder))]
        return max(around, key=lambda one: len(one.folder)).max_duration_s if around else None

    def leaves_out(self, path: bytes, *, is_folder: bool) -> bool:
        """Return whether a path in this folder is left out: it is hidden, the index, excluded or ignored."""
        if path.rpartition(b"/")[2].startswith(b".") or path == self.own:
            return True
        for one in self.choices:
            folder = os.fsencode(one.folder)
            if one.exclude and path != folder and is_under(path, folder) and matches(_below(path, folder), one.exclude):
                return True
        return self._ignores(path, is_folder=is_folder)

    def _ignores(self, path: bytes, *, is_folder: bool) -> bool:
        """Return what the last matching pattern of the innermost file with one says, as git does."""
        for folder, spec in reversed(self.ignored):
            included = spec.check_file(os.fsdecode(_below(path, folder)) + ("/" if is_folder else "")).include
            if included is not None:
                return included
        return False


class Rules:
    """The rules of all folders of an index.

    Args:
        own: the folder of the index.
        choices: for folders.
        roots: the folders of the index: `.waveignore` files outside of them are not read.
    """

    def __init__(self, own: bytes, choices: Iterable[FolderChoices], roots: Sequence[bytes]) -> None:
        self._own, self._choices, self._roots = own, tuple(choices), roots

    def of(self, folder: bytes) -> FolderRules:
        """Return the rules of a folder without its own `.waveignore`.

        Raises:
            OSError: a `.waveignore` around it cannot be read.
        """
        rules = FolderRules(folder, self._own, self._choices)
        for around in _path_to(folder, self._roots)[:-1]:
            rules = rules.enter(around)
        return replace(rules, folder=folder)

    def limit_s(self, path: bytes) -> float | None:
        """Return the maximum duration of a file; None for no limit."""
        return FolderRules(path.rpartition(b"/")[0] or b"/", self._own, self._choices).max_duration_s

    def leave_out(self, path: bytes) -> bool:
        """Return whether a path below a folder of the index, which need not exist, is left out, or a folder around it.

        What cannot be read is not left out, so that it is reported.
        """
        first, *parts = _path_to(path, self._roots) or [path]
        rules = FolderRules(first, self._own, self._choices)
        try:
            for part in parts:
                rules = rules.enter(rules.folder)
                if rules.leaves_out(part, is_folder=part != path) and not part.endswith(b"/" + IGNORE_FILE):
                    return True
                rules = replace(rules, folder=part)
        except OSError:
            return False
        return False


def matches(below: bytes, patterns: Iterable[str]) -> bool:
    """Return whether a glob matches: one with a slash a path below a folder, others its name."""
    name = below.rpartition(b"/")[2]
    return any(
        fnmatchcase(os.fsdecode(below if "/" in pattern.rstrip("/") else name), pattern.rstrip("/"))
        for pattern in patterns
    )


def _below(path: bytes, folder: bytes) -> bytes:
    return path[len(folder) :].lstrip(b"/")


def _path_to(path: bytes, roots: Sequence[bytes]) -> list[bytes]:
    """Return the root that holds a path, the folders between them and the path; empty if there is none."""
    root = next((root for root in roots if is_under(path, root)), None)
    if root is None:
        return []
    parts = [root]
    for name in _below(path, root).split(b"/"):
        if name:
            parts.append(parts[-1].rstrip(b"/") + b"/" + name)
    return parts


def _read(folder: bytes) -> GitIgnoreSpec | None:
    from pathspec import GitIgnoreSpec

    try:
        data = read_bounded(as_path(folder) / os.fsdecode(IGNORE_FILE), _MAX_IGNORE_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        return None
    lines = [os.fsdecode(line.rstrip(b"\r")) for line in data.removeprefix(b"\xef\xbb\xbf").split(b"\n")]
    return GitIgnoreSpec.from_lines([line for line in lines if _is_valid(line)])


def _is_valid(line: str) -> bool:
    """Return whether a line is a pattern; git ignores others, too."""
    from pathspec import GitIgnoreSpec

    try:
        return bool(line.strip()) and bool(GitIgnoreSpec.from_lines([line]).patterns)
    except ValueError:
        return False
