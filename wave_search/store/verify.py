"""Check an index without a model."""

from __future__ import annotations

import io
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from wave_search.errors import IndexNotFoundError, IndexStateError
from wave_search.store import (
    checksums,
    embedding_cache,
    local_files,
    manifest,
    saved_searches,
    schema,
    shards,
    table_checks,
)
from wave_search.store.cleanup import foreign_files, unreferenced_files, unused_shards
from wave_search.store.files import DISTRUST, RESTORE
from wave_search.store.local_files import LocalFiles
from wave_search.store.rows import Problem, ShardRef
from wave_search.store.shards import check_folder, damaged, read_bytes, shard_folder
from wave_search.store.snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from wave_search.store.files import FileStore
    from wave_search.store.manifest import Manifest
    from wave_search.store.rows import CodebookRef

FOLDERS = (manifest.FOLDER, table_checks.FOLDER, checksums.FOLDER, shards.SHARDS_FOLDER, saved_searches.FOLDER)
FILES = (local_files.LOCK, *embedding_cache.FILES)
"""All that an index has in its folder."""
_NORM_TOLERANCE = 2e-3
"""Upper bound on how much rounding to float16 changes the norm of a unit vector."""
_BATCH_ROWS = 4_096
_UNREFERENCED = "It does no harm; `wave-search optimize` removes it."
_REBUILT = "Run `wave-search optimize`: it rebuilds this without a model."


def verify(directory: Path) -> tuple[Problem, ...]:
    """Check the newest version completely, and list unused files. Reads all files; changes nothing.

    Raises:
        IndexNotFoundError: there is no index.
        IndexStateError: its files cannot be listed.
    """
    store = LocalFiles(directory)
    if links := [_problem(error) for error in store.faults(FOLDERS, FILES)]:
        return tuple(links)  # no command reads such an index
    while True:
        latest = manifest.versions(store)[-1:]
        found = _problems(store)
        if not found or manifest.versions(store)[-1:] == latest:
            return (*found, *_orphans(store))
        # Another process has committed, and files that were being checked may have been removed.


def _problems(store: FileStore) -> list[Problem]:
    try:
        state = manifest.newest(store)
        listing = checksums.read(store, state.table_checksums)
        # First what stops other commands, in their words; Lance may crash on damaged files.
        faults = [*islice(table_checks.faults(store, state.table_versions), 1)]
        faults = faults or [*checksums.faults(store, listing.files)]
        found = [_problem(error) for error in faults]
        if not found:
            found = [*_check_meaning(Snapshot(store, state))]
    except IndexNotFoundError:
        raise
    except IndexStateError as error:
        found = [_problem(error)]
    return found


def _problem(error: IndexStateError) -> Problem:
    return Problem(error.message, error.remedy)


def _check_meaning(snapshot: Snapshot) -> Iterator[Problem]:
    try:
        snapshot.check_all_versions()
        yield from _check_files(snapshot)
        yield from _check_metadata(snapshot)
        yield from _check_segments(snapshot)
        yield from _check_shards(snapshot)
    except (ValueError, TypeError, LookupError, ArithmeticError) as error:
        yield Problem(f"the tables hold a value that no index has: {error}", DISTRUST)


def _check_files(snapshot: Snapshot) -> Iterator[Problem]:
    files, contents, counts = snapshot.files(), snapshot.content_ids(), snapshot.counts()
    if not sum(counts.files.values()) == len(files) == files.distinct():
        yield Problem("a file is recorded twice, or with an unknown status", RESTORE)
    ids = np.unique(contents.ids)
    if not len(ids) == len(contents) == contents.distinct():
        yield Problem("a content is recorded twice", RESTORE)
    referred = np.unique(files.content_ids[files.content_ids >= 0])
    if len(lost := np.setdiff1d(referred, ids)):
        yield Problem(f"{len(lost)} files refer to a content that does not exist, for example {lost[0]}", RESTORE)
    if len(dead := np.setdiff1d(ids, referred)):
        what = f"{len(dead)} contents belong to no file, for example {dead[0]}"
        yield Problem(what, "Let `wave-search index` run to its end: it drops them.", orphan=True)
    if len(ids) and ids[-1] >= snapshot.manifest.next_content_id:
        yield Problem("a content has an id that was not assigned yet", RESTORE)


def _check_metadata(snapshot: Snapshot) -> Iterator[Problem]:
    metadata = snapshot.metadata()
    names = {column.name for column in metadata.columns}
    if strange := {name for row in metadata.rows.values() for name in row.values} - names:
        yield Problem(f"metadata belong to a column that does not exist, for example {min(strange)}", RESTORE)
    if snapshot.count_metadata() != len(metadata.rows):
        yield Problem("the metadata of a file are recorded twice", RESTORE)


