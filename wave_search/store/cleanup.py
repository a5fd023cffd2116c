"""Removal of files that no reader needs: versions that were replaced long ago, and remains of crashes."""

from __future__ import annotations

import time
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING

from wave_search.errors import IndexCorruptError, IndexMismatchError
from wave_search.store import checksums, manifest, saved_searches, shards, table_checks
from wave_search.store.shards import SHARDS_FOLDER, shard_folder
from wave_search.store.tables import MARGIN_S

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from wave_search.store.files import FileStore
    from wave_search.store.manifest import Manifest
    from wave_search.store.tables import Tables

KEEP_VERSIONS_FOR_S = 3600.0
"""Seconds for which a replaced version stays readable for readers that opened it. Lance's files stay two more hours."""
_MANY_VERSIONS = 256


def cleanup(store: FileStore, opened: Tables, newest: Manifest, keep_versions_for_s: float) -> None:
    """Remove all files except those of the newest version and of versions replaced less than `keep_versions_for_s` ago.

    Must be called under the lock, with nothing uncommitted. A crash at any point leaves
    every remaining version complete: a version's manifest is removed before the files that it names.

    Raises:
        IndexCorruptError: the newest list of checksums is damaged.
        IndexStateError: the disk cannot be written, or what is kept cannot be read now; nothing that a kept version
            names is removed then.
    """
    states, listing, replaced = _to_keep(store, newest, keep_versions_for_s)
    store.delete([*replaced, *manifest.unpublished(store)])
    store.delete(name for names in unused_shards(store, states).values() for name in names)
    store.delete(unreferenced_files(store, listing))
    opened.drop_versions({name: {state.table_versions[name] for state in states} for name in newest.table_versions})


def is_due(store: FileStore) -> bool:
    """Return whether there are many versions, and `cleanup` would remove at least half of them with all their files.

    Each commit lists all files, so that they must not become more and more; and cleaning up reads all versions, so that
    it must not follow each commit.
    """
    versions = manifest.versions(store)
    if len(versions) < _MANY_VERSIONS:
        return False
    middle = store.info(manifest.name_of(versions[len(versions) // 2]))
    return time.time() - middle.modified_ns / 1e9 > KEEP_VERSIONS_FOR_S + MARGIN_S


def plan_cleanup(store: FileStore, newest: Manifest, keep_versions_for_s: float) -> tuple[list[str], list[str]]:
    """Return the manifests and the unused files that `cleanup` would remove.

    What the tables hold for older versions only is not among them: it depends on their compaction.

    Raises:
        IndexStateError: the index is damaged or cannot be read.
    """
    states, listing, replaced = _to_keep(store, newest, keep_versions_for_s)
    shard_files = (name for names in unused_shards(store, states).values() for name in names)
    return replaced, [*manifest.unpublished(store), *shard_files, *unreferenced_files(store, listing)]


def _to_keep(
    store: FileStore, newest: Manifest, keep_versions_for_s: float
) -> tuple[list[Manifest], checksums.Listing, list[str]]:
    """Return the versions that stay, their table files, and the manifests of all others."""
    states = _kept(store, newest, keep_versions_for_s)
    try:
        listing = checksums.read(store, *(state.table_checksums for state in reversed(states)))
    except IndexCorruptError:
        # Where a list of an older version is damaged, its files are unknown. One of the newest version raises again.
        states = [newest]
        listing = checksums.read(store, newest.table_checksums)
    replaced = set(manifest.versions(store)) - {state.version for state in states}
    return states, listing, [*map(manifest.name_of, sorted(replaced))]


def unreferenced_files(store: FileStore, listing: checksums.Listing) -> list[str]:
    """Return the table files that no commit made, and the checksum lists that no kept version uses."""
    files = (info.name for info in store.list(table_checks.FOLDER) if not table_checks.is_hint(info.name))
    lists = {checksums.name_of(version) for version in listing.versions}
    return [
        *sorted(name for name in files if table_checks.is_made(name) and name not in listing.files),
        *sorted(
            info.name
            for info in store.list(checksums.FOLDER)
            if checksums.is_made(info.name) and info.name not in lists
        ),
    ]


def foreign_files(store: FileStore, states: Iterable[Manifest]) -> list[str]:
    """Return the files that belong to none of the versions, and whose names none ever gives. They are never removed."""
    return sorted(name for name, is_ours in _told_apart(store, states) if not is_ours)


def all_files(store: FileStore) -> list[str]:
    """Return the files that belong to some version, or have names that only such have. No lock and no cache is one."""
    states = [*_readable(store, manifest.versions(store))]
    return [name for name, is_ours in _told_apart(store, states) if is_ours]


def _told_apart(store: FileStore, states: Iterable[Manifest]) -> Iterator[tuple[str, bool]]:
    used = _shard_folders(states)
    makers = {
        manifest.FOLDER: manifest.is_made,
        checksums.FOLDER: checksums.is_made,
        table_checks.FOLDER: table_checks.is_made,
        SHARDS_FOLDER: shards.is_made,
        saved_searches.FOLDER: saved_searches.is_made,
    }
    for folder, is_made in makers.items():
        for info in store.list(folder):
            yield info.name, is_made(info.name) or _folder_of(info.name) in used


def unused_shards(store: FileStore, states: Iterable[Manifest]) -> dict[str, list[str]]:
    """Return the folders of shards and codebooks that none of the versions uses, with the files in each."""
    used = _shard_folders(states)
    unused: dict[str, list[str]] = {}
    for name in sorted(info.name for info in store.list(SHARDS_FOLDER) if shards.is_made(info.name)):
        folder = _folder_of(name)
        if folder not in used:
            unused.setdefault(folder, []).append(name)
    return unused


def _shard_folders(states: Iterable[Manifest]) -> set[str]:
    return {f"{shard_folder(ref.key)}/{ref.name}" for state in states for ref in state.structures}


def _folder_of(name: str) -> str:
    """Return the folder of a file of a shard or codebook."""
    return "/".join(name.split("/")[:3])


def _kept(store: FileStore, newest: Manifest, keep_versions_for_s: float) -> list[Manifest]:
    """Return the versions that stay, the newest last."""
    states = [*_older(store), newest]
    return [*(old for old, new in pairwise(states) if _age_s(new) < keep_versions_for_s), newest]


def _older(store: FileStore) -> Iterator[Manifest]:
    return _readable(store, manifest.versions(store)[:-1])


def _readable(store: FileStore, versions: Iterable[int]) -> Iterator[Manifest]:
    for version in versions:
        try:
            yield manifest.read(store, version)
        except (IndexCorruptError, IndexMismatchError):
            continue  # no reader can use it; one that only cannot be read now must not be lost


def _age_s(state: Manifest) -> float:
    """Return the seconds since a commit; 0 if the clock was put back since."""
    return max(time.time() - datetime.fromisoformat(state.created).timestamp(), 0.0)
