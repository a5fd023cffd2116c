"""The read side: one committed version of an index, which later writes do not change."""

from __future__ import annotations

import os
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from wave_search.errors import IndexCorruptError, IndexStateError
from wave_search.store import checksums, embedding_cache, files, manifest, schema, table_checks
from wave_search.store.columns import ContentColumns, FilePaths, SegmentColumns, or_none
from wave_search.store.file_columns import FileColumns
from wave_search.store.file_table import ContentIds, FileTable, Metadata
from wave_search.store.files import DISTRUST
from wave_search.store.local_files import LocalFiles
from wave_search.store.rows import Counts, Partition, SegmentRow
from wave_search.store.schema import CONTENTS, FILES, METADATA, SEGMENTS
from wave_search.store.shards import SHARDS_FOLDER, shard_folder
from wave_search.store.sql_filter import SQL_COLUMNS, SqlFilter
from wave_search.store.table_errors import check_pin
from wave_search.store.tables import Tables, one_of
from wave_search.types import FileKind, Modality, PartitionKey

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from wave_search.store.files import FileInfo, FileStore
    from wave_search.store.manifest import Manifest
    from wave_search.store.rows import CodebookRef, ContentRow, FileRow, ScoreStats, ShardRef, Tuning

_FEW_IDS = 2_000
_BATCH_ROWS = 4_096


def exists(directory: Path) -> bool:
    """Return whether there is a committed index in a folder.

    Raises:
        IndexStateError: the folder cannot be read now.
    """
    return bool(manifest.versions(LocalFiles(directory)))


def newest_file(directory: Path) -> FileInfo | None:
    """Return the file of the newest committed version, None if there is none. It is not read.

    An index that has been deleted and made again may have the same version, but not the same file.

    Raises:
        IndexStateError: the folder cannot be read now.
    """
    return manifest.newest_file(LocalFiles(directory))


def open_snapshot(directory: Path) -> Snapshot:
    """Open the newest committed version for reading. No vector is read.

    Raises:
        IndexNotFoundError: there is no index, or its creation was never finished.
        IndexMismatchError: it has another format, or unknown features.
        IndexCorruptError: the manifest or a table is damaged.
        IndexStateError: one of them cannot be read now.
    """
    store = LocalFiles(directory)
    while True:
        state = manifest.newest(store)
        try:
            return Snapshot(store, state)
        except IndexStateError:
            if manifest.newest(store).version == state.version:
                raise  # otherwise it has just been replaced and removed


