"""Writing: one process at a time, each commit all or nothing."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Self

import numpy as np

from wave_search.errors import IndexError_
from wave_search.store import arrow, digests, durable, lock, manifest, tables
from wave_search.store.changes import Changes, dead_contents
from wave_search.store.prune import prune
from wave_search.store.rows import CodebookRef, ShardRef
from wave_search.store.snapshot import SHARDS_FOLDER, Snapshot, exists, open_snapshot, shard_parent
from wave_search.store.tables import CONTENTS, FILES, METADATA, SEGMENTS, Tables

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from wave_search.store.manifest import Manifest
    from wave_search.store.rows import Column, ContentRow, FileRow, MetadataRow, NewSegment, Spread, Tuning
    from wave_search.types import Space

_SPILL_SEGMENTS = 2_048
"""Segments kept in memory at most: about 15 MB of vectors of 3584 dimensions."""
_CHANGES_KEPT = 100_000
"""Files and contents kept as objects at most, of about 0.5 kB, before they are read back as columns."""


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
            IndexError_: see `open_snapshot`; or the disk cannot be written.
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
            self._schemas = tables.schemas(state.model.dim)
            self._read()
            self._usable = True
            self._begin(state)
            self._held = held.pop_all()
        return self

    def _read(self) -> None:
        """Read what there is of files and contents. Changes are kept on top of it."""
        self._known_files, self._known_contents = self.snapshot.files(), self.snapshot.content_ids()
        self._files: Changes[bytes, FileRow] = Changes(self._known_files)
        self._content_ids: Changes[str, int] = Changes(self._known_contents)

    def _begin(self, state: Manifest) -> None:
        """Nothing is pending on top of `state`."""
        self._committed = state
        self._next = state
        self._new_contents: dict[int, ContentRow] = {}
        self._new_segments: list[tuple[int, int, NewSegment]] = []
        self._new_metadata: tuple[MetadataRow, ...] | None = None

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
            IndexError_: the disk is full or read-only.
        """
        known = self._content_ids.get(content.digest)
        if known is not None:
            return known
        content_id = self._next.next_content_id
        self.put_segments(content_id, segments)
        self._next = replace(self._next, next_content_id=content_id + 1)
        self._content_ids.put(content.digest, content_id)
        self._new_contents[content_id] = content
        return content_id

    def put_segments(self, content_id: int, segments: Sequence[NewSegment]) -> None:
        """Add segments to a content: those of instructions with which it was not embedded before.

        Raises:
            ValueError: a vector has another size than the model's, or is not finite.
            IndexError_: the disk is full or read-only.
        """
        for segment in segments:
            if segment.vector.shape != (self._next.model.dim,) or not np.isfinite(segment.vector).all():
                raise ValueError(f"not a finite vector of {self._next.model.dim}: {segment}")
        segment_id = self._next.next_segment_id
        self._next = replace(self._next, next_segment_id=segment_id + len(segments))
        self._new_segments += [(segment_id + i, content_id, segment) for i, segment in enumerate(segments)]
        if len(self._new_segments) >= _SPILL_SEGMENTS:
            with self._changing():
                self._spill()

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

    def set_spreads(self, spreads: Iterable[Spread]) -> None:
        """Replace what the scores of each partition are measured by."""
        self._next = replace(self._next, spreads=tuple(spreads))

    def set_metadata(self, columns: Iterable[Column], rows: Iterable[MetadataRow]) -> None:
        """Replace the user's own columns, and all that they say."""
        self._next = replace(self._next, columns=tuple(columns))
        self._new_metadata = tuple(rows)

    def add_shard(self, space: Space, name: str, first_id: int, stop_id: int, count: int) -> None:
        """Take a finished folder under `shard_parent` into the next version.

        It covers every segment of the space with first_id <= id < stop_id; shards that cover any of these ids
        before are replaced. Its digest is taken here, and its files are brought to the disk.

        Raises:
            IndexError_: the folder cannot be read.
        """
        digest = self._finish(space, name)
        kept = [s for s in self._next.shards if s.space != space or s.stop_id <= first_id or stop_id <= s.first_id]
        added = ShardRef(space, name, first_id, stop_id, count, digest)
        self._next = replace(self._next, shards=(*kept, added))

    def drop_shards(self, space: Space, keep: Collection[str] = ()) -> None:
        """Leave shards of a space out of the next version, all but those of the names in `keep`.

        Their folders stay for readers of older versions.
        """
        shards = tuple(shard for shard in self._next.shards if shard.space != space or shard.name in keep)
        self._next = replace(self._next, shards=shards)

    def set_codebook(self, space: Space, name: str | None, stop_id: int = 0) -> None:
        """Take a finished folder under `shard_parent` into the next version, in place of a codebook and its shards.

        Args:
            space: whose.
            name: of the folder; None for no codebook.
            stop_id: it was trained on segments with ids below.

        Raises:
            IndexError_: the folder cannot be read.
        """
        self.drop_shards(space)
        self.set_tunings(space, ())
        others = tuple(codebook for codebook in self._next.codebooks if codebook.space != space)
        added = () if name is None else (CodebookRef(space, name, stop_id, self._finish(space, name)),)
        self._next = replace(self._next, codebooks=(*others, *added))

    def set_tunings(self, space: Space, tunings: Iterable[Tuning]) -> None:
        """Replace what was measured of a space."""
        others = (tuning for tuning in self._next.tunings if tuning.space != space)
        self._next = replace(self._next, tunings=(*others, *tunings))

    def _finish(self, space: Space, name: str) -> str:
        """Bring a folder of a space to the disk; returns its digest."""
        folder = shard_parent(self._directory, space) / name
        with durable.disk_errors(folder):
            durable.sync_tree(folder)
            return durable.folder_digest(folder)

    def shard_parent(self, space: Space) -> Path:
        """The folder in which shards of a space are built. Made if missing."""
        folder = shard_parent(self._directory, space)
        with durable.disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            durable.sync(self._directory / SHARDS_FOLDER)
            durable.sync(self._directory)
        return folder

    def commit(self, *, drop_dead: bool = True) -> Snapshot:
        """Publish everything since the last commit at once, durably, and return the new state.

        Without any change, the current state is returned and nothing is written.

        Args:
            drop_dead: drop contents that no file refers to, with their segments. Otherwise they stay, unseen by
                searches, until a later commit drops them.

        Raises:
            IndexError_: the disk is full or read-only. The last committed state stays; leave the writer and retry.
        """
        known = self._known_files, self._known_contents
        dead = dead_contents(self._files, self._content_ids, *known) if drop_dead else {}
        pending = self._files.pending or dead or self._new_metadata is not None
        if not pending and self._next == self._committed:
            return self.snapshot
        with self._changing():
            self._spill()
            self._write_contents(dead)
            self._write_files()
            self._write_metadata()
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
            IndexError_: the disk is full or read-only.
        """
        self.commit()
        listing = digests.compared(self._directory, self._committed.table_digests)
        if not listing.versions:
            self._on_disk = set()  # everything is listed as if it were new
        with self._changing():
            if self._tables.compact() or len(listing.versions) != 1:
                self._publish(listing.files)
        return self.snapshot

    def prune(self, grace_s: float) -> None:
        """Remove versions that were replaced at least `grace_s` ago, and all that no version uses. Compact before.

        Readers that opened such a version can read it no more.

        Raises:
            IndexError_: the disk is read-only, or what is kept cannot be read.
        """
        self.commit()
        with self._changing():
            # Lance compacts before it prunes, and is sure to keep its latest version only.
            if self._tables.compact():
                self._publish()
            prune(self._directory, self._tables, self._committed, grace_s)

    def _publish(self, known: Mapping[str, str] | None = None) -> Snapshot:
        """Commit what is in the tables. With `known` digests, a new chain of lists begins."""
        before, self._on_disk = self._on_disk, durable.sync_new(self._directory / tables.FOLDER, self._on_disk)
        version, listed = self._committed.version + 1, self._committed.table_digests
        made = self._on_disk - before
        if made or known is not None:
            listed = digests.add(self._directory, version, made, listed if known is None else None, known)
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
            raise IndexError_(f"an earlier write to {self._directory} failed", "Open the index again and retry.")
        self._usable = False
        with durable.disk_errors(self._directory):
            yield
        self._usable = True

    def _spill(self) -> None:
        if self._new_segments:
            vectors = np.stack([segment.vector for _, _, segment in self._new_segments]).astype(np.float16)
            self._tables.append(SEGMENTS, arrow.segment_table(self._new_segments, vectors, self._schemas[SEGMENTS]))
            self._new_segments = []

    def _write_contents(self, dead: dict[str, int]) -> None:
        gone = set(dead.values())
        if dead:
            self._tables.delete(SEGMENTS, "content_id", sorted(gone))
            self._tables.delete(CONTENTS, "content_id", sorted(gone))
            for digest in dead:
                self._content_ids.put(digest, None)
        added = [(content_id, row) for content_id, row in self._new_contents.items() if content_id not in gone]
        if added:
            self._tables.append(CONTENTS, arrow.content_table(added, self._schemas[CONTENTS]))

    def _write_files(self) -> None:
        changed = sorted(self._files.pending.items())
        if replaced := [path for path, _ in changed if self._files.is_stored(path)]:
            self._tables.delete(FILES, "path_bytes", replaced)
        if rows := [row for _, row in changed if row is not None]:
            self._tables.append(FILES, arrow.file_table(rows, self._schemas[FILES]))

    def _write_metadata(self) -> None:
        if self._new_metadata is not None:
            self._tables.clear(METADATA)
            if self._new_metadata:
                self._tables.append(METADATA, arrow.metadata_table(self._new_metadata, self._schemas[METADATA]))
