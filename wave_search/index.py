"""The public API for indexes and models: create, open and verify an index, and the operations of an open one."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Self, Unpack

from wave_search import indexer, models, store
from wave_search.ann import check_faiss
from wave_search.errors import UsageError
from wave_search.files import composed_text
from wave_search.media import Segmentation, default_workers, divide_memory, parse_audio_track
from wave_search.models import LoadOptions
from wave_search.models.session import ModelSession
from wave_search.query import (
    MIN_LABEL_Z,
    Answer,
    Encoder,
    FileDetails,
    FileEntry,
    IndexInfo,
    MediaEmbedder,
    SearchArguments,
    Searcher,
    SearchRequest,
    SegmentDetails,
    SegmentScore,
    SegmentSet,
    Tagging,
    browse,
    check_count,
    check_instructions,
    choose_answer,
    count_files,
    describe,
    file_at,
    find_duplicates,
    is_number,
    list_files,
    media_ref,
    own_columns,
    own_values,
    parse_modality,
    paths_of,
    read_labels,
    renamed,
    segment_and_file,
    segment_entries,
    segment_of,
    to_request,
    to_saved,
)
from wave_search.store import saved_searches

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from wave_search.indexer import MetadataEdit
    from wave_search.models import ModelSpec
    from wave_search.query import NewMatch
    from wave_search.reports import (
        EditReport,
        IndexReport,
        MetadataChange,
        MetadataReport,
        OptimizeReport,
        ProgressCallback,
        Skipped,
        SlowFile,
        SlowRun,
        TagReport,
    )
    from wave_search.store import Problem, SavedSearch, SavedTerm, Snapshot
    from wave_search.store.files import FileInfo
    from wave_search.types import ColumnInfo, DuplicateGroup, FileKind, Hit, ListedFile, Modality, Target

    StrPath = str | os.PathLike[str]

MIN_SHARD_ROWS = 5000
"""Minimum number of unindexed segments that triggers an IVF-PQ shard; below it they are searched exactly."""

KEEP_VERSIONS_FOR_S = store.KEEP_VERSIONS_FOR_S
"""Seconds for which `Index.optimize` keeps a replaced version readable."""


def exists(path: StrPath) -> bool:
    """Return whether there is an index in a folder."""
    return store.exists(Path(path))


def open(  # noqa: A001 - used as wave_search.open
    path: StrPath,
    model: str = "auto",
    *,
    load: LoadOptions | None = None,
    workers: int | None = None,
    decoder_memory_bytes: int | None = None,
    may_download: Callable[[str], bool] | None = None,
) -> Index:
    """Open an index. The model is loaded when something has to be embedded.

    The index may come from someone else: the model that it names is downloaded only if it is named here too, or if
    `may_download` agrees. Without either, whatever needs the model raises ModelDownloadError.

    Args:
        path: the folder of the index.
        model: "auto" for the index's own model, or its name or directory; it must be the same model.
        load: device, precision and memory of the model. Its quantization must be that of the index; None is.
        workers: most decoder processes for `Index.add`; None for the number of cores, at most 4. There are fewer if
            each had less than 1 GiB of memory.
        decoder_memory_bytes: memory that the decoder processes of `add`, or of searches, may use together, at least
            256 MiB; None for a quarter of the machine's, or of the limit of its container. A file that takes more than
            the part of one process is not indexed.
        may_download: called with the name of the model if it is not on this machine and `model` is "auto"; returns
            whether to download it.

    Raises:
        IndexNotFoundError: there is no index.
        IndexMismatchError: it was made with another model or quantization, or by another version of this package.
        IndexCorruptError: it is damaged.
        ModelError: the model cannot be loaded; raised here only for a directory other than the index's own model.
    """
    snapshot = store.open_snapshot(Path(path))
    session = ModelSession.for_index(
        model,
        load or LoadOptions(),
        snapshot.manifest.model,
        decoder_memory_bytes=decoder_memory_bytes,
        may_download=may_download,
    )
    return Index(snapshot, session, workers, decoder_memory_bytes)


def create(
    path: StrPath,
    model: str = "auto",
    *,
    segment: str = "10",
    audio_track: str = "auto",
    modalities: Iterable[str] | None = None,
    load: LoadOptions | None = None,
    workers: int | None = None,
    decoder_memory_bytes: int | None = None,
) -> Index:
    """Create an empty index, pinned to a model and to a segmentation of media.

    Args:
        path: the folder of the index, missing or empty.
        model: "auto" (WAVE-7B if it is installed and a GPU can hold it, otherwise wave-nano), a name of
            `known_models`, a directory, or "owner/name" on the Hugging Face hub, optionally with "@revision".
        segment: length of a segment in seconds, "scene", or "none" for whole files.
        audio_track: what is heard of files with several audio tracks: "auto" (the track that a player plays, or the
            first one that is not silent), "all" (mixed), a number from 1, or a language in any form of ISO 639 ("de",
            "deu", "ger"). Files without the track are indexed as with "auto".
        modalities: what to embed: "text", "image", "audio", "video", "av"; None for all that the model supports.
        load: device, precision, memory and quantization of the model. The index is pinned to the quantization.
        workers: as for `open`.
        decoder_memory_bytes: as for `open`.

    Raises:
        UsageError: the folder is not empty, or an argument is not valid.
        ModelError: the model cannot be loaded.
    """
    segmentation, track = str(Segmentation.parse(segment)), parse_audio_track(audio_track)
    chosen = None if modalities is None else {parse_modality(name) for name in _names(modalities)}
    _check_environment(workers, decoder_memory_bytes)  # nothing is created where nothing can be indexed
    store.check_new(Path(path))  # the model may take minutes
    session = ModelSession(model, load or LoadOptions(), decoder_memory_bytes=decoder_memory_bytes)
    spec = session.model().spec
    held = tuple(modality for modality in spec.modalities if chosen is None or modality in chosen)
    if not held:
        raise UsageError("there is no modality to index", f"The model supports {', '.join(spec.modalities)}.")
    snapshot = store.create(Path(path), spec, store.Settings(segmentation, held, audio_track=track))
    return Index(snapshot, session, workers, decoder_memory_bytes)


def load_embedder(model: str = "auto", *, load: LoadOptions | None = None) -> MediaEmbedder:
    """Load a model for use without an index.

    Args:
        model: as for `create`.
        load: device, precision, memory and quantization of the model.

    Raises:
        UsageError: an argument is not valid.
        ModelError: the model cannot be loaded.
    """
    session = ModelSession(model, load or LoadOptions())
    session.model()
    return MediaEmbedder(session)


def verify(path: StrPath) -> tuple[Problem, ...]:
    """Check all files of an index. Needs no model and changes nothing. Raises IndexNotFoundError."""
    return store.verify(Path(path))


def known_models() -> Mapping[str, str]:
    """Return the names of models, each with its description."""
    return models.known_models()


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
        self._workers = _check_environment(workers, decoder_memory_bytes)
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
        exclude: Iterable[str] = (),
        retry: bool = False,
        min_shard_rows: int = MIN_SHARD_ROWS,
        recall: float | None = None,
        max_duration_s: float | None = None,
        progress: ProgressCallback | None = None,
        warn: Callable[[SlowFile | SlowRun], None] | None = None,
        skipped: Callable[[Skipped], None] | None = None,
    ) -> IndexReport:
        """Bring the index up to date with folders and files. Only new and changed files are read and embedded.

        Files that no longer exist in the folders are removed from the index. Hidden files are skipped. Files that
        cannot be used are listed in the report and not tried again until they change.

        Args:
            paths: folders and files.
            instructions: embed media with each of these, in addition to the model's own prompt; `search` with one of
                them compares the query with these vectors. They are stored in the index and apply to later calls. Files
                that were indexed without them are read again.
            exclude: globs of file names to skip, or, with a slash in them, of paths below a folder.
            retry: retry unchanged files that could not be used before.
            min_shard_rows: minimum number of unindexed segments of a partition that triggers an IVF-PQ shard.
            recall: target recall@10 of the shards, measured on the segments of the index; None for the previous target,
                or 0.95 if there is none.
            max_duration_s: longer audio and video is skipped, until a call allows its duration. What was indexed before
                stays.
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
        options = check_add(
            instructions=instructions,
            exclude=exclude,
            retry=retry,
            min_shard_rows=min_shard_rows,
            recall=recall,
            max_duration_s=max_duration_s,
        )
        options = replace(options, workers=self._workers, decoder_memory_bytes=self._decoder_memory_bytes)
        try:
            return indexer.add(
                self.path,
                _several(paths),
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
        removed = indexer.remove(self.path, _several(paths))
        self.refresh()
        return removed

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
        check_count("min_shard_rows", min_shard_rows)
        if not is_number(keep_versions_for_s) or not keep_versions_for_s >= 0:
            raise UsageError(f"keep_versions_for_s must be at least 0 seconds, got {keep_versions_for_s!r}")
        try:
            return indexer.optimize(
                self.path,
                keep_versions_for_s=keep_versions_for_s,
                min_shard_rows=min_shard_rows,
                recall=_recall(recall),
            )
        finally:
            self.refresh()

    def refresh(self, *, prepare: bool = False) -> bool:
        """Open the newest version; return whether it differs. Running searches finish on the one they started on.

        Args:
            prepare: load what searches have used of the present version before the new one replaces it, so that no
                search waits for that. Meanwhile both versions are in memory.

        Raises:
            IndexStateError: the index is damaged, or cannot be read now. The present version stays open.
        """
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

    def search(
        self,
        request: SearchRequest | None = None,
        /,
        *,
        progress: ProgressCallback | None = None,
        warn: Callable[[Skipped], None] | None = None,
        **query: Unpack[SearchArguments],
    ) -> list[Hit]:
        """Find the segments most similar to a query: a `SearchRequest`, or the keywords to build one from.

        The first eight keywords are the terms of the query. Each may be one item or several; `Weighted` gives one a
        weight, and `Not` makes it a term to avoid: `text=["a dog", ws.Weighted("rain", 0.5), ws.Not("music")]`. One
        audio and one video of the same weight are embedded as one clip. Of several terms, segments that match all of
        them come before those that match one of them closely: see docs/design/queries.md.

        Args:
            request: the complete query; it excludes all keywords except `progress` and `warn`.
            progress: called while segments are embedded again.
            warn: called with each file that could not be embedded again. Its hits come last.
            **query:
                text: texts.
                audio: files whose audio to search for, with an optional range in seconds, here and below:
                    "clip.mp4@12.5-20".
                video: files whose frames to search for, without their audio.
                image: image files.
                av: files whose audio and frames to search for together.
                vector: (dim,) or (rows, dim) of the same model, or `Vector` of it with a modality; with several rows,
                    a segment's score is its best over them, as for a file that is longer than the segments of the
                    index. With several terms, each term takes its own best row.
                like: hits of this index, or their segment_id; needs no model. For this and for `similar`, the hits
                    exclude these segments and other segments of the same moment.
                similar: files; their vectors in the index are used if it has any, and then no model is needed. A file
                    is taken as the target modality if it has it, otherwise as the first that it has of av, video,
                    audio, image and text; a reference such as `Audio(path)` sets the modality.
                target: modality of the hits: "text", "audio", "video", "av", "image"; "any" for all, merged by z.
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
        if request is not None and query:
            raise UsageError("a search takes a request or keywords, not both", f"Leave out {', '.join(query)}.")
        if not isinstance(request, SearchRequest | None):
            raise UsageError(f"{request!r} is not a SearchRequest", 'Name what you give: search(text="a dog").')
        return self._searcher.search(request or SearchRequest.build(**query), progress, warn)

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
        report = indexer.import_metadata(self.path, Path(file))
        self.refresh()
        return report

    def remove_metadata(self, columns: Iterable[str]) -> None:
        """Remove user-defined columns.

        Raises:
            UsageError: there is no such column.
            IndexStateError: another process writes, the disk is full, or the index is damaged.
        """
        indexer.remove_columns(self.path, _names(columns))
        self.refresh()

    def edit_metadata(self, edits: Iterable[MetadataEdit]) -> EditReport:
        """Change values of the user's own columns, and tags, of some files: all edits or none, in one commit.

        Raises:
            UsageError: a file is not indexed, or a value does not fit its column.
            IndexStateError: another process writes, the disk is full, or the index is damaged.
        """
        report = indexer.edit(self.path, edits)
        self.refresh(prepare=True)  # searches do not wait
        return report

    def restore_metadata(self, changes: Iterable[MetadataChange]) -> EditReport:
        """Undo changes of `edit_metadata`, unless one of the values was changed again since.

        Raises:
            UsageError: a value was changed again.
            IndexStateError: another process writes, the disk is full, or the index is damaged.
        """
        report = indexer.restore(self.path, changes)
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
        target: Target | Modality = "any",
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
            target: modality of the segments that are compared with the labels, as for `search`.
            column: name of the column, which is replaced if it exists. A second column, with "_z" appended to the name,
                holds the z of the best label.
            min_z: minimum z of a label.
            top: maximum number of labels of a file. With 1 the column is text, otherwise a list of texts, best first.

        Raises:
            UsageError: an argument is not valid, or the index holds no segments of the target modality.
            ModelError: the model cannot be loaded, or is not the index's.
            IndexStateError: another process writes, the disk is full, or the index is damaged.
        """
        searcher, tagging = self._searcher, Tagging(read_labels(_names(labels)), min_z, top)
        tagged = tagging.run(searcher.snapshot, searcher.targets(target), self._encoder, composed_text(column))
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
            columns=tuple(_names(columns)),
            offset=offset,
            limit=limit,
            among=None if among is None else frozenset(among),
        )

    def segments(self, modality: Modality | str) -> SegmentSet:
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
        return paths_of(self._snapshot, segment_ids)

    def entries(self, segment_ids: Iterable[int]) -> list[FileEntry]:
        """Return segments with their files, without columns, those that are in the index. Needs no model."""
        return segment_entries(self._snapshot, tuple(segment_ids))

    def file(self, path: StrPath) -> FileDetails | None:
        """Return all that the index knows of the file at an absolute path, None if it is not indexed."""
        return file_at(self._snapshot, Path(path))

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
        snapshot = self._snapshot
        return to_request(snapshot, saved_searches.read(snapshot.store, name), k=k, columns=_names(columns))

    def saved_segment(self, term: SavedTerm) -> int | None:
        """Return the id of the segment of a term of a saved search, None for a text or if it is not in the index."""
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
        return self._searcher.new_matches(request, first_id)

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

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def check_add(
    *,
    instructions: Iterable[str] = (),
    exclude: Iterable[str] = (),
    retry: bool = False,
    min_shard_rows: int = MIN_SHARD_ROWS,
    recall: float | None = None,
    max_duration_s: float | None = None,
) -> indexer.Options:
    """Check arguments of `Index.add`, for which an index need not exist yet.

    Raises:
        UsageError: one of them is not valid.
    """
    check_count("min_shard_rows", min_shard_rows)
    if max_duration_s is not None and (not is_number(max_duration_s) or not max_duration_s > 0):
        raise UsageError(f"max_duration_s must be above 0 seconds, got {max_duration_s!r}")
    return indexer.Options(
        min_shard_rows=min_shard_rows,
        exclude=tuple(_names(exclude)),
        instructions=check_instructions(instructions),
        retry=retry,
        recall=_recall(recall),
        max_duration_s=max_duration_s,
    )


def _check_environment(workers: int | None, decoder_memory_bytes: int | None) -> int:
    """Check that FAISS is installed, and return the number of decoder processes."""
    check_faiss()
    if workers is not None:
        check_count("workers", workers)
    divided, _ = divide_memory(decoder_memory_bytes, workers or default_workers())
    return divided


def _several(paths: Iterable[StrPath]) -> list[StrPath]:
    several: list[StrPath] = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    if "" in several:  # it would be the current folder
        raise UsageError("the name of a file or folder is empty", "Write . for the current folder.")
    return several


def _names(given: Iterable[str]) -> list[str]:
    """Return several names, or a single one: not its letters, of which "*" would be a glob for all files."""
    names = [given] if isinstance(given, str) else list(given)
    for name in names:
        if not isinstance(name, str):
            raise UsageError(f"{name!r} is not a text")
    return names


def _recall(recall: float | None) -> float | None:
    if recall is not None and (not is_number(recall) or not 0 < recall <= 1):
        raise UsageError(f"recall must be above 0 and at most 1, got {recall!r}", "Try 0.95.")
    return recall
