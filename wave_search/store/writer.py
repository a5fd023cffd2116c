"""The write side: one process at a time, atomic commits."""

from __future__ import annotations

import math
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Self

import numpy as np

from wave_search.errors import IndexStateError
from wave_search.store import checksums, manifest, schema, table_checks
from wave_search.store.cleanup import KEEP_VERSIONS_FOR_S, cleanup, is_due
from wave_search.store.local_files import LocalFiles
from wave_search.store.overlay import Overlay, dead_contents
from wave_search.store.rows import CodebookRef, ShardRef
from wave_search.store.shards import finish, shard_folder
from wave_search.store.snapshot import Snapshot, exists, open_snapshot
from wave_search.store.tables import Tables
from wave_search.store.write_buffer import WriteBuffer

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
    from pathlib import Path

    from wave_search.store.manifest import Manifest
    from wave_search.store.rows import (
        Column,
        ContentRow,
        FileRow,
        FolderChoices,
        MetadataRow,
        NewSegment,
        ScoreStats,
        Tuning,
    )
    from wave_search.types import PartitionKey

_CHANGES_KEPT = 100_000
"""Maximum number of changed files and contents kept as objects of 0.5 kB, before all are reread as columns."""
_FEW_FRAGMENTS, _MANY_FRAGMENTS = 128, 1_000
"""Small commits between large ones leave fragments that are not the last ones. A fragment costs each later commit 0.15
ms, and checking and rewriting a segment takes 0.04 ms. So n fragments, which have cost n^2 / 2 times the former,
justify rewriting n^2 segments."""


