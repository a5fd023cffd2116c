"""The operations of an open index."""

from __future__ import annotations

import os
from dataclasses import replace
from threading import Lock
from types import NoneType
from typing import TYPE_CHECKING, Self, Unpack, overload

from wave_search import indexer, store
from wave_search.ann import check_faiss
from wave_search.arguments import (
    check_flags,
    check_functions,
    check_type,
    check_whole,
    ids_of,
    is_number,
    items_of,
    names_of,
    path_of,
    paths_of,
)
from wave_search.errors import UsageError, shown
from wave_search.files import composed_text
from wave_search.query import (
    MIN_LABEL_Z,
    Answer,
    Encoder,
    FileDetails,
    FileEntry,
    Hits,
    IndexInfo,
    SearchArguments,
    Searcher,
    SearchRequest,
    SegmentDetails,
    Segments,
    SegmentScore,
    SegmentSet,
    Tagging,
    browse,
    check_count,
    check_instructions,
    check_request,
    choose_answer,
    count_files,
    describe,
    file_at,
    find_duplicates,
    list_files,
    media_ref,
    own_columns,
    own_values,
    parse_modality,
    paths_of_segments,
    read_labels,
    read_segments,
    read_target,
    renamed,
    requests_of,
    segment_and_file,
    segment_entries,
    segment_of,
    summary,
    to_one_request,
    to_request,
    to_saved,
)
from wave_search.reports import MetadataChange
from wave_search.store import SavedTerm, saved_searches

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from wave_search.indexer import MetadataEdit, Options
    from wave_search.models import ModelSpec
    from wave_search.models.session import ModelSession
    from wave_search.query import NewMatch
    from wave_search.query.request import Targets
    from wave_search.reports import (
        EditReport,
        IndexReport,
        MetadataReport,
        OptimizePlan,
        OptimizeReport,
        ProgressCallback,
        RelocateReport,
        Skipped,
        SlowFile,
        SlowRun,
        TagReport,
    )
    from wave_search.store import SavedSearch, Snapshot
    from wave_search.store.files import FileInfo
    from wave_search.types import ColumnInfo, DuplicateGroup, FileKind, ListedFile, Modality, ModalityName

    StrPath = str | os.PathLike[str]

MIN_SHARD_ROWS = 5000
"""Minimum number of unindexed segments that triggers an IVF-PQ shard; below it they are searched exactly."""

KEEP_VERSIONS_FOR_S = store.KEEP_VERSIONS_FOR_S
"""Seconds for which `Index.optimize` keeps a replaced version readable."""


