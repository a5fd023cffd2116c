"""Making an index."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wave_search.errors import UsageError
from wave_search.store import checksums, lock, manifest, tables
from wave_search.store import files as durable
from wave_search.store.manifest import Manifest
from wave_search.store.shards import SHARDS_FOLDER
from wave_search.store.snapshot import Snapshot, exists, open_snapshot
from wave_search.store.tables import Tables

if TYPE_CHECKING:
    from pathlib import Path

    from wave_search.models import ModelSpec
    from wave_search.store.rows import Settings


def create(directory: Path, spec: ModelSpec, settings: Settings) -> Snapshot:
    """Make an empty index. The folder may be missing, empty, or left by a creation that was never finished.

    Raises:
        UsageError: the folder holds an index already, or files that are not of an index.
        IndexLockedError: another process is creating it.
        IndexStateError: it cannot be written (full or read-only disk).
    """
    directory = directory.absolute()
    with durable.disk_errors(directory):
        directory.mkdir(parents=True, exist_ok=True)
        _refuse_foreign(directory)
    with lock.hold(directory):
        if exists(directory):
            raise UsageError(f"there is an index at {directory} already", "Choose another folder.")
        made = Tables.create(directory, spec.dim)
        with durable.disk_errors(directory):
            (directory / manifest.FOLDER).mkdir(exist_ok=True)
            first = Manifest(
                version=1,
                created=manifest.now(),
                model=spec,
                settings=settings,
                roots=(),
                table_versions=made.versions(),
                table_digests=checksums.add(directory, 1, durable.stamps(made.place)),
                next_segment_id=0,
                next_content_id=0,
            )
            durable.sync_tree(directory)
            manifest.publish(directory, first)
    return open_snapshot(directory)


def _refuse_foreign(directory: Path) -> None:
    ours = {lock.NAME, tables.FOLDER, manifest.FOLDER, checksums.FOLDER, SHARDS_FOLDER}
    foreign = sorted(path.name for path in directory.iterdir() if path.name not in ours)
    if foreign and not exists(directory):
        raise UsageError(
            f"{directory} is not an index and holds other files, for example {foreign[0]}", "Choose an empty folder."
        )
