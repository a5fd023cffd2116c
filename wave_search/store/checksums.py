"""Checksums of the table files, so that later corruption is detected.

Lance files never change once they are written, and carry no checksums. Each commit lists the files that it made, with
their BLAKE2b digests, in checksums/<version>.json. Each list refers to the previous one, and the manifest to the
newest, by the digest of its bytes. A commit thus reads only the files that it wrote, and any later change breaks the
chain. A commit that merges fragments reads the lists back to where these are, and its own list replaces all that it has
read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

import msgspec

from wave_search.errors import IndexCorruptError, IndexStateError
from wave_search.files import digest, is_temporary
from wave_search.store import table_checks
from wave_search.store.files import DISTRUST, RESTORE
from wave_search.store.rows import ChecksumsRef

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from wave_search.store.files import FileStore

FOLDER = "checksums"
_NAME = re.compile(rf"{FOLDER}/[0-9]{{12}}\.json")
_LISTED_ANEW = "run `wave-search optimize`: it accepts the tables as they are and lists their checksums anew."


@dataclass(frozen=True, slots=True)
class _List:
    """The content of one file."""

    before: ChecksumsRef | None
    files: dict[str, str]
    """Digest by name."""


@dataclass(frozen=True, slots=True)
class Listing:
    """The content of a chain of lists."""

    files: Mapping[str, str]
    """Digest of every file that a commit has made, by name. Some may be gone: cleaned up."""
    versions: tuple[int, ...]
    """Names of the lists."""
    before: ChecksumsRef | None = None
    """The list before these, None if there is none."""


def add(
    store: FileStore,
    version: int,
    made: Iterable[str],
    before: ChecksumsRef | None = None,
    known: Mapping[str, str] = MappingProxyType({}),
) -> ChecksumsRef:
    """List the files that a commit creates. Must be called before the manifest that names the list is published.

    Args:
        store: the files of the index.
        version: of the commit.
        made: names of new table files; they are read.
        before: the previous list; None to begin a new chain.
        known: digests of other files by name, from the lists that this one replaces.

    Raises:
        IndexStateError: a file cannot be read, or the list cannot be written.
    """
    files = {**known, **{name: _file_digest(store, name) for name in made if not table_checks.is_hint(name)}}
    data = msgspec.json.format(msgspec.json.encode(_List(before, files), order="sorted"), indent=1) + b"\n"
    store.put(name_of(version), data)
    return ChecksumsRef(version, digest(data))


def read(store: FileStore, *newest: ChecksumsRef) -> Listing:
    """Read the lists of some versions and all lists before them.

    Args:
        store: the files of the index.
        newest: the lists of one or more versions of the index, newest version first.

    Raises:
        IndexCorruptError: a list is missing (the cause is then a FileNotFoundError) or damaged.
        IndexStateError: a list cannot be read now.
    """
    files: dict[str, str] = {}
    versions: dict[int, str] = {}
    for first in newest:
        ref: ChecksumsRef | None = first
        while ref is not None and versions.get(ref.version) != ref.digest:
            content = _read_one(store, ref)
            for name, expected in content.files.items():
                files.setdefault(name, expected)
            versions[ref.version] = ref.digest
            ref = content.before
    return Listing(files, tuple(versions))


def read_back(store: FileStore, newest: ChecksumsRef, names: Collection[str]) -> Listing:
    """Read the newest list and those before it, until all of some files are found. Raises like `read`."""
    files: dict[str, str] = {}
    versions: list[int] = []
    ref: ChecksumsRef | None = newest
    while ref is not None and not files.keys() >= set(names):
        content = _read_one(store, ref)
        files = {**content.files, **files}
        versions.append(ref.version)
        ref = content.before
    return Listing(files, tuple(versions), ref)


def faults(store: FileStore, files: Mapping[str, str]) -> Iterator[IndexStateError]:
    """Read some table files, and yield an error for each that is damaged or cannot be read.

    Args:
        store: the files of the index.
        files: digests by name; files that do not exist are left out.
    """
    for name, expected in sorted(files.items()):
        try:
            if _file_digest(store, name) != expected:
                yield IndexCorruptError(f"{store.url(name)} is damaged: its checksum does not match", RESTORE)
        except FileNotFoundError:
            continue  # missing: reading the tables fails if it is needed
        except IndexStateError as error:
            yield error


def compare(store: FileStore, newest: ChecksumsRef, names: Collection[str] | None = None) -> Listing:
    """Read the lists, and compare files with them.

    Args:
        store: the files of the index.
        newest: the newest list.
        names: of files; the lists are read until all of them are found. None to compare every file.

    Returns:
        As `existing`.

    Raises:
        IndexCorruptError: a list or a file is damaged.
        IndexStateError: one cannot be read now.
    """
    listing = existing(store, newest, names)
    compared = listing.files.keys() if names is None else listing.files.keys() & set(names)
    for fault in faults(store, {name: listing.files[name] for name in compared}):
        raise fault
    return listing


def existing(store: FileStore, newest: ChecksumsRef, names: Collection[str] | None = None) -> Listing:
    """Read the lists, all or back to those that list some files.

    Returns:
        The existing files of the lists. Empty if a list is missing: by deleting it, a user accepts the tables in their
        current state.

    Raises:
        IndexCorruptError: a list is damaged.
        IndexStateError: one cannot be read now.
    """
    try:
        listing = read(store, newest) if names is None else read_back(store, newest, names)
    except IndexCorruptError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return Listing({}, ())
        raise
    there = frozenset(store.names(table_checks.FOLDER))
    return replace(listing, files={name: expected for name, expected in listing.files.items() if name in there})


def is_made(name: str) -> bool:
    """Return whether a file has a name that only a list has, finished or not."""
    return _NAME.fullmatch(name) is not None or is_temporary(name.removeprefix(f"{FOLDER}/"))


def name_of(version: int) -> str:
    """Return the name of the list of a version."""
    return f"{FOLDER}/{version:012d}.json"


def _read_one(store: FileStore, ref: ChecksumsRef) -> _List:
    name = name_of(ref.version)
    try:
        data = store.get(name)
    except FileNotFoundError as error:
        raise IndexCorruptError(
            f"{store.url(name)} is missing", f"Restore it from a copy, or {_LISTED_ANEW}"
        ) from error
    if digest(data) != ref.digest:
        raise IndexCorruptError(
            f"{store.url(name)} is damaged: its checksum does not match",
            f"Restore it from a copy, or delete it and {_LISTED_ANEW}",
        )
    try:
        content = msgspec.json.decode(data, type=_List)
    except (ValueError, RecursionError) as error:
        raise IndexCorruptError(f"{store.url(name)} is damaged: {error}", DISTRUST) from error
    if strange := next((file for file in content.files if not table_checks.is_made(file)), None):
        raise IndexCorruptError(f"{store.url(name)} is damaged: it names the file {strange!r}", DISTRUST)
    return content


def _file_digest(store: FileStore, name: str) -> str:
    return digest(store.blocks(name))