class Index:
    """An open index, as returned by `open` and `create`; a context manager.

    It reads the version that it opened, whatever another process writes, until `add`, `remove` or `refresh`. One hour
    after that version was replaced, `add` or `optimize` in another process may remove it; then call `refresh`.

    All methods except `close` may be called from several threads at once. Each search reads one version from beginning
    to end, even while another thread calls `add` or `refresh`. Methods that write (`add`, `remove`, `optimize`, `tag`
    and those for metadata) exclude each other, within and across processes: the later one raises `IndexLockedError`.
    """

    def __init__(
        self, snapshot: Snapshot, session: ModelSession, workers: int | None, decoder_memory_bytes: int | None
    ) -> None:
        self._session, audio_track = session, snapshot.manifest.settings.audio_track
        self._workers = check_environment(workers, decoder_memory_bytes)
        self._decoder_memory_bytes = decoder_memory_bytes
        self._encoder = Encoder(lambda: session.decoders(audio_track), session.model)
        # Replaced as a whole by `refresh`: a method reads it once, and so sees one version.
        self._searcher = Searcher(snapshot, self._encoder)
        self._refreshing = Lock()
        self._newest_file: FileInfo | None = None
        """Of the version that is open, when `refresh` last looked."""

    @property
    def path(self) -> Path:
        """The folder of the index."""
        return self._snapshot.dir

    @property
    def model(self) -> ModelSpec:
        """The model that the index is pinned to."""
        return self._snapshot.manifest.model

    @property
    def created(self) -> str:
        """When the index was created: UTC, ISO 8601."""
        return self._snapshot.manifest.settings.created

    @property
    def version(self) -> int:
        """Number of the version that is open, which increases with each commit."""
        return self._snapshot.manifest.version

    @property
    def decoder_processes(self) -> int:
        """Number of processes that there are to decode the files of queries."""
        return self._session.decoder_processes

    @property
    def _snapshot(self) -> Snapshot:
        return self._searcher.snapshot

    def add(
        self,
        paths: Iterable[StrPath],
        *,
        instructions: Iterable[str] = (),
        exclude: Iterable[str] | None = None,
        retry: bool = False,
        min_shard_rows: int = MIN_SHARD_ROWS,
        recall: float | None = None,
        max_duration_s: float | None = None,
        unfinished: Iterable[StrPath] = (),
        progress: ProgressCallback | None = None,
        warn: Callable[[SlowFile | SlowRun], None] | None = None,
        skipped: Callable[[Skipped], None] | None = None,
    ) -> IndexReport:
        """Bring the index up to date with folders and files. Only new and changed files are read and embedded.

        Files that no longer exist in the folders are removed from the index. Hidden files are skipped, as is what
        `.waveignore` files list, which are read as git reads a `.gitignore`. Files that cannot be used are listed in
        the report and not tried again until they change.

        Args:
            paths: folders and files.
            instructions: embed media with each of these, in addition to the model's own prompt; `search` with one of
                them compares the query with these vectors. They are stored in the index and apply to later calls. Files
                that were indexed without them are read again.
            exclude: globs of file names to skip, or, with a slash in them, of paths below a folder. They are remembered
                for these folders; None for those of an earlier call, empty to forget them.
            retry: retry unchanged files that could not be used before.
            min_shard_rows: minimum number of unindexed segments of a partition that triggers an IVF-PQ shard.
            recall: target recall@10 of the shards, measured on the segments of the index; None for the previous target,
                or 0.95 if there is none.
            max_duration_s: longer audio and video is skipped, until a call allows its duration. What was indexed before
                stays. It is remembered for these folders; None for that of an earlier call, `math.inf` to forget it.
            unfinished: files that are still being written, by their paths without symbolic links. What the index has of
                them stays, and a later call indexes them.
            progress: called during the run, see `wave_search.progress`.
            warn: called with each file that is expected to take more than an hour, before it is embedded; and once,
                after a minute or later, if all that are left are.
            skipped: called with each file that cannot be used, or only in part, as soon as that is known.

        Raises:
            UsageError: a path does not exist and none of its files is in the index, or an argument is not valid.
            IndexStateError: another process is writing, the disk is full, the index is damaged, or the model differs.
            ModelError: the model cannot be loaded.
            Interrupted: Ctrl-C was pressed; completed files are in the index, and the exception carries the report.
        """
        check_functions(progress=progress, warn=warn, skipped=skipped)
        options = check_add(
            instructions=instructions,
            exclude=exclude,
            retry=retry,
            min_shard_rows=min_shard_rows,
            recall=recall,
            max_duration_s=max_duration_s,
        )
        if options.instructions:
            self.model.check_takes_instructions()
        options = replace(
            options,
            workers=self._workers,
            decoder_memory_bytes=self._decoder_memory_bytes,
            unfinished=tuple(map(os.fsencode, paths_of(unfinished))),
        )
        try:
            return indexer.add(
                self.path,
                paths_of(paths),
                self._session.model,
                options,
                progress=progress,
                warn=warn,
                skipped=skipped,
            )
        finally:
            self.refresh()

    def remove(self, paths: Iterable[StrPath]) -> int:
        """Remove the files at or below paths from the index. The files themselves are not touched and need not exist.

        Returns:
            The number of files that were removed.

        Raises:
            IndexStateError: another process writes, the disk is full, or the index is damaged.
        """
        removed = indexer.remove(self.path, paths_of(paths))
        self.refresh()
        return removed

    def plan_remove(self, paths: Iterable[StrPath]) -> list[Path]:
        """Return the files that `remove` would remove, by path. Nothing is written."""
        return indexer.plan_remove(self._snapshot, paths_of(paths))

    def relocate(self, old: StrPath, new: StrPath) -> RelocateReport:
        """Rewrite the paths of a folder of media that was moved, or of a file. Needs no model.

        A file is moved if at the new place is a file of its size and time of modification. Of those with another time,
        a sample is compared by digest, and the next `add` reads the others. Own columns and choices move with them.

        Args:
            old: the place where the files were; there need not be anything any more.
            new: the place where they are.

        Raises:
            UsageError: the index has no file at `old`, or none of them is at `new`.
            IndexStateError: another process writes, the disk is full, or the index is damaged.
        """
        report = indexer.relocate(self.path, path_of(old), path_of(new))
        self.refresh()
        return report

    def optimize(
        self,
        *,
        keep_versions_for_s: float = KEEP_VERSIONS_FOR_S,
        min_shard_rows: int = MIN_SHARD_ROWS,
        recall: float | None = None,
    ) -> OptimizeReport:
        """Free space, repair and speed up the index. Needs no model; searches may run at the same time.

        Tables are compacted, shards that are missing, damaged or degraded are rebuilt, and replaced versions of the
        index are removed, as are remains of crashed runs.

        Args:
            keep_versions_for_s: seconds for which a replaced version stays readable.
            min_shard_rows: as for `add`.
            recall: as for `add`.

        Raises:
            UsageError: an argument is not valid.
            IndexStateError: another process writes, the disk is full, or a table is damaged.
        """
        _check_optimize(keep_versions_for_s, min_shard_rows)
        try:
            return indexer.optimize(
                self.path,
                keep_versions_for_s=keep_versions_for_s,
                min_shard_rows=min_shard_rows,
                recall=_recall(recall),
            )
        finally:
            self.refresh()

    def plan_optimize(
        self, *, keep_versions_for_s: float = KEEP_VERSIONS_FOR_S, min_shard_rows: int = MIN_SHARD_ROWS
    ) -> OptimizePlan:
        """Return what `optimize` would do with these arguments. Nothing is written.

        Raises:
            UsageError: an argument is not valid.
            IndexStateError: the index is damaged or cannot be read.
        """
        _check_optimize(keep_versions_for_s, min_shard_rows)
        return indexer.plan_optimize(
            self._snapshot, keep_versions_for_s=keep_versions_for_s, min_shard_rows=min_shard_rows
        )

    def refresh(self, *, prepare: bool = False) -> bool:
        """Open the newest version; return whether it differs. Running searches finish on the one they started on.

        Args:
            prepare: load what searches have used of the present version before the new one replaces it, so that no
                search waits for that. Meanwhile both versions are in memory.

        Raises:
            IndexStateError: the index is damaged, or cannot be read now. The present version stays open.
        """
        check_flags(prepare=prepare)
        with self._refreshing:  # otherwise an older version could replace a newer one
            file = store.newest_file(self.path)
            if file is not None and file == self._newest_file:
                return False
            newest = store.open_snapshot(self.path)
            self._newest_file = file
            if newest.manifest == self._snapshot.manifest:
                return False
            searcher = Searcher(newest, self._encoder)
            if prepare:
                searcher.prepare(self._searcher)
            self._searcher = searcher
            return True

    @overload
    def search(
        self,
        request: SearchRequest,
        /,
        *,
        progress: ProgressCallback | None = None,
        warn: Callable[[Skipped], None] | None = None,
    ) -> Hits: ...
    @overload
    def search(
        self,
        *,
        progress: ProgressCallback | None = None,
        warn: Callable[[Skipped], None] | None = None,
        **query: Unpack[SearchArguments],
    ) -> Hits: ...
    def search(  # type: ignore[misc] # mypy does not match the keywords of an Unpack
        self,
        request: SearchRequest | None = None,
        /,
        *,
        progress: ProgressCallback | None = None,
        warn: Callable[[Skipped], None] | None = None,
        **query: Unpack[SearchArguments],
    ) -> Hits:
        """Find the segments most similar to a query: a `SearchRequest`, or the keywords to build one from.

        The first eight keywords are the terms of the query. Each may be one item or several; `Weighted` gives one a
        weight, and `Not` makes it a term to avoid: `text=["a dog", ws.Weighted("rain", 0.5), ws.Not("music")]`. One
        audio and one video of the same weight are embedded as one clip. Of several terms, segments that match all of
        them come before those that match one of them closely: see docs/design/queries.md.

        Media may also be in memory, of any size and rate. An image is one of Pillow, or an array (height, width) or
        (height, width, channels) of uint8, uint16, or of floats in [0, 1]. A sound is `(samples, rate)` or `Waveform`,
        with samples (n,) or (n, channels) of floats in [-1, 1], or of integers of 8 (unsigned), 16 or 32 bits. A film
        is `Frames`; sound and film together are a `Clip`. Each may be the bytes of a file, or a file that is open for
        reading bytes.

        Args:
            request: the complete query; it excludes all keywords except `progress` and `warn`.
            progress: called while segments are embedded again.
            warn: called with each file that could not be embedded again, and with each that is gone and would
                otherwise be among the results. Their hits come last.
            **query:
                text: texts.
                audio: files whose audio to search for, with an optional range in seconds, here and below:
                    "clip.mp4@12.5-20".
                video: files whose frames to search for, without their audio.
                image: image files.
                av: files whose audio and frames to search for together.
                vector: (dim,) or (rows, dim) of the same model. `Weighted(vector, modality="text")` also states what
                    was embedded, for the z of such queries. With several rows, a segment's score is its best over
                    them, as for a file that is longer than the segments of the index. With several terms, each term
                    takes its own best row.
                like: hits of this index, or their segment_id; needs no model. For this and for `similar`, the hits
                    exclude these segments and other segments of the same moment.
                similar: files; their vectors in the index are used if it has any, and then no model is needed. A file
                    is taken as the target modality if it has it, otherwise as the first that it has of av, video,
                    audio, image and text; a reference such as `Audio(path)` sets the modality.
                target: modality of the hits: "text", "audio", "video", "av", "image"; several of these, or "any" for
                    all, merged by z.
                k: maximum number of hits. Default: 10.
                min_z: minimum z of a hit, not of its cosine.
                where: SQL condition on files and segments: "kind = 'video' AND duration_s < 60". The error for an
                    unknown column lists all columns. It may take 2 GiB of memory.
                where_timeout_s: seconds that the condition may take. Default: 30.
                among: hits of an earlier search, or their segment_id: only these segments are found.
                columns: names of columns to return in `Hit.columns`: any column that `where` accepts, and
                    "peak_start_s", "peak_stop_s" and "segments" of a moment.
                moments: whether segments of a file that are adjacent, or of several modalities, are one hit. Default:
                    True.
                per_file: maximum number of hits of one file.
                dedupe: minimum cosine between two hits at which only the better one is returned.
                copies: whether each of several files with the same content is a hit. Default: False, only one of them
                    is, the first by name that is on the disk.
                instruction: replaces the model's prompt. Media of the query are embedded with it, and compared with
                    segments that were indexed with it (see `add`), if there are any.
                rerank: number of the best segments to embed again with the instruction, from their files, and to
                    reorder by the new vectors, which are cached beside the index. Not needed for segments that were
                    indexed with the instruction.

        Returns:
            At most k hits, best first: in the order of `Hit.z`, which for several terms is a soft minimum of the z of
            each; those whose file is gone come last. With several targets, moments of several modalities that are the
            same part of a file are one hit, see `Hit.matched`. `Hit.score` is the cosine with the whole query,
            the weighted sum of its terms.

        Raises:
            UsageError: the request is not valid, or the index holds no segments of the target modality.
            MediaError: a file cannot be read.
            ModelError: the model cannot be loaded, or is not the index's.
        """
        check_functions(progress=progress, warn=warn)
        return Hits(self._searcher.search(to_one_request(request, query), progress, warn))

    def search_many(
        self,
        queries: Iterable[str | SearchRequest | SearchArguments],
        *,
        progress: ProgressCallback | None = None,
        warn: Callable[[Skipped], None] | None = None,
        **shared: Unpack[SearchArguments],
    ) -> list[Hits]:
        """Search for each of several queries, all in the same version of the index.

        Args:
            queries: texts, requests, or mappings of keywords of `search`.
            progress: called after each query; queries are counted as files.
            warn: as for `search`.
            **shared: keywords of `search` for all queries that are no requests, such as `target` and `k`.

        Returns:
            The hits of each query, as `search` returns them, in the order of the queries.

        Raises:
            UsageError: a query is not valid; all are checked before the first search.
            MediaError: a file cannot be read.
            ModelError: the model cannot be loaded, or is not the index's.
        """
        check_functions(progress=progress, warn=warn)
        return self._searcher.search_all(requests_of(queries, shared), progress, warn)

    def import_metadata(self, file: StrPath) -> MetadataReport:
        """Add user-defined columns from a CSV or JSON Lines file with a column "path".

        A path is absolute, or relative to the current directory or to an indexed folder. A row replaces the values of
        all columns of the file for this path; an empty cell removes the value. Other columns and paths keep their
        values.

        Raises:
            UsageError: the file cannot be parsed, or a column has a reserved name or another type than before.
            OSError: the file cannot be read.
            IndexStateError: another process writes, the disk is full, or the index is damaged.
        """
        report = indexer.import_metadata(self.path, path_of(file))
        self.refresh()
        return report

    def remove_metadata(self, columns: Iterable[str]) -> None:
        """Remove user-defined columns.

        Raises:
            UsageError: there is no such column.
            IndexStateError: another process writes, the disk is full, or the index is damaged.
        """
        indexer.remove_columns(self.path, names_of(columns, "columns"))
        self.refresh()

    def edit_metadata(self, edits: Iterable[MetadataEdit]) -> EditReport:
        """Change values of the user's own columns, and tags, of some files: all edits or none, in one commit.

        Raises:
            UsageError: a file is not indexed, or a value does not fit its column.
            IndexStateError: another process writes, the disk is full, or the index is damaged.
        """
        several: list[MetadataEdit] = items_of(edits, "the edits")
        for one in several:
            check_type(one, indexer.MetadataEdit, "an edit", "Use a MetadataEdit.")
        report = indexer.edit(self.path, several)
        self.refresh(prepare=True)  # searches do not wait
        return report

    def restore_metadata(self, changes: Iterable[MetadataChange]) -> EditReport:
        """Undo changes of `edit_metadata`, unless one of the values was changed again since.

        Raises:
            UsageError: a value was changed again.
            IndexStateError: another process writes, the disk is full, or the index is damaged.
        """
        undone: list[MetadataChange] = items_of(changes, "the changes")
        for one in undone:
            check_type(one, MetadataChange, "a change", "Use those of an EditReport.")
        report = indexer.restore(self.path, undone)
        self.refresh(prepare=True)  # searches do not wait
        return report

    def metadata_values(self, column: str, limit: int = 500) -> list[str | float | bool]:
        """Return values that files have in one of the user's own columns, the most frequent first.

        Args:
            column: its name. Of lists, the items are returned.
            limit: maximum number of values.

        Raises:
            UsageError: there is no such column.
        """
        return own_values(self._snapshot, column, limit)

    def metadata(self) -> tuple[ColumnInfo, ...]:
        """List the user-defined columns."""
        return own_columns(self._snapshot)

    def tag(
        self,
        labels: Iterable[str],
        *,
        target: Targets = "any",
        column: str = "tag",
        min_z: float = MIN_LABEL_Z,
        top: int = 1,
    ) -> TagReport:
        """Label all files by their content, without examples, and store the labels in columns to filter by.

        A file gets a label if one of its segments scores at least `min_z` standard deviations above the label's mean
        score on a sample of such segments; the label with the highest z is the best. New files have no label until the
        next call.

        Args:
            labels: one label each, optionally followed by alternative texts for it, all separated by tabs.
            target: modality, or several, of the segments that are compared with the labels, as for `search`.
            column: name of the column, which is replaced if it exists. A second column, with "_z" appended to the name,
                holds the z of the best label.
            min_z: minimum z of a label.
            top: maximum number of labels of a file. With 1 the column is text, otherwise a list of texts, best first.

        Raises:
            UsageError: an argument is not valid, or the index holds no segments of the target modality.
            ModelError: the model cannot be loaded, or is not the index's.
            IndexStateError: another process writes, the disk is full, or the index is damaged.
        """
        (column,) = map(composed_text, names_of(column, "column"))
        indexer.check_names([column], self._snapshot)  # before anything is embedded
        searcher, tagging = self._searcher, Tagging(read_labels(names_of(labels, "labels")), min_z, top)
        tagged = tagging.run(
            searcher.snapshot, searcher.targets(read_target(target)), self._encoder, composed_text(column)
        )
        indexer.put_columns(self.path, tagged.columns, tagged.values)
        self.refresh()
        return tagged.report

    def duplicates(self, threshold: float = 0.98) -> list[DuplicateGroup]:
        """List identical files, and nearly identical segments of different contents. Needs no model.

        Args:
            threshold: minimum cosine of two such segments.

        Raises:
            UsageError: the threshold is not above 0 and at most 1.
        """
        return find_duplicates(self._snapshot, threshold)

    def files(
        self,
        where: str | None = None,
        *,
        skipped: bool = False,
        columns: Iterable[str] = (),
        where_timeout_s: float = store.DEFAULT_TIMEOUT_S,
    ) -> Iterator[ListedFile]:
        """List the files of the index, indexed or skipped, by path. Needs no model.

        The list is of the version that is open now. It is read in batches, so that it may be of any length.

        Args:
            where: SQL condition as for `search`; a file is listed if the condition holds for one of its segments.
                `status` is "indexed", "damaged" or "skipped", `cause` the reason. A file that is skipped has only these
                and the path, size and time of modification; everything else is NULL.
            skipped: whether to list only files that are skipped, or damaged and so indexed only in part.
            columns: names of columns of files, built-in or your own, to return in `ListedFile.columns`.
            where_timeout_s: seconds that the condition may take.

        Raises:
            UsageError: an argument is not valid.
            IndexCorruptError: the index is damaged.
        """
        check_flags(skipped=skipped)
        return list_files(self._snapshot, where, where_timeout_s, columns, skipped=skipped)

    def browse(
        self,
        where: str | None = None,
        *,
        columns: Iterable[str] = (),
        offset: int = 0,
        limit: int = 100,
        where_timeout_s: float = store.DEFAULT_TIMEOUT_S,
        among: Iterable[int] | None = None,
    ) -> list[FileEntry]:
        """List indexed files by path, each with the id of a segment that stands for it. Needs no model.

        Args:
            where: as for `files`.
            columns: as for `files`.
            offset: number of files to skip.
            limit: maximum number of files.
            where_timeout_s: seconds that the condition may take.
            among: ids of segments: only files with one of them are listed, and it stands for the file.

        Raises:
            UsageError: an argument is not valid.
        """
        return browse(
            self._snapshot,
            where,
            where_timeout_s=where_timeout_s,
            columns=tuple(names_of(columns, "columns")),
            offset=offset,
            limit=limit,
            among=None if among is None else read_segments(among),
        )

    def segments(
        self,
        where: str | None = None,
        *,
        modality: Modality | ModalityName | Iterable[Modality | ModalityName] | None = None,
        where_timeout_s: float = store.DEFAULT_TIMEOUT_S,
    ) -> Segments:
        """Return segments with their vectors, of the version that is open now, to iterate over. Needs no model.

        They are read in batches, so that there may be any number of them; `Segments.batches` yields them for Arrow.

        Args:
            where: SQL condition as for `search`; None for all.
            modality: one or several; None for all.
            where_timeout_s: seconds that the condition may take.

        Raises:
            UsageError: an argument is not valid.
        """
        wanted = None if modality is None else [*map(parse_modality, names_of(modality, "modality"))]
        return Segments(self._snapshot, where, wanted, where_timeout_s)

    def segment_set(self, modality: Modality | ModalityName) -> SegmentSet:
        """Return all segments of a modality, of the version that is open now: ids, vectors, values. Needs no model.

        Raises:
            UsageError: there is no such modality.
        """
        return SegmentSet(self._snapshot, parse_modality(modality))

    def count_files(self) -> Mapping[tuple[Path, FileKind], int]:
        """Return the number of indexed files by folder and kind. Needs no model."""
        return count_files(self._snapshot)

    def segment(self, segment_id: int) -> tuple[SegmentDetails, FileDetails]:
        """Return all that the index knows of a segment and its file. Needs no model.

        Of several files with the same content it is the first one that exists.

        Raises:
            UsageError: the segment is not in the index.
        """
        return segment_and_file(self._snapshot, segment_id)

    def paths(self, segment_ids: Sequence[int]) -> list[Path]:
        """Return the paths of all files that have one of these segments, also of copies.

        Raises:
            UsageError: a segment is not in the index.
        """
        return paths_of_segments(self._snapshot, ids_of(segment_ids))

    def entries(self, segment_ids: Iterable[int]) -> list[FileEntry]:
        """Return segments with their files, without columns, those that are in the index. Needs no model."""
        return segment_entries(self._snapshot, ids_of(segment_ids))

    def file(self, path: StrPath) -> FileDetails | None:
        """Return all that the index knows of the file at an absolute path, None if it is not indexed."""
        return file_at(self._snapshot, path_of(path))

    def score_file(self, request: SearchRequest, segment_id: int) -> list[SegmentScore]:
        """Score all segments of one file by a query.

        Args:
            request: its terms and its instruction count; its target and limits do not.
            segment_id: of any segment of the file.

        Raises:
            UsageError: the segment is not in the index, or the request is not valid for this index.
            MediaError: a file of the query cannot be read.
            ModelError: the model is needed and cannot be loaded, or is not the index's.
        """
        check_request(request)
        return self._searcher.score_file(request, segment_id)

    def save_search(
        self, name: str, request: SearchRequest | None = None, *, where: str | None = None, replace: bool = False
    ) -> None:
        """Keep a search with the index, for all who use it. Needs no model, and may be called while another writes.

        Args:
            name: unique but for case.
            request: the search, with terms that are texts or segments (`like`). Its `k` and columns are not kept.
            where: in place of a request, the SQL condition of a list of files.
            replace: whether to replace a search of that name.

        Raises:
            UsageError: a term is a file or a vector, or the name is not valid; NameTakenError if there is one already.
            IndexStateError: the disk is full or read-only.
        """
        if request is not None:
            check_request(request)
            check_type(where, NoneType, "where", "Leave it out beside a request, which has its own.")
        check_flags(replace=replace)
        snapshot = self._snapshot
        saved_searches.write(snapshot.store, to_saved(snapshot, name, request, where), replace=replace)

    def saved_searches(self) -> tuple[SavedSearch, ...]:
        """Return the searches that are kept with the index, by name. Raises IndexStateError."""
        return tuple(saved_searches.read_all(self._snapshot.store))

    def saved_request(self, name: str, *, k: int = 10, columns: Iterable[str] = ()) -> SearchRequest:
        """Return a saved search as a request for `search`.

        Raises:
            UsageError: there is none of that name (SearchNotFoundError), it only lists files, or a file to which it
                refers is not in the index any more.
            IndexStateError: it cannot be read.
        """
        names, snapshot = names_of(columns, "columns"), self._snapshot
        check_count("k", k)
        saved = saved_searches.read(snapshot.store, name)
        return to_request(snapshot, saved, k=k, columns=names)

    def saved_segment(self, term: SavedTerm) -> int | None:
        """Return the id of the segment of a term of a saved search, None for a text or if it is not in the index."""
        check_type(term, SavedTerm, "the term", "Use one of a SavedSearch.")
        return segment_of(self._snapshot, term)

    def rename_search(self, name: str, to: str) -> None:
        """Rename a saved search. Raises UsageError, as `save_search` and `saved_request`, and IndexStateError."""
        store, saved = self._snapshot.store, saved_searches.read(self._snapshot.store, name)
        new = renamed(saved, to)
        same = new.name.casefold() == saved.name.casefold()
        saved_searches.write(store, new, replace=same)
        if not same:
            saved_searches.remove(store, saved.name)

    def remove_search(self, name: str) -> None:
        """Remove a saved search. Raises SearchNotFoundError and IndexStateError."""
        saved_searches.remove(self._snapshot.store, name)

    @property
    def next_segment_id(self) -> int:
        """A number above the ids of all segments of this version; segments that are added later have it or more."""
        return self._snapshot.manifest.next_segment_id

    def new_matches(self, request: SearchRequest, first_id: int) -> list[NewMatch]:
        """Search among the segments that were added after `next_segment_id` had some value.

        Args:
            request: the search.
            first_id: that value.

        Raises:
            UsageError: the request is not valid for this index.
            ModelError: the model is needed and cannot be loaded, or is not the index's.
        """
        check_request(request)
        check_whole(first_id, "first_id")
        return self._searcher.new_matches(request, int(first_id))

    def ask(self, segment_id: int, question: str, choices: Sequence[str]) -> list[Answer]:
        """Answer a question about a segment by choosing among texts: `MediaEmbedder.ask` for a part of an indexed file.

        Args:
            segment_id: of audio, video or an image, which is read again from its file.
            question: the prompt of the segment.
            choices: two or more possible answers, all different.

        Returns:
            The choices, nearest first.

        Raises:
            UsageError: the segment is not in the index, or is text; or an argument is not valid.
            MediaError: its file cannot be read.
            ModelError: the model cannot be loaded, or is not the index's.
        """
        segment, file = self.segment(segment_id)
        clip = media_ref(file.path, segment.modality, segment.start_s, segment.stop_s)
        return choose_answer(self._encoder, clip, question, choices)

    def info(self) -> IndexInfo:
        """Describe the contents of the index. Needs no model."""
        return describe(self._snapshot)

    def close(self) -> None:
        """Stop the processes that decode and filter, and release the model."""
        self._session.close()
        self._snapshot.close()

    def __repr__(self) -> str:
        return f"<Index {summary(self._snapshot)}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def check_add(
    *,
    instructions: Iterable[str] = (),
    exclude: Iterable[str] | None = None,
    retry: bool = False,
    min_shard_rows: int = MIN_SHARD_ROWS,
    recall: float | None = None,
    max_duration_s: float | None = None,
) -> Options:
    """Check arguments of `Index.add`, for which an index need not exist yet.

    Raises:
        UsageError: one of them is not valid.
    """
    check_count("min_shard_rows", min_shard_rows)
    check_flags(retry=retry)
    if max_duration_s is not None and (not is_number(max_duration_s) or not max_duration_s > 0):
        raise UsageError(f"max_duration_s must be above 0 seconds, got {shown(max_duration_s)}")
    return indexer.Options(
        min_shard_rows=min_shard_rows,
        exclude=None if exclude is None else tuple(names_of(exclude, "exclude")),
        instructions=check_instructions(instructions),
        retry=retry,
        recall=_recall(recall),
        max_duration_s=max_duration_s,
    )


def _check_optimize(keep_versions_for_s: float, min_shard_rows: int) -> None:
    check_count("min_shard_rows", min_shard_rows)
    if not is_number(keep_versions_for_s) or not keep_versions_for_s >= 0:
        raise UsageError(f"keep_versions_for_s must be at least 0 seconds, got {shown(keep_versions_for_s)}")


def check_environment(workers: int | None, decoder_memory_bytes: int | None) -> int:
    """Check that FAISS is installed, and return the number of decoder processes."""
    from wave_search.media import default_workers, divide_memory

    check_faiss()
    if workers is not None:
        check_count("workers", workers)
    if decoder_memory_bytes is not None:
        check_whole(decoder_memory_bytes, "decoder_memory_bytes")
    divided, _ = divide_memory(decoder_memory_bytes, workers or default_workers())
    return divided


def _recall(recall: float | None) -> float | None:
    if recall is not None and (not is_number(recall) or not 0 < recall <= 1):
        raise UsageError(f"recall must be above 0 and at most 1, got {shown(recall)}", "Try 0.95.")
    return recall
