"""Scan of folders for files, their sizes and modification times. No file is opened."""

from __future__ import annotations

import os
import re
import stat
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING

from wave_search.errors import UsageError
from wave_search.files import as_name, as_path, is_under, mtime_ns
from wave_search.indexer.choices import IGNORE_FILE, matches
from wave_search.media import looks_like_media
from wave_search.media.source import RETRY
from wave_search.reports import Skipped

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence
    from pathlib import Path

    from wave_search.indexer.choices import FolderRules, Rules


_MISSING_REMEDY = (
    "Check the spelling, and whether its disk is mounted. Files that were indexed from there stay in the index "
    "until you remove them with `wave-search remove`."
)


@dataclass(frozen=True, slots=True)
class Area:
    """An argument: a folder or a single file, as an absolute path without symbolic links."""

    path: bytes
    is_folder: bool


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A regular file. Paths are bytes, because the name of a file need not be valid text."""

    path: bytes
    """Absolute."""
    root: bytes
    """The indexed folder that it belongs to."""
    size_bytes: int
    mtime_ns: int
    """In the range of `wave_search.files.mtime_ns`."""
    device: int
    """Device number of its disk (st_dev)."""
    named: bool = False
    """Whether the user named the file itself; otherwise it was found in a folder."""
    max_duration_s: float | None = None
    """It is skipped if it is longer audio or video; None for no limit."""


@dataclass(frozen=True, slots=True)
class Unusable:
    """What is no regular file where media is expected: a link that is not followed, a pipe, a device."""

    file: FoundFile
    """Of a link: the link itself."""
    why: Skipped


@dataclass(slots=True)
class Scan:
    """The result of a scan."""

    files: dict[bytes, FoundFile] = field(default_factory=dict)
    """Files by path, in scan order: names in byte order, the files of a folder before its subfolders."""
    unusable: dict[bytes, Unusable] = field(default_factory=dict)
    """By path."""
    not_media: list[bytes] = field(default_factory=list)
    """Links in folders to what is not media."""
    skipped: list[Skipped] = field(default_factory=list)
    """What could not be read."""
    unreadable: list[bytes] = field(default_factory=list)
    """Folders and files that could not be read. Rows of the index for them, or below them, stay."""


def lineage(path: bytes) -> Iterator[bytes]:
    """Yield what a path `is_under`: itself and the folders that contain it."""
    yield path
    for slash in re.finditer(b"/", path):
        yield path[: slash.start()] or b"/"


def lineages(paths: Iterable[bytes]) -> set[bytes]:
    """Return what any of the paths `is_under`. Folders that many of them share are looked at once."""
    found: set[bytes] = set()
    for path in paths:
        while path not in found:
            found.add(path)
            path = parent(path)  # noqa: PLW2901 - up to one that is known
    return found


def parent(path: bytes) -> bytes:
    """Return the folder of a path; that of the root is itself."""
    return path.rpartition(b"/")[0] or b"/"


def resolve(paths: Iterable[str | os.PathLike[str]], index_dir: Path, known: Collection[bytes] = ()) -> list[Area]:
    """Return the arguments as areas, without duplicates.

    Args:
        paths: folders and files; symbolic links are resolved.
        index_dir: the index, which cannot itself be indexed.
        known: paths of the files in the index. What is missing but holds one of them is an empty folder: its disk may
            not be mounted.

    Raises:
        UsageError: one of them does not exist and is not known, or is the index.
    """
    own = as_name(os.path.realpath(index_dir))
    held = cache(lambda: lineages(known))  # rarely needed
    areas: dict[bytes, Area] = {}
    for path in paths:
        real = b""
        try:
            real = as_name(os.path.realpath(os.fsencode(path)))
            is_folder = stat.S_ISDIR(as_path(real).stat().st_mode)
        except (OSError, ValueError) as error:
            if real in held():
                areas.setdefault(real, Area(real, is_folder=True))
                continue
            reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
            raise UsageError(f"{os.fspath(path)}: {reason}", _MISSING_REMEDY) from None
        if is_under(real, own):
            raise UsageError(f"{os.fspath(path)} is the index itself", "Name the folder that holds your media.")
        areas.setdefault(real, Area(real, is_folder))
    if not areas:
        raise UsageError("no folder or file to index was named", "Name at least one.")
    return list(areas.values())


def outermost(folders: Iterable[bytes]) -> list[bytes]:
    """Return the folders that are not inside any of the others, sorted."""
    result: list[bytes] = []
    for folder in sorted(set(folders), key=lambda name: name.rstrip(b"/") + b"/"):
        if not result or not is_under(folder, result[-1]):
            result.append(folder)
    return sorted(result)


def join_roots(known: Iterable[bytes], areas: Sequence[Area]) -> list[bytes]:
    """Return the folders of the index after adding areas. Files add their folder; areas in known folders add none."""
    return outermost([*known, *(area.path if area.is_folder else bytes(as_path(area.path).parent) for area in areas)])


def scan(
    areas: Sequence[Area],
    roots: Sequence[bytes],
    rules: Rules,
    exclude: Sequence[str] = (),
    max_duration_s: float | None = None,
) -> Scan:
    """List the regular files of the areas.

    What the rules leave out is not listed: hidden files and folders, the index itself, what was excluded, and what a
    `.waveignore` names. Symbolic links in folders are not followed, which avoids loops.

    Args:
        areas: folders and files to scan. None of them is left out, unless it is a file that matches `exclude`.
        roots: the folders of the index; each area is in one of them.
        rules: of all folders.
        exclude: globs for areas that are files.
        max_duration_s: of areas that are files; None for that of their folder.

    Returns:
        The files, without those that vanish during the scan.
    """
    result, links = Scan(), list[FoundFile]()
    for area in areas:
        root = next(root for root in roots if is_under(area.path, root))
        if area.is_folder:
            _walk(result, links, area.path, root, rules)
        elif not matches(area.path.rpartition(b"/")[2], exclude):
            limit_s = max_duration_s or rules.limit_s(area.path)
            _add(result, area.path, root, as_path(area.path).stat(), limit_s, named=True)
    for link in links:
        _follow(result, link, areas)
    return result


def _walk(result: Scan, links: list[FoundFile], area: bytes, root: bytes, rules: Rules) -> None:
    pending: list[tuple[bytes, FolderRules]] = []
    with _reporting(result, area):
        pending.append((area, rules.of(area)))
    while pending:
        folder, outer = pending.pop()
        with _reporting(result, folder):
            with os.scandir(folder) as listed:
                entries = sorted(listed, key=lambda entry: entry.name)
            inner = outer.enter(folder, has_ignore_file=any(entry.name == IGNORE_FILE for entry in entries))
            folders = _list(result, links, entries, root, inner)
            pending.extend((path, inner) for path in reversed(folders))


def _list(
    result: Scan, links: list[FoundFile], entries: Iterable[os.DirEntry[bytes]], root: bytes, rules: FolderRules
) -> list[bytes]:
    """Add the files and links of a folder, and return the folders in it."""
    folders: list[bytes] = []
    limit_s = rules.max_duration_s
    for entry in entries:
        path = as_name(entry.path)
        is_folder = entry.is_dir(follow_symlinks=False)
        if rules.leaves_out(path, is_folder=is_folder):
            continue
        if is_folder:
            folders.append(path)
        else:
            try:
                status = entry.stat(follow_symlinks=False)
                if entry.is_symlink():
                    links.append(_found(path, root, status))
                else:
                    _add(result, path, root, status, limit_s)
            except FileNotFoundError:
                continue
            except OSError as error:  # of the disk or the network
                result.unreadable.append(path)
                result.skipped.append(Skipped(as_path(path), f"cannot be read ({error.strerror})", RETRY))
    return folders


@contextmanager
def _reporting(result: Scan, folder: bytes) -> Iterator[None]:
    """Report a folder that cannot be listed, or whose rules cannot be read."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        result.unreadable.append(folder)
        what, remedy = "the folder cannot be listed", "Grant read permission, or exclude it with --exclude."
        if os.fsencode(error.filename or b"").endswith(b"/" + IGNORE_FILE):
            what, remedy = f"{os.fsdecode(error.filename)} cannot be read", "Replace it with a file that you may read."
        result.skipped.append(Skipped(as_path(folder), f"{what} ({error.strerror})", remedy))