class Snapshot:
    """An immutable view of one manifest version. Safe to share between threads.

    Args:
        store: the files of the index.
        state: the manifest of this version.
        tables: at this version; None to open them.

    Attributes:
        store: the files of the index.
        manifest: the content of this version.
    """

    def __init__(self, store: FileStore, state: Manifest, tables: Tables | None = None) -> None:
        self.store = store
        self.manifest = state
        pin = manifest.name_of(state.version)
        self._tables = tables or Tables.open(store, state.model.dim, state.table_versions, pin)

    @property
    def dir(self) -> Path:
        """The location of the index."""
        return self.store.local_path("")

    def prepare(self, other: Snapshot) -> None:
        """Read the tables that have been read of another version, and are kept. Raises like `files`."""
        for name in tuple(vars(other)):
            if isinstance(vars(type(self)).get(name), cached_property):
                getattr(self, name)

    def check_kept(self) -> None:
        """Check that this version has not been removed.

        Raises:
            IndexStateError: it has been removed, some time after it was replaced.
        """
        check_pin(self.store, manifest.name_of(self.manifest.version))

    def files(self) -> FileTable:
        """Return all files by absolute path. Read once and kept."""
        return self._files

    @cached_property
    def _files(self) -> FileTable:
        return FileTable(self._tables.read(FILES, schema.FILE_COLUMNS))

    def contents(self, content_ids: Sequence[int] | NDArray[np.int64] | None = None) -> Mapping[int, ContentRow]:
        """Return contents by id: all, or those of the given ids that exist."""
        if content_ids is not None and len(content_ids) == 0:
            return {}
        where = None if content_ids is None else one_of("content_id", _plain(content_ids))
        return schema.content_rows(self._tables.read(CONTENTS, schema.CONTENT_COLUMNS, where))

    def content_ids(self) -> ContentIds:
        """Return content ids by digest. Read once and kept."""
        return self._content_ids

    @cached_property
    def _content_ids(self) -> ContentIds:
        return ContentIds(self._tables.read(CONTENTS, ("digest", "content_id")))

    def lacking(self, instructions: Iterable[str]) -> Mapping[int, tuple[str, ...]]:
        """Return contents whose media lack segments for some of the instructions, each with those instructions.

        Contents that no file refers to any more are included.
        """
        media = [modality for modality in self.manifest.settings.modalities if modality is not Modality.TEXT]
        everything = self._embedded(PartitionKey(modality) for modality in media)
        lacking: dict[int, tuple[str, ...]] = {}
        for instruction in instructions:
            named = self._embedded(PartitionKey(modality, instruction) for modality in media)
            for content_id in np.setdiff1d(everything, named).tolist():
                lacking[content_id] = (*lacking.get(content_id, ()), instruction)
        return lacking

    def _embedded(self, keys: Iterable[PartitionKey]) -> NDArray[np.int64]:
        tables = [self._tables.read(SEGMENTS, ("content_id",), _of(key)) for key in keys]
        return np.unique(np.concatenate([np.empty(0, np.int64), *(schema.ids(t, "content_id") for t in tables)]))

    def partition(self, key: PartitionKey) -> Partition:
        """Return the searchable segments of a partition: those whose content a file refers to."""
        segments = self._segments
        # Between the commits of a run, and after a crash there, contents may remain that no file refers to.
        live = segments.of(key) & np.isin(segments.content_ids, self._paths.content_ids)
        return Partition(segments.ids[live], segments.content_ids[live])

    @cached_property
    def _segments(self) -> SegmentColumns:
        return SegmentColumns.read(self._tables, self.manifest.settings.keys)

    @cached_property
    def _paths(self) -> FilePaths:
        return FilePaths.read(self._tables)

    @cached_property
    def _content_columns(self) -> ContentColumns:
        return ContentColumns.read(self._tables)

    def vectors(self, key: PartitionKey, ids: NDArray[np.int64]) -> NDArray[np.float16]:
        """Return (n, dim) float16 vectors in the order of `ids`, from none to the whole partition.

        Raises:
            KeyError: an id is not in the partition.
        """
        found = np.empty((len(ids), self.manifest.model.dim), np.float16)
        if not len(ids):
            return found
        order = np.argsort(ids, kind="stable")
        wanted = ids[order]
        missing = np.ones(len(ids), np.bool_)
        for batch_ids, batch in self._batches(key, _range_or_few(wanted)):
            low, high = np.searchsorted(wanted, (batch_ids[0], batch_ids[-1] + 1))
            at = np.searchsorted(batch_ids, wanted[low:high])
            hit = batch_ids[at] == wanted[low:high]
            found[order[low:high][hit]] = batch[at[hit]]
            missing[low:high] &= ~hit
        if missing.any():
            raise KeyError(int(wanted[missing][0]))
        return found

    def vector_batches(
        self, key: PartitionKey, first_id: int, stop_id: int
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float16]]]:
        """Stream ids (b,) and vectors (b, dim) float16 with first_id <= id < stop_id, ids ascending throughout."""
        return self._batches(key, f"segment_id >= {first_id} AND segment_id < {stop_id}")

    def segment_batches(self) -> Iterator[Any]:
        """Stream all columns of all segments as Arrow record batches, in the order of the table."""
        return self._tables.batches(SEGMENTS, (*schema.SEGMENT_COLUMNS, "vector"), None, _BATCH_ROWS)

    def _batches(self, key: PartitionKey, where: str) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float16]]]:
        # Segments are added in the order of their ids, and Lance streams in the order of adding.
        where = f"{_of(key)} AND {where}"
        for batch in self._tables.batches(SEGMENTS, ("segment_id", "vector"), where, _BATCH_ROWS):
            if batch.num_rows:
                yield schema.ids(batch, "segment_id"), schema.vector_matrix(batch)

    def segment_rows(self, ids: Sequence[int] | NDArray[np.int64]) -> list[SegmentRow]:
        """Return rows in the order of `ids`.

        Raises:
            KeyError: an id is not in the index.
        """
        segments = self._segments
        positions = segments.positions(np.asarray(ids, np.int64))
        texts = self._texts(positions[segments.is_text(positions)])
        rows = zip(
            positions.tolist(),
            segments.ids[positions].tolist(),
            segments.content_ids[positions].tolist(),
            (segments.keys[code] for code in segments.codes[positions]),
            or_none(segments.start_s[positions]),
            or_none(segments.stop_s[positions]),
            strict=True,
        )
        return [
            SegmentRow(
                segment_id, content_id, key.modality, start_s, stop_s, texts.get(position), instruction=key.instruction
            )
            for position, segment_id, content_id, key, start_s, stop_s in rows
        ]

    def segment_ids(self, first_id: int) -> NDArray[np.int64]:
        """Return the ids (n,) of segments from `first_id` on, ascending."""
        return self._segments.ids[self._segments.ids.searchsorted(first_id) :]

    def spans(self, ids: NDArray[np.int64]) -> tuple[list[int], list[float | None], list[float | None]]:
        """Return content ids of segments, and their starts and ends in seconds, None for texts and images.

        Raises:
            KeyError: an id is not in the index.
        """
        segments = self._segments
        positions = segments.positions(ids)
        starts_s, stops_s = segments.start_s[positions], segments.stop_s[positions]
        return segments.content_ids[positions].tolist(), or_none(starts_s), or_none(stops_s)

    def _texts(self, positions: NDArray[np.intp]) -> dict[int, str | None]:
        wanted = sorted({*positions.tolist()})  # np.unique would import numpy.ma
        if not wanted:
            return {}
        texts = self._tables.take(SEGMENTS, ("text",), wanted).column("text").to_pylist()
        return dict(zip(wanted, texts, strict=True))

    def durations_and_kinds(
        self, content_ids: Sequence[int] | NDArray[np.int64]
    ) -> list[tuple[float | None, FileKind]]:
        """Return the duration of each content in seconds, None for texts and images, and its kind."""
        return self._content_columns.of(np.asarray(content_ids, np.int64))

    def file_numbers(self, content_ids: Sequence[int] | NDArray[np.int64]) -> list[range]:
        """Return the files that have each content, as numbers for `paths_at` that ascend with the paths."""
        return self._paths.of(content_ids)

    def paths_at(self, file_numbers: Sequence[int]) -> list[bytes]:
        """Return the paths of files by their numbers."""
        return self._paths.at(file_numbers)

    def segments_of(self, content_id: int) -> list[SegmentRow]:
        """Return the segments of all modalities of a content, ordered by id."""
        return self.segment_rows(np.sort(self._segments.ids[self._segments.content_ids == content_id]))

    def files_of(self, content_ids: Sequence[int] | NDArray[np.int64]) -> Mapping[int, tuple[FileRow, ...]]:
        """Return the files that have each content, ordered by path."""
        found: dict[int, list[FileRow]] = {content_id: [] for content_id in _plain(content_ids)}
        if found:
            where = one_of("content_id", list(found))
            for row in schema.file_rows(self._tables.read(FILES, schema.FILE_COLUMNS, where)):
                if row.content_id is not None:
                    found[row.content_id].append(row)
        return {content_id: tuple(sorted(rows, key=lambda row: row.path)) for content_id, rows in found.items()}

    def content_at(self, path: Path) -> ContentRow | None:
        """Return the content of a file whose size and time of modification are as they were when it was indexed.

        Raises:
            OSError: there is no such file, or it cannot be looked at.
        """
        status = path.stat()
        where = f"{one_of('path_bytes', [os.fsencode(path)])} AND size_bytes = {status.st_size}"
        rows = self._tables.read(FILES, ("content_id",), f"{where} AND mtime_ns = {status.st_mtime_ns}")
        content_id = next(iter(rows.column("content_id").to_pylist()), None)
        return None if content_id is None else self.contents([content_id]).get(content_id)

    def metadata(self) -> Metadata:
        """Return the user-defined columns with their values. Read once and kept."""
        return self._metadata

    @cached_property
    def _metadata(self) -> Metadata:
        rows = self._tables.read(METADATA, schema.METADATA_COLUMNS)
        try:
            return Metadata(self.manifest.columns, schema.metadata_rows(rows))
        except (ValueError, RecursionError) as error:
            raise IndexCorruptError(f"the metadata of {self.store.url()} cannot be read: {error}", DISTRUST) from error

    def count_metadata(self) -> int:
        """Return the number of rows of the metadata table."""
        return self._tables.count(METADATA)

    def sql_filter(self) -> SqlFilter:
        """Return files and segments as a table for SQL conditions. Read once and kept."""
        return self._sql_filter

    def close(self) -> None:
        """End the process that evaluates SQL conditions, if there is one."""
        if "_sql_filter" in vars(self):
            self._sql_filter.close()

    @cached_property
    def _sql_filter(self) -> SqlFilter:
        return SqlFilter(self.files(), self.file_columns(), self._tables.read(SEGMENTS, SQL_COLUMNS))

    def file_columns(self, positions: NDArray[np.int64] | None = None) -> FileColumns:
        """Return what is known of the files at some positions in `files`, or of all. Of all, it is read once and kept.

        Raises:
            IndexCorruptError: the content of a file is missing.
        """
        if positions is None:
            return self._file_columns
        files = self.files().batch(positions)
        ids = [number for number in files.column("content_id").unique().to_pylist() if number is not None]
        where = one_of("content_id", ids) if ids else "false"
        return FileColumns(files, self._tables.read(CONTENTS, schema.CONTENT_COLUMNS, where), self.metadata())

    @cached_property
    def _file_columns(self) -> FileColumns:
        return FileColumns(self.files().batch(), self._tables.read(CONTENTS, schema.CONTENT_COLUMNS), self.metadata())

    def counts(self) -> Counts:
        """Return the numbers of files, contents and segments."""
        segments = self._segments.counts()
        files = {status: self._tables.count(FILES, f"status = '{status}'") for status in ("indexed", "skipped")}
        return Counts(segments, files, self._tables.count(CONTENTS))

    def check_all_versions(self) -> None:
        """Check that all versions of the tables can be read. Raises IndexStateError, see `Tables`."""
        self._tables.check_all_versions()

    def fragmented(self) -> tuple[str, ...]:
        """Return the names of tables with several small fragments, which compaction merges. Raises IndexStateError."""
        return tuple(name for name, fragments in self._tables.fragments().items() if fragments > 1)

    def sizes_bytes(self) -> Mapping[str, int]:
        """Return bytes on disk, old versions included, by part: "lance", "shards", "manifest", "checksums", "cache"."""
        parts = (table_checks.FOLDER, SHARDS_FOLDER, manifest.FOLDER, checksums.FOLDER)
        return {
            **{part: files.size_bytes(self.store, part) for part in parts},
            "cache": embedding_cache.size_bytes(self.store.local_path(embedding_cache.NAME)),
        }

    def score_stats(self, key: PartitionKey) -> dict[Modality, ScoreStats]:
        """Return the score statistics of a partition by query modality, without those of zero standard deviation."""
        return {stats.query: stats for stats in self.manifest.score_stats if stats.key == key and stats.std > 0}

    def shards(self, key: PartitionKey) -> tuple[ShardRef, ...]:
        """Return the shards of a partition, ordered by the ids that they cover."""
        shards = (shard for shard in self.manifest.shards if shard.key == key)
        return tuple(sorted(shards, key=lambda shard: shard.first_id))

    def codebook(self, key: PartitionKey) -> CodebookRef | None:
        """Return the codebook of a partition's shards; None if there is none."""
        return next((codebook for codebook in self.manifest.codebooks if codebook.key == key), None)

    def tunings(self, key: PartitionKey) -> tuple[Tuning, ...]:
        """Return the measured search parameters of a partition, one for each query modality."""
        return tuple(tuning for tuning in self.manifest.tunings if tuning.key == key)

    def shard_dir(self, shard: ShardRef | CodebookRef) -> Path:
        """Return the folder of a shard or a codebook."""
        return self.store.local_path(f"{shard_folder(shard.key)}/{shard.name}")


def _of(key: PartitionKey) -> str:
    instruction = key.instruction.replace("'", "''")
    return f"modality = '{key.modality.value}' AND instruction = '{instruction}'"


def _plain(ids: Sequence[int] | NDArray[np.int64]) -> list[int]:
    return [int(value) for value in ids]


def _range_or_few(ascending: NDArray[np.int64]) -> str:
    """Return a filter that matches all ids and, if there are many, others between them too."""
    if len(ascending) <= _FEW_IDS:
        return one_of("segment_id", _plain(ascending))
    return f"segment_id >= {ascending[0]} AND segment_id <= {ascending[-1]}"
