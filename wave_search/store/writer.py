"""Writing: one process at a time, each commit all or nothing."""

from __future__ import annotations

import math
import shutil
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Self

import numpy as np

from wave_search.errors import IndexStateError
from wave_search.store import checksums, lock, manifest, tables
from wave_search.store import files as durable
from wave_search.store.cleanup import prune
from wave_search.store.overlay import Overlay, dead_contents
from wave_search.store.rows import CodebookRef, ShardRef
from wave_search.store.shards import finish, make_parent
from wave_search.store.snapshot import Snapshot, exists, open_snapshot
from wave_search.store.tables import Tables
from wave_search.store.write_buffer import WriteBuffer

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from wave_search.store.manifest import Manifest
    from wave_search.store.rows import Column, ContentRow, FileRow, MetadataRow, NewSegment, ScoreStats, Tuning
    from wave_search.types import PartitionKey

_CHANGES_KEPT = 100_000
"""Files and contents kept as objects at most, of about 0.5 kB, before they are read back as columns."""
_FEW_PIECES, _MANY_PIECES = 128, 1_000
"""A piece costs each later commit 0.15 ms, and to check and rewrite a segment takes 0.04 ms: so p pieces, which have
cost p^2 / 2 times the one, are worth p^2 segments. Lance rewrites no more than the last million; all are checked."""
_MOST_REWRITTEN = 1_000_000
"""Lance makes pieces of so many rows, and leaves these alone."""
_TIDY_GRACE_S = 3_600.0
"""As `optimize` leaves to those who opened a version before. Lance's own files go some two hours later."""