class Writer:
    """The only way to change an index. A context manager: the lock is held from entering to leaving.

    Entering restores the versions of the tables that the newest manifest names, which drops whatever a crash left.
    Leaving without `commit` drops what was not committed. Not safe to use from several threads at once.

        with Writer(directory) as writer:
            content_id = writer.put_content(content, segments)
            writer.put_file(FileRow(..., content_id=content_id))
            snapshot = writer.commit()

    Attributes:
        snapshot: the newest committed state.
    """

    snapshot: Snapshot

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._store = LocalFiles(directory)
        self._held = ExitStack()

    def __enter__(self) -> Self:
        """Take the lock.

        Raises:
            IndexLockedError: another process is writing; the message names its pid, host, command and start time.
            IndexStateError: see `open_snapshot`; or the disk cannot be written.
        """
        if not exists(self._directory):
            open_snapshot(self._directory)  # raises: a lock file must not appear in an arbitrary directory
        with ExitStack() as held:
            held.enter_context(self._store.lock())
            state = manifest.newest(self._store)
            pin = manifest.name_of(state.version)
            self._tables = Tables.open_for_writing(self._store, state.model.dim, state.table_versions, pin)
            self._on_disk = self._tables.names
            self.snapshot = self._reading(state)
            self._read()
            self._usable = True
            self._begin(state)
            self._held = held.pop_all()
        return self

    def _reading(self, state: Manifest) -> Snapshot:
        """Return a snapshot of a version whose tables were checked."""
        tables = self._tables.for_reading(state.table_versions, manifest.name_of(state.version))
        return Snapshot(self._store, state, tables)

    def _read(self) -> None:
        """Read the files and contents that changes are applied on top of."""
        self._known_files, self._known_contents = self.snapshot.files(), self.snapshot.content_ids()
        self._files: Overlay[bytes, FileRow] = Overlay(self._known_files)
        self._content_ids: Overlay[str, int] = Overlay(self._known_contents)

    def _begin(self, state: Manifest) -> None:
        """Begin a commit on top of `state`."""
        self._committed = state
        self._next = state
        self._rows = WriteBuffer(self._tables, state.model.dim)

    def __exit__(self, *_: object) -> None:
        """Release the lock."""
        self._held.close()

    def content_id(self, digest: str) -> int | None:
        """Return the id of a content, committed or pending; None if there is none."""
        return self._content_ids.get(digest)

    def put_content(self, content: ContentRow, segments: Sequence[NewSegment]) -> int:
        """Add a content with all its segments, and return its id.

        If a content with its digest exists, nothing is added. `commit` drops it unless a file refers to it.

        Raises:
            ValueError: a vector has another size than the model's, or is not finite.
            IndexStateError: the disk is full or read-only.
        """
        known = self._content_ids.get(content.digest)
        if known is not None:
            return known
        content_id = self._next.next_content_id
        self.put_segments(content_id, segments)
        self._next = replace(self._next, next_content_id=content_id + 1)
        self._content_ids.put(content.digest, content_id)
        self._rows.add_content(content_id, content)
        return content_id

    def put_segments(self, content_id: int, segments: Sequence[NewSegment]) -> None:
        """Add segments for further instructions to a content.

        Raises:
            ValueError: a vector has another size than the model's, or is not finite.
            IndexStateError: the disk is full or read-only.
        """
        for segment in segments:
            if segment.vector.shape != (self._next.model.dim,) or not np.isfinite(segment.vector).all():
                raise ValueError(f"not a finite vector of {self._next.model.dim} dimensions: {segment}")
        segment_id = self._next.next_segment_id
        self._next = replace(self._next, next_segment_id=segment_id + len(segments))
        self._rows.add_segments(segment_id, content_id, segments)
        if self._rows.is_full:
            with self._changing():
                self._rows.spill()

    def put_file(self, row: FileRow) -> None:
        """Add a file, or replace the row of its path."""
        if self._files.get(row.path) != row:
            self._files.put(row.path, row)

    def remove_files(self, paths: Iterable[bytes]) -> None:
        """Remove files from the index. Unknown paths are no error."""
        for path in paths:
            if self._files.get(path) is not None:
                self._files.put(path, None)

    def set_roots(self, roots: Iterable[str]) -> None:
        """Replace the indexed folders and files."""
        self._next = replace(self._next, roots=tuple(roots))

    def add_instructions(self, instructions: Iterable[str]) -> None:
        """Add instructions with which segments may be embedded."""
        settings = self._next.settings
        known = tuple(dict.fromkeys((*settings.instructions, *instructions)))
        self._next = replace(self._next, settings=replace(settings, instructions=known))

    def set_folder_choices(self, choices: Iterable[FolderChoices]) -> None:
        """Replace the choices for folders."""
        self._next = replace(self._next, settings=replace(self._next.settings, folders=tuple(choices)))

    def set_score_stats(self, score_stats: Iterable[ScoreStats]) -> None:
        """Replace the score statistics of all partitions."""
        self._next = replace(self._next, score_stats=tuple(score_stats))

    def set_metadata(self, columns: Iterable[Column], rows: Iterable[MetadataRow]) -> None:
        """Replace the user-defined columns and all their values."""
        self._next = replace(self._next, columns=tuple(columns))
        self._rows.set_metadata(rows)

    def add_shard(self, key: PartitionKey, name: str, first_id: int, stop_id: int, count: int) -> None:
        """Add a finished folder under `shard_parent` to the next version.

        It covers every segment of the partition with first_id <= id < stop_id, and replaces shards that cover any of
        these ids. Its files are made durable and its digest is taken here.

        Raises:
            IndexStateError: the folder cannot be read.
        """
        digest = finish(self._store, key, name)
        kept = [s for s in self._next.shards if s.key != key or s.stop_id <= first_id or stop_id <= s.first_id]
        added = ShardRef(key, name, first_id, stop_id, count, digest)
        self._next = replace(self._next, shards=(*kept, added))

    def drop_shards(self, key: PartitionKey, keep: Collection[str] = ()) -> None:
        """Leave shards of a partition out of the next version, except those whose names are in `keep`.

        Their folders stay for readers of older versions.
        """
        shards = tuple(shard for shard in self._next.shards if shard.key != key or shard.name in keep)
        self._next = replace(self._next, shards=shards)

    def set_codebook(self, key: PartitionKey, name: str | None, stop_id: int = 0) -> None:
        """Add a finished folder under `shard_parent` to the next version, in place of a codebook and its shards.

        Args:
            key: the partition.
            name: of the folder; None for no codebook.
            stop_id: the codebook was trained on segments with lower ids.

        Raises:
            IndexStateError: the folder cannot be read.
        """
        self.drop_shards(key)
        self.set_tunings(key, ())
        others = tuple(codebook for codebook in self._next.codebooks if codebook.key != key)
        added = () if name is None else (CodebookRef(key, name, stop_id, finish(self._store, key, name)),)
        self._next = replace(self._next, codebooks=(*others, *added))

    def set_tunings(self, key: PartitionKey, tunings: Iterable[Tuning]) -> None:
        """Replace the measured search parameters of a partition."""
        others = (tuning for tuning in self._next.tunings if tuning.key != key)
        self._next = replace(self._next, tunings=(*others, *tunings))

    def shard_parent(self, key: PartitionKey) -> Path:
        """Return the folder in which shards of a partition are built; it is created if missing."""
        return self._store.make_folder(shard_folder(key))

    def commit(self, *, drop_dead: bool = True) -> Snapshot:
        """Publish all changes since the last commit atomically and durably, and return the new state.

        If nothing has changed, nothing is written and the current state is returned.

        Args:
            drop_dead: drop contents that no file refers to, with their segments. Otherwise they stay, invisible to
                searches, until a later commit drops them.

        Raises:
            IndexStateError: the disk is full or read-only. The last committed state stays; leave the writer and retry.
        """
        known = self._known_files, self._known_contents
        dead = dead_contents(self._files, self._content_ids, *known) if drop_dead else {}
        pending = self._files.pending or dead or self._rows.replaces_metadata
        if not pending and self._next == self._committed:
            return self.snapshot
        with self._changing():
            self._rows.write(self._files, set(dead.values()))
            for digest in dead:
                self._content_ids.put(digest, None)
            snapshot = self._publish()
        self._files.mark_committed()
        self._content_ids.mark_committed()
        if len(self._files.committed) + len(self._content_ids.committed) > _CHANGES_KEPT:
            self._read()
        return snapshot

    def compact(self) -> Snapshot:
        """Rewrite the tables in few fragments and without deleted rows, and commit. Ids do not change.

        Raises:
            IndexCorruptError: a file of the tables is damaged, which rewriting it would hide.
            IndexStateError: the disk is full or read-only.
        """
        self.commit()
        listing = checksums.compare(self._store, self._committed.table_checksums)
        if not listing.versions:
            self._on_disk = frozenset()  # all files are listed as new
        with self._changing():
            if self._tables.compact() or len(listing.versions) != 1:
                self._publish(listing)
        return self.snapshot

    def cleanup(self, keep_versions_for_s: float) -> None:
        """Remove versions replaced at least `keep_versions_for_s` ago, and unused files.

        Readers that opened such a version cannot read it any more.

        Raises:
            IndexStateError: the disk is read-only, or what is kept cannot be read.
        """
        self.commit()
        self._cleanup(keep_versions_for_s)

    def kept_versions(self) -> int:
        """Return the number of replaced versions that are readable. Raises IndexStateError."""
        return len(manifest.versions(self._store)) - 1

    def _cleanup(self, keep_versions_for_s: float) -> None:
        self._tables.check_all_versions()  # Lance reads them for it
        with self._changing():
            cleanup(self._store, self._tables, self._committed, keep_versions_for_s)

    def compact_if_fragmented(self) -> Snapshot:
        """Merge fragments where commits have left enough of them, and clean up where many versions are old.

        Must be called with nothing pending, after each commit: the last fragments are merged in tiers, so that it does
        a bounded amount of work for each. Versions that were replaced less than `KEEP_VERSIONS_FOR_S` ago stay. Where
        the disk has no room for both the old fragments and the new, or a list of checksums is lost, nothing happens:
        `compact` raises an error that names the cause.

        Raises:
            IndexCorruptError: a file that would be rewritten is damaged.
            IndexStateError: the disk is full or read-only.
        """
        rows, fragments = self._tables.count(schema.SEGMENTS), max(self._tables.fragments().values())
        if fragments > min(max(_FEW_FRAGMENTS, math.isqrt(rows)), _MANY_FRAGMENTS):
            self._rewrite(rows, None, self._tables.compact)
        elif last := self._tables.mergeable():
            rows = last[schema.SEGMENTS].rows if schema.SEGMENTS in last else 0
            files = [name for suffix in last.values() for name in suffix.files]
            self._rewrite(rows, files, lambda: self._tables.merge(last))
        if is_due(self._store):
            listing = checksums.existing(self._store, self._committed.table_checksums)
            if listing.versions:
                with self._changing():
                    self._publish(listing)
                self._cleanup(KEEP_VERSIONS_FOR_S)
        return self.snapshot

    def _rewrite(self, segments: int, files: Sequence[str] | None, rewrite: Callable[[], object]) -> None:
        """Rewrite some files of the tables, or all, if they are intact and there is twice the room of the vectors."""
        if self._store.free_bytes() > 2 * 2 * self._committed.model.dim * segments:
            listing = checksums.compare(self._store, self._committed.table_checksums, files)
            if listing.versions:
                with self._changing():
                    rewrite()
                    self._publish(listing)

    def _publish(self, replaced: checksums.Listing | None = None) -> Snapshot:
        """Commit the current state of the tables, with a list of checksums that may replace earlier ones."""
        before, self._on_disk = self._on_disk, frozenset(self._store.names(table_checks.FOLDER))
        made = sorted(self._on_disk - before)
        self._tables.check_written(self._on_disk, made)
        self._store.flush(made)
        version, listed = self._committed.version + 1, self._committed.table_checksums
        if replaced is not None:
            listed = checksums.add(self._store, version, made, replaced.before, replaced.files)
        elif made:
            listed = checksums.add(self._store, version, made, listed)
        state = replace(self._next, version=version, created=manifest.now(), table_checksums=listed)
        state = replace(state, table_versions=self._tables.versions())
        manifest.publish(self._store, state)
        self._begin(state)
        self.snapshot = self._reading(state)
        return self.snapshot

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Refuse changes after a failure: the tables hold part of the changes until another writer restores them."""
        if not self._usable:
            raise IndexStateError(f"an earlier write to {self._store.url()} failed", "Open the index again and retry.")
        self._usable = False
        yield
        self._usable = True