def _add(
    result: Scan, path: bytes, root: bytes, status: os.stat_result, limit_s: float | None, *, named: bool = False
) -> None:
    if stat.S_ISREG(status.st_mode):
        known = result.files.get(path)
        named = named or (known is not None and known.named)
        result.files[path] = replace(_found(path, root, status), named=named, max_duration_s=limit_s)
        return
    why = Skipped(as_path(path), f"{_irregular(status)}, not a file", "Copy its content into a regular file.")
    result.unusable[path] = Unusable(_found(path, root, status), why)


def _found(path: bytes, root: bytes, status: os.stat_result) -> FoundFile:
    return FoundFile(path, root, status.st_size, mtime_ns(status), status.st_dev)


def _irregular(status: os.stat_result) -> str:
    kinds = {stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(status.st_mode), "a device")


def _follow(result: Scan, link: FoundFile, areas: Sequence[Area]) -> None:
    """Add a link in a folder, unless it leads to what is indexed under its own name."""
    target, path = os.path.realpath(link.path), as_path(link.path)
    # The functions of pathlib raise for a target without permission.
    if not os.path.exists(target):  # noqa: PTH110
        why = Skipped(path, "a link to a file that does not exist", "Repair or remove the link.")
    elif any(is_under(target, area.path) for area in areas):
        return
    elif os.path.isdir(target) or os.path.isfile(target):  # noqa: PTH112, PTH113
        cause = "a symbolic link to another place; links inside folders are not followed"
        why = Skipped(path, cause, f"Index its target: {os.fsdecode(target)}")
    else:
        cause = f"a symbolic link to {_irregular(os.stat(target))}, not to a file"  # noqa: PTH116
        why = Skipped(path, cause, "Remove the link.")
    if os.path.isdir(target) or looks_like_media(path):  # noqa: PTH112
        result.unusable[link.path] = Unusable(link, why)
    else:
        result.not_media.append(link.path)