class Writer:
    """The only way to change an index. A context manager: the lock is held from entering to leaving.

    Entering puts the tables back to the versions that the newest manifest pins, so whatever a crash left is gone.
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
        self._directory = directory.absolute()
        self._held = ExitStack()

    def __enter__(self) -> Self:
        """Take the lock.

        Raises:
            IndexLockedError: another process writes; the message names its pid, host, command and since when.
            IndexStateError: see `open_snapshot`; or the disk cannot be written.
        """
        if not exists(self._directory):
            open_snapshot(self._directory)  # raises: a lock file must not appear in just any folder
        with ExitStack() as held:
            held.enter_context(lock.hold(self._directory))
            state = manifest.newest(self._directory)
            self._on_disk = durable.stamps(self._directory / tables.FOLDER)
            self._tables = Tables.open_for_writing(
                self._directory, state.table_versions, manifest.path_of(self._directory, state.version)
            )
            self.snapshot = Snapshot(self._directory, state)
            self._read()
            self._usable = True
            self._begin(state)
            self._held = held.pop_all()
        return self

    def _read(self) -> None:
        """Read what there is of files and contents. Changes are kept on top of it."""
        self._known_files, self._known_contents = self.snapshot.files(), self.snapshot.content_ids()
        self._files: Overlay[bytes, FileRow] = Overlay(self._known_files)
        self._content_ids: Overlay[str, int] = Overlay(self._known_contents)

    def _begin(self, state: Manifest) -> None:
        """Nothing is pending on top of `state`."""
        self._committed = state
        self._next = state
        self._rows = WriteBuffer(self._tables, state.model.dim)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release the lock."""
        self._held.close()

    def content_id(self, digest: str) -> int | None:
        """The id of a content that is committed or was put since, None if there is none."""
        return self._content_ids.get(digest)

    def put_content(self, content: ContentRow, segments: Sequence[NewSegment]) -> int:
        """Add a content with all its segments, and return its id.

        If its digest is known already, nothing is added. It stays only if a file refers to it in the end.

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
        """Add segments to a content: those of instructions with which it was not embedded before.

        Raises:
            ValueError: a vector has another size than the model's, or is not finite.
            IndexStateError: the disk is full or read-only.
        """
        for segment in segments:
            if segment.vector.shape != (self._next.model.dim,) or not np.isfinite(segment.vector).all():
                raise ValueError(f"not a finite vector of {self._next.model.dim}: {segment}")
        segment_id = self._next.next_segment_id
        self._next = replace(self._next, next_segment_id=segment_id + len(segments))
        self._rows.add_segments(segment_id, content_id, segments)
        if self._rows.is_full:
            with self._changing():
                self._rows.spill()

    def put_file(self, row: FileRow) -> None:
        """Add a file, or replace what is known of that path."""
        if self._files.get(row.path) != row:
            self._files.put(row.path, row)

    def remove_files(self, paths: Iterable[bytes]) -> None:
        """Forget files. Unknown paths are no error."""
        for path in paths:
            if self._files.get(path) is not None:
                self._files.put(path, None)

    def set_roots(self, roots: Iterable[str]) -> None:
        """Replace the folders and files that the index was made from."""
        self._next = replace(self._next, roots=tuple(roots))

    def add_instructions(self, instructions: Iterable[str]) -> None:
        """Let the index hold segments that are embedded with these instructions too."""
        settings = self._next.settings
        known = tuple(dict.fromkeys((*settings.instructions, *instructions)))
        self._next = replace(self._next, settings=replace(settings, instructions=known))

    def set_score_stats(self, score_stats: Iterable[ScoreStats]) -> None:
        """Replace what the scores of each partition are measured by."""
        self._next = replace(self._next, score_stats=tuple(score_stats))

    def set_metadata(self, columns: Iterable[Column], rows: Iterable[MetadataRow]) -> None:
        """Replace the user's own columns, and all that they say."""
        self._next = replace(self._next, columns=tuple(columns))
        self._rows.set_metadata(rows)

    def add_shard(self, key: PartitionKey, name: str, first_id: int, stop_id: int, count: int) -> None:
        """Take a finished folder under `shard_parent` into the next version.

        It covers every segment of the space with first_id <= id < stop_id; shards that cover any of these ids
        before are replaced. Its digest is taken here, and its files are brought to the disk.

        Raises:
            IndexStateError: the folder cannot be read.
        """
        digest = finish(self._directory, key, name)
        kept = [s for s in self._next.shards if s.key != key or s.stop_id <= first_id or stop_id <= s.first_id]
        added = ShardRef(key, name, first_id, stop_id, count, digest)
        self._next = replace(self._next, shards=(*kept, added))

    def drop_shards(self, key: PartitionKey, keep: Collection[str] = ()) -> None:
        """Leave shards of a space out of the next version, all but those of the names in `keep`.

        Their folders stay for readers of older versions.
        """
        shards = tuple(shard for shard in self._next.shards if shard.key != key or shard.name in keep)
        self._next = replace(self._next, shards=shards)

    def set_codebook(self, key: PartitionKey, name: str | None, stop_id: int = 0) -> None:
        """Take a finished folder under `shard_parent` into the next version, in place of a codebook and its shards.

        Args:
            key: whose.
            name: of the folder; None for no codebook.
            stop_id: it was trained on segments with ids below.

        Raises:
            IndexStateError: the folder cannot be read.
        """
        self.drop_shards(key)
        self.set_tunings(key, ())
        others = tuple(codebook for codebook in self._next.codebooks if codebook.key != key)
        added = () if name is None else (CodebookRef(key, name, stop_id, finish(self._directory, key, name)),)
        self._next = replace(self._next, codebooks=(*others, *added))

    def set_tunings(self, key: PartitionKey, tunings: Iterable[Tuning]) -> None:
        """Replace what was measured of a space."""
        others = (tuning for tuning in self._next.tunings if tuning.key != key)
        self._next = replace(self._next, tunings=(*others, *tunings))

    def shard_parent(self, key: PartitionKey) -> Path:
        """The folder in which shards of a space are built. Made if missing."""
        return make_parent(self._directory, key)

    def commit(self, *, drop_dead: bool = True) -> Snapshot:
        """Publish everything since the last commit at once, durably, and return the new state.

        Without any change, the current state is returned and nothing is written.

        Args:
            drop_dead: drop contents that no file refers to, with their segments. Otherwise they stay, unseen by
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
        self._files.settle()
        self._content_ids.settle()
        if len(self._files.committed) + len(self._content_ids.committed) > _CHANGES_KEPT:
            self._read()
        return snapshot

    def compact(self) -> Snapshot:
        """Rewrite the tables in few pieces and without what was deleted, and commit. Ids stay what they are.

        Raises:
            IndexCorruptError: a file of the tables is damaged, which rewriting it would hide.
            IndexStateError: the disk is full or read-only.
        """
        self.commit()
        return self._compact(self._compared())

    def _compared(self) -> checksums.Listing:
        return checksums.compared(self._directory, self._committed.table_digests)

    def _compact(self, listing: checksums.Listing) -> Snapshot:
        if not listing.versions:
            self._on_disk = set()  # everything is listed as if it were new
        with self._changing():
            if self._tables.compact() or len(listing.versions) != 1:
                self._publish(listing.files)
        return self.snapshot

    def prune(self, keep_versions_for_s: float) -> None:
        """Remove versions replaced at least `keep_versions_for_s` ago, and all that no version uses. Compact before.

        Readers that opened such a version can read it no more.

        Raises:
            IndexStateError: the disk is read-only, or what is kept cannot be read.
        """
        self.commit()
        self._prune(keep_versions_for_s)

    def _prune(self, keep_versions_for_s: float) -> None:
        with self._changing():
            # Lance compacts before it prunes, and is sure to keep its latest version only.
            if self._tables.compact():
                self._publish()
            prune(self._directory, self._tables, self._committed, keep_versions_for_s)

    def tidy(self) -> Snapshot:
        """Compact and prune, if commits have left many pieces: each commit and each opening has to go through all.

        To be called with nothing pending. Versions that were replaced less than an hour ago stay. Where the disk has no
        room for both the old pieces and the new, or the digests to compare with are lost, nothing happens: `compact`
        says what is wrong.

        Raises:
            IndexCorruptError: see `compact`.
            IndexStateError: the disk is full or read-only.
        """
        rows = self._tables.count(tables.SEGMENTS)
        has_many = self._tables.pieces() > min(max(_FEW_PIECES, math.isqrt(rows)), _MANY_PIECES)
        vectors_bytes = 2 * self._committed.model.dim * min(rows, _MOST_REWRITTEN)
        if has_many and shutil.disk_usage(self._directory).free > 2 * vectors_bytes:
            listing = self._compared()
            if listing.versions:
                self._compact(listing)
                self._prune(_TIDY_GRACE_S)
        return self.snapshot

    def _publish(self, known: Mapping[str, str] | None = None) -> Snapshot:
        """Commit what is in the tables. With `known` digests, a new chain of lists begins."""
        before, self._on_disk = self._on_disk, durable.sync_new(self._directory / tables.FOLDER, self._on_disk)
        version, listed = self._committed.version + 1, self._committed.table_digests
        made = self._on_disk - before
        if made or known is not None:
            listed = checksums.add(self._directory, version, made, listed if known is None else None, known)
        state = replace(self._next, version=version, created=manifest.now(), table_digests=listed)
        state = replace(state, table_versions=self._tables.versions())
        manifest.publish(self._directory, state)
        self._begin(state)
        self.snapshot = Snapshot(self._directory, state)
        return self.snapshot

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """After a failure half-way the tables hold a part of the changes: only entering anew puts them back."""
        if not self._usable:
            raise IndexStateError(f"an earlier write to {self._directory} failed", "Open the index again and retry.")
        self._usable = False
        with durable.disk_errors(self._directory):
            yield
        self._usable = True
