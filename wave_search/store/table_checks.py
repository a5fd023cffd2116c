"""Checks of the files of the Lance tables, before Lance opens them: it follows what they say.

Which files are those of the tables, which versions there are, and whether manifests and data files are what they seem.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING

from wave_search.errors import IndexCorruptError, IndexStateError
from wave_search.files import IrregularFileError
from wave_search.store.files import DISTRUST, RESTORE, read_errors, refused
from wave_search.store.lance_data import check_data_file
from wave_search.store.lance_manifest import ForeignFieldError, check_manifest
from wave_search.store.schema import NAMES
from wave_search.store.table_errors import LANCE_FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from wave_search.store.files import FileStore
    from wave_search.store.lance_manifest import DataFile

FOLDER = LANCE_FOLDER
_LAST_NAME = 2**64 - 1
"""Lance names a version by its distance from this, so that the latest comes first."""
HINT = "latest_version_hint.json"
"""The only Lance file that changes. A crash may leave it incomplete; nothing depends on it."""
_MADE = re.compile(
    rf"{FOLDER}/({'|'.join(NAMES)})\.lance/(data|_versions|_transactions|_deletions)/"
    rf"(([0-9a-f-]+\.(lance|manifest|txn|arrow|bin)|{re.escape(HINT)})(#[0-9]+)?|\.tmp[0-9A-Za-z]{{6}})"
)
"""The last two are those of files that a crash left unfinished."""
_FOLDERS = frozenset(
    f"{FOLDER}/{table}.lance{inner}"
    for table in NAMES
    for inner in ("", "/data", "/_versions", "/_transactions", "/_deletions")
)
_VERSION = re.compile(rf"{FOLDER}/([^/]+)\.lance/_versions/([0-9]{{20}})\.manifest")
_FOREIGN = re.compile(
    rf"{FOLDER}/(_.*|[^/]+\.lance/(tree/.*|_(?!versions/|transactions/|deletions/).*"
    r"|_versions/(?![0-9]{20}\.manifest).*\.manifest))"
)
"""What Lance would use, and has never written for us: branches, tags, search structures, other names of versions."""


def is_made(name: str) -> bool:
    """Return whether a file has a name that only Lance gives to the files of our tables."""
    return _MADE.fullmatch(name) is not None or is_hint(name)


def is_hint(name: str) -> bool:
    """Return whether a file of the tables is the one that may change."""
    return name.rpartition("/")[2] == HINT


def later_versions(store: FileStore, versions: Mapping[str, int]) -> list[str]:
    """Return the files of table versions that were written after the given ones."""
    names = version_names(store)
    return [name for table, version in versions.items() for found, name in names[table].items() if found > version]


def has_versions(store: FileStore, versions: Mapping[str, int]) -> bool:
    """Return whether there is a file for the given version of each table."""
    names = version_names(store)
    return all(version in names[table] for table, version in versions.items())


def version_names(store: FileStore, names: Iterable[str] | None = None) -> dict[str, dict[int, str]]:
    """Return the file of each version of each table.

    Args:
        store: the files of the index.
        names: of all files of the tables; None to list them.
    """
    found: dict[str, dict[int, str]] = {table: {} for table in NAMES}
    for name in store.names(FOLDER) if names is None else names:
        if (match := _VERSION.fullmatch(name)) and match[1] in found:
            found[match[1]][_LAST_NAME - int(match[2])] = name
    return found


def check_plain(store: FileStore) -> frozenset[str]:
    """Check that there is nothing below the folder of the tables by which Lance would leave it, such as a link.

    Returns:
        The names of the files.

    Raises:
        IndexCorruptError: there is a file that Lance would use although it has not written it for us.
        IndexStateError: there is a link, or something else that is no file.
    """
    names = frozenset(store.names(FOLDER))
    if strange := min((name for name in names if _FOREIGN.fullmatch(name)), default=None):
        raise IndexCorruptError(f"{store.url(strange)} is not a file of this index", DISTRUST)
    if file := min(names & _FOLDERS, default=None):
        raise refused(IrregularFileError(store.url(file), "it is a file, not a folder"))
    for name in names:
        # Others are looked at when they are opened here, before Lance does.
        if "/_deletions/" in name or is_hint(name):
            with suppress(FileNotFoundError):  # another process removes old versions
                store.info(name)
    return names


def check_versions(store: FileStore, since: Mapping[str, int], names: Iterable[str] | None = None) -> None:
    """Check the files of each table's versions from a given one on. Lance opens the given and the latest.

    Args:
        store: the files of the index.
        since: the version of each table.
        names: of all files of the tables; None to list them.

    Raises:
        IndexCorruptError: one is damaged, or refers to files elsewhere.
        IndexStateError: one cannot be read now.
    """
    found = version_names(store, names)
    for table, first in since.items():
        for version, name in found[table].items():
            if version > first:
                _data_files(store, name)  # of the later ones, no data are read
            elif version == first:
                for fault in _faults(store, table, name):
                    raise fault


def faults(store: FileStore, versions: Mapping[str, int]) -> Iterator[IndexStateError]:
    """Yield an error for each file of the given versions for which `check_versions` raises one."""
    names = version_names(store)
    for table, version in versions.items():
        if name := names[table].get(version):
            yield from _faults(store, table, name)


def _faults(store: FileStore, table: str, name: str) -> Iterator[IndexStateError]:
    try:
        data_files = _data_files(store, name)
    except IndexStateError as error:
        yield error
        return
    for file, expected in sorted(data_files.items()):
        path = f"{FOLDER}/{table}.lance/data/{file}"
        try:
            with read_errors(store.url(path)):
                check_data_file(store.local_path(path), expected.rows)
        except FileNotFoundError:
            continue  # Lance reports it if it is needed
        except ValueError as error:
            yield IndexCorruptError(f"{store.url(path)} is damaged: {error}", RESTORE)


def _data_files(store: FileStore, name: str) -> Mapping[str, DataFile]:
    """Check the manifest of a version, and return the data files that it names; none if it was just removed."""
    try:
        return check_manifest(store.get(name))
    except FileNotFoundError:
        return {}  # another process removes old versions
    except ForeignFieldError as error:
        raise IndexCorruptError(f"{store.url(name)} is not of this index: {error}", DISTRUST) from error
    except ValueError as error:
        raise IndexCorruptError(f"{store.url(name)} is damaged: {error}", RESTORE) from error