def _check_segments(snapshot: Snapshot) -> Iterator[Problem]:
    contents = snapshot.content_ids().ids
    keys = {(key.modality.value, key.instruction) for key in snapshot.manifest.settings.keys}
    bad = dict.fromkeys(_SEGMENT_FAULTS, 0)  # reading them has checked that ids ascend
    for batch in snapshot.segment_batches():
        ids = schema.ids(batch, "segment_id")
        bad["ids"] += int((ids >= snapshot.manifest.next_segment_id).sum())
        bad["contents"] += int((~np.isin(schema.ids(batch, "content_id"), contents)).sum())
        bad["vectors"] += int((~_is_unit(schema.vector_matrix(batch))).sum())
        named = zip(batch.column("modality").to_pylist(), batch.column("instruction").to_pylist(), strict=True)
        bad["partitions"] += sum(name not in keys for name in named)
    for fault, count in bad.items():
        if count:
            yield Problem(f"{count} segments {_SEGMENT_FAULTS[fault]}", RESTORE)


_SEGMENT_FAULTS = {
    "ids": "have an id that was not assigned yet",
    "contents": "belong to a content that does not exist",
    "vectors": "have a vector that is not finite or not of unit length",
    "partitions": "are of an unknown modality or instruction",
}


def _is_unit(vectors: NDArray[np.float16]) -> NDArray[np.bool_]:
    norms = np.linalg.norm(vectors.astype(np.float32), axis=1)
    close: NDArray[np.bool_] = np.abs(norms - 1) < _NORM_TOLERANCE  # False for values that are not finite
    return close


def _check_shards(snapshot: Snapshot) -> Iterator[Problem]:
    for key in dict.fromkeys(shard.key for shard in snapshot.manifest.shards):
        if snapshot.codebook(key) is None:
            yield Problem(f"the shards in {snapshot.store.url(shard_folder(key))} have no codebook", _REBUILT)
    for ref in snapshot.manifest.structures:
        try:
            check_shard(snapshot, ref)
        except IndexStateError as error:
            yield _problem(error)


def check_shard(snapshot: Snapshot, ref: ShardRef | CodebookRef) -> None:
    """Read all files of a shard or codebook, and compare them with what was written.

    Raises:
        IndexCorruptError: one is missing or damaged, or a segment that the shard should cover is not in it.
        IndexStateError: one cannot be read at the moment.
    """
    folder = snapshot.shard_dir(ref)
    check_folder(folder, ref.digest)
    if isinstance(ref, ShardRef) and not _covers(snapshot, ref):
        raise damaged(folder, "it lacks segments that it should cover")


def _covers(snapshot: Snapshot, shard: ShardRef) -> bool:
    """Check that a shard has all ids that it should cover. Its ids are in ids.npy, so that this needs no faiss."""
    folder = snapshot.shard_dir(shard)
    try:
        ids = np.load(io.BytesIO(read_bytes(folder, "ids.npy")))
    except IndexStateError:
        raise
    except Exception as error:  # numpy parses the header as Python
        raise damaged(folder, f"ids.npy is not valid: {error}") from error
    live = snapshot.partition(shard.key).ids
    covered = live[(live >= shard.first_id) & (live < shard.stop_id)]
    return len(ids) == shard.count and bool(np.isin(covered, ids).all())


def _orphans(store: FileStore) -> Iterator[Problem]:
    """List files that a crash left or that are being written. Older versions do not count: they may be in use."""
    yield from _unused(store)
    cache = store.local_path("") / embedding_cache.NAME
    if damage := embedding_cache.damage(cache):
        yield Problem(f"{cache} is damaged: {damage}", f"Delete {cache}*: queries fill it again.", orphan=True)
    for what, remedy in saved_searches.faults(store):
        yield Problem(what, remedy, orphan=True)
    for name in manifest.unpublished(store):
        yield Problem(f"{store.url(name)} was never published", _UNREFERENCED, orphan=True)


def _unused(store: FileStore) -> Iterator[Problem]:
    states: list[Manifest] = []
    for version in reversed(manifest.versions(store)):
        try:
            states.append(manifest.read(store, version))
        except IndexStateError as error:
            if not states:
                return  # the newest list is reported separately, and without it nothing is known to be unused
            yield Problem(f"an older version is unreadable: {error.message}", _UNREFERENCED, orphan=True)
    for folder in unused_shards(store, states):
        yield Problem(f"{store.url(folder)} belongs to no version of the index", _UNREFERENCED, orphan=True)
    if names := foreign_files(store, states):
        what = f"{len(names)} files in the folders of the index are not its own, for example {store.url(names[0])}"
        yield Problem(what, "wave-search leaves them alone: move them to another folder.", orphan=True)
    with suppress(IndexStateError):  # reported separately if it concerns the newest version
        listing = checksums.read(store, *(state.table_checksums for state in states))
        if names := unreferenced_files(store, listing):
            what = f"{len(names)} files were never committed, for example {store.url(names[0])}"
            yield Problem(what, _UNREFERENCED, orphan=True)
