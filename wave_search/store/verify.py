"""Check an index without a model."""

from __future__ import annotations

import io
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from wave_search.errors import IndexCorruptError, IndexNotFoundError, IndexStateError
from wave_search.store import checksums, embedding_cache, manifest, schema
from wave_search.store.cleanup import left_overs, unused_shards
from wave_search.store.rows import Problem, ShardRef
from wave_search.store.shards import check_folder, damaged, read_bytes, shard_parent
from wave_search.store.snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from wave_search.store.manifest import Manifest
    from wave_search.store.rows import CodebookRef

_NORM_TOLERANCE = 2e-3
"""Rounding to float16 moves the norm of a unit vector by less."""
_BATCH_ROWS = 4_096
_LEFT_OVER = "Nothing is wrong. `wave-search optimize` removes it."
_REBUILT = "Run `wave-search optimize`: it is rebuilt without a model."


def verify(directory: Path) -> tuple[Problem, ...]:
    """Check everything that the newest version consists of, and list left-overs. Reads all of it; changes nothing.

    Raises:
        IndexNotFoundError: there is no index.
    """
    directory = directory.absolute()
    while True:
        latest = manifest.versions(directory)[-1:]
        found = _problems(directory)
        if not found or manifest.versions(directory)[-1:] == latest:
            return (*found, *_orphans(directory))
        # Another process has committed, and what was looked at may have been removed.


def _problems(directory: Path) -> list[Problem]:
    try:
        state = manifest.newest(directory)
        found = [*_check_bytes(directory, state)]
        if not found:  # Lance may crash on damaged files
            found = [*_check_meaning(Snapshot(directory, state))]
    except IndexNotFoundError:
        raise
    except IndexStateError as error:
        found = [Problem(error.message, error.remedy)]
    return found


def _check_bytes(directory: Path, state: Manifest) -> Iterator[Problem]:
    for path in checksums.damaged(directory, checksums.read(directory, state.table_digests)):
        error = checksums.damage(path)
        yield Problem(error.message, error.remedy)


def _check_meaning(snapshot: Snapshot) -> Iterator[Problem]:
    yield from _check_files(snapshot)
    yield from _check_metadata(snapshot)
    yield from _check_segments(snapshot)
    yield from _check_shards(snapshot)


def _check_files(snapshot: Snapshot) -> Iterator[Problem]:
    files, contents, counts = snapshot.files(), snapshot.content_ids(), snapshot.counts()
    if not sum(counts.files.values()) == len(files) == files.distinct():
        yield Problem("a file is recorded twice, or with an unknown status", checksums.RESTORE)
    ids = np.unique(contents.ids)
    if not len(ids) == len(contents) == contents.distinct():
        yield Problem("a content is recorded twice", checksums.RESTORE)
    referred = np.unique(files.content_ids[files.content_ids >= 0])
    if len(lost := np.setdiff1d(referred, ids)):
        yield Problem(
            f"{len(lost)} files refer to a content that is not there, for example {lost[0]}", checksums.RESTORE
        )
    if len(dead := np.setdiff1d(ids, referred)):
        what = f"{len(dead)} contents belong to no file, for example {dead[0]}"
        yield Problem(what, "Run `wave-search index` to its end: it drops them.", orphan=True)
    if len(ids) and ids[-1] >= snapshot.manifest.next_content_id:
        yield Problem("a content has an id that was not given out yet", checksums.RESTORE)


def _check_metadata(snapshot: Snapshot) -> Iterator[Problem]:
    metadata = snapshot.metadata()
    names = {column.name for column in metadata.columns}
    if strange := {name for row in metadata.rows.values() for name in row.values} - names:
        yield Problem(f"metadata are of a column that is not there, for example {min(strange)}", checksums.RESTORE)
    if snapshot.count_metadata() != len(metadata.rows):
        yield Problem("metadata of a file are recorded twice", checksums.RESTORE)


