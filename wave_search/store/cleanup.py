"""Removing what no reader needs: versions that were replaced long ago, and what crashes left."""

from __future__ import annotations

import shutil
import time
from contextlib import suppress
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING

from wave_search.errors import IndexCorruptError, IndexStateError
from wave_search.store import checksums, manifest, tables
from wave_search.store import files as durable
from wave_search.store.shards import SHARDS_FOLDER, shard_parent

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from wave_search.store.manifest import Manifest
    from wave_search.store.tables import Tables


def prune(directory: Path, opened: Tables, newest: Manifest, keep_versions_for_s: float) -> None:
    """Remove all that neither the newest version needs nor one that was the newest less than `keep_versions_for_s` ago.

    To be called under the lock, with nothing uncommitted and the tables just compacted. A crash at any point leaves
    every remaining version whole: a version's manifest goes before what it names.

    Raises:
        OSError: the disk cannot be written.
        IndexStateError: the same, or what is kept cannot be read.
    """
    states = _kept(directory, keep_versions_for_s)
    try:
        listing = checksums.read(directory, *(state.table_digests for state in reversed(states)))
    except IndexCorruptError:  # of an older version, whose files nobody can tell any more; or it is raised again
        states = states[-1:]
        listing = checksums.read(directory, states[-1].table_digests)
    for version in set(manifest.versions(directory)) - {state.version for state in states}:
        manifest.path_of(directory, version).unlink()
    _remove((directory / manifest.FOLDER).glob(".*.tmp"))
    durable.sync(directory / manifest.FOLDER)
    _remove_shards(directory, states)
    _remove(left_overs(directory, listing))
    opened.drop_versions({name: {state.table_versions[name] for state in states} for name in newest.table_versions})


def left_overs(directory: Path, listing: checksums.Listing) -> Iterator[Path]:
    """Files of tables that no commit made, and lists of digests that are not among those read."""
    top = directory / tables.FOLDER
    known = {top / name for name in listing.files}
    yield from (p for p in sorted(top.rglob("*")) if p.name != tables.HINT and p not in known and p.is_file())
    lists = {checksums.path_of(directory, version) for version in listing.versions}
    yield from (path for path in sorted((directory / checksums.FOLDER).glob("*")) if path not in lists)


def unused_shards(directory: Path, states: Iterable[Manifest]) -> Iterator[Path]:
    """Folders of shards and codebooks that none of the versions uses."""
    used = {shard_parent(directory, shard.key) / shard.name for state in states for shard in state.structures}
    yield from sorted(folder for folder in (directory / SHARDS_FOLDER).glob("*/*") if folder not in used)


def _kept(directory: Path, keep_versions_for_s: float) -> list[Manifest]:
    """Versions that stay, the newest last. One that cannot be read any more is of no use to anybody."""
    states = []
    for version in manifest.versions(directory):
        with suppress(IndexStateError):
            states.append(manifest.read(directory, version))
    return [*(old for old, new in pairwise(states) if _age_s(new) < keep_versions_for_s), states[-1]]


def _age_s(state: Manifest) -> float:
    """How long a version has been there. A clock that was put back counts as no time at all."""
    return max(time.time() - datetime.fromisoformat(state.created).timestamp(), 0.0)


def _remove_shards(directory: Path, states: Iterable[Manifest]) -> None:
    for folder in unused_shards(directory, states):
        shutil.rmtree(folder)


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        path.unlink()
