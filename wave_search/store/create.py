"""Creating an index."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from wave_search.errors import UsageError
from wave_search.store import checksums, local_files, manifest, shards, table_checks
from wave_search.store.local_files import LocalFiles
from wave_search.store.manifest import Manifest
from wave_search.store.snapshot import Snapshot, open_snapshot
from wave_search.store.tables import Tables

if TYPE_CHECKING:
    from pathlib import Path

    from wave_search.models import ModelSpec
    from wave_search.store.rows import Settings

_OURS = {local_files.LOCK, table_checks.FOLDER, manifest.FOLDER, checksums.FOLDER, shards.SHARDS_FOLDER}


def create(directory: Path, spec: ModelSpec, settings: Settings) -> Snapshot:
    """Create an empty index. The folder may be missing, empty, or left by a creation that was never finished.

    Raises:
        UsageError: the folder holds an index already, or files that are not of an index.
        IndexCorruptError: it holds an index whose manifest was lost.
        IndexLockedError: another process is creating it.
        IndexStateError: it cannot be written (full or read-only disk).
    """
    check_new(directory)
    store = LocalFiles(directory)
    with store.lock():
        check_new(directory)  # another process may have created one since
        made = Tables.create(store, spec.dim)
        written = [*store.names(table_checks.FOLDER)]
        made.check_written(written, written)
        store.flush(written)
        created = manifest.now()
        first = Manifest(
            version=1,
            created=created,
            model=spec,
            settings=replace(settings, created=created),
            roots=(),
            table_versions=made.versions(),
            table_checksums=checksums.add(store, 1, written),
            next_segment_id=0,
            next_content_id=0,
        )
        manifest.publish(store, first)
    return open_snapshot(directory)


def check_new(directory: Path) -> None:
    """Refuse a folder in which no index can be created. Needs no model.

    Raises:
        UsageError: the folder holds an index already, or files that are not of an index.
        IndexCorruptError: it holds an index whose manifest was lost.
        IndexStateError: it cannot be read.
    """
    store = LocalFiles(directory)
    if manifest.versions(store):
        raise UsageError(f"there is an index at {store.url()} already", "Choose another folder.")
    manifest.check_not_lost(store)
    foreign = next((name for name in store.names() if name.split("/")[0] not in _OURS), None)
    if foreign is not None:
        raise UsageError(
            f"{store.url()} is not an index and holds other files, for example {foreign}", "Choose an empty folder."
        )