def _check_segments(snapshot: Snapshot) -> Iterator[Problem]:
    contents = snapshot.content_ids().ids
    keys = {(key.modality.value, key.instruction) for key in snapshot.manifest.settings.keys}
    last, bad = -1, dict.fromkeys(_SEGMENT_FAULTS, 0)
    for batch in snapshot.segment_batches():
        ids = schema.ids(batch, "segment_id")
        bad["order"] += int((np.diff(ids, prepend=last) <= 0).sum())
        bad["ids"] += int((ids >= snapshot.manifest.next_segment_id).sum())
        bad["contents"] += int((~np.isin(schema.ids(batch, "content_id"), contents)).sum())
        bad["vectors"] += int((~_is_unit(schema.vector_matrix(batch))).sum())
        named = zip(batch.column("modality").to_pylist(), batch.column("instruction").to_pylist(), strict=True)
        bad["spaces"] += sum(name not in keys for name in named)
        last = int(ids[-1]) if len(ids) else last
    for fault, count in bad.items():
        if count:
            yield Problem(f"{count} segments {_SEGMENT_FAULTS[fault]}", checksums.RESTORE)


_SEGMENT_FAULTS = {
    "order": "have an id that is taken or out of order",
    "ids": "have an id that was not given out yet",
    "contents": "belong to a content that is not there",
    "vectors": "have a vector that is not finite or not of unit length",
    "spaces": "are of an unknown modality or instruction",
}


def _is_unit(vectors: NDArray[np.float16]) -> NDArray[np.bool_]:
    norms = np.linalg.norm(vectors.astype(np.float32), axis=1)
    close: NDArray[np.bool_] = np.abs(norms - 1) < _NORM_TOLERANCE  # False for what is not finite
    return close


def _check_shards(snapshot: Snapshot) -> Iterator[Problem]:
    for key in dict.fromkeys(shard.key for shard in snapshot.manifest.shards):
        if snapshot.codebook(key) is None:
            yield Problem(f"the shards in {shard_parent(snapshot.dir, key)} have no codebook", _REBUILT)
    for ref in snapshot.manifest.structures:
        try:
            check_shard(snapshot, ref)
        except IndexStateError as error:
            yield Problem(error.message, error.remedy)


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
    """A shard has its ids in ids.npy, so that this can be checked without faiss."""
    ids = np.load(io.BytesIO(read_bytes(snapshot.shard_dir(shard), "ids.npy")))
    live = snapshot.partition(shard.key).ids
    covered = live[(live >= shard.first_id) & (live < shard.stop_id)]
    return len(ids) == shard.count and bool(np.isin(covered, ids).all())


def _orphans(directory: Path) -> Iterator[Problem]:
    """Left by a crash, or being written right now. What older versions use is none: a reader may be on them."""
    yield from _unused(directory)
    if damage := embedding_cache.damage(directory):
        what = f"{directory / embedding_cache.NAME} is damaged: {damage}"
        yield Problem(what, "Delete it: queries fill it again.", orphan=True)
    for path in sorted((directory / manifest.FOLDER).glob(".*.tmp")):
        yield Problem(f"{path} was never published", _LEFT_OVER, orphan=True)


def _unused(directory: Path) -> Iterator[Problem]:
    states: list[Manifest] = []
    for version in reversed(manifest.versions(directory)):
        try:
            states.append(manifest.read(directory, version))
        except IndexStateError as error:
            if not states:
                return  # the newest: a problem of its own, and nobody can tell what belongs to it
            yield Problem(f"an older version is unreadable: {error.message}", _LEFT_OVER, orphan=True)
    for folder in unused_shards(directory, states):
        yield Problem(f"{folder} belongs to no version of the index", _LEFT_OVER, orphan=True)
    with suppress(IndexCorruptError):  # that is a problem of its own, if it concerns the newest version
        listing = checksums.read(directory, *(state.table_digests for state in states))
        if files := list(left_overs(directory, listing)):
            yield Problem(f"{len(files)} files were never committed, for example {files[0]}", _LEFT_OVER, orphan=True)
