"""An open index: what can be done with what is on disk. A face for the write path and the read path."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Self

from wave_search import indexer, store
from wave_search.ann import check_faiss
from wave_search.errors import UsageError
from wave_search.media import Segmentation
from wave_search.query import (
    MIN_LABEL_Z,
    Encoder,
    IndexInfo,
    Reembedder,
    Reranker,
    RerankProgress,
    ResultOptions,
    Searcher,
    Tagging,
    Weighted,
    check_effect,
    check_instructions,
    describe,
    find_duplicates,
    own_columns,
    read_labels,
    read_parts,
    resolve,
    takes_instruction,
)
from wave_search.types import MediaRef, Modality

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

    from numpy.typing import ArrayLike

    from wave_search.models import ModelSpec
    from wave_search.models.session import ModelSession
    from wave_search.reports import IndexReport, MetadataReport, OptimizeReport, ProgressCallback, Skipped, TagReport
    from wave_search.store import Snapshot
    from wave_search.types import ColumnInfo, DuplicateGroup, Hit

    StrPath = str | os.PathLike[str]
    Texts = str | Weighted | Iterable[str | Weighted]
    Media = StrPath | MediaRef | Weighted | Iterable[StrPath | MediaRef | Weighted]
    Segments = Hit | int | Weighted | Iterable[Hit | int | Weighted]

MIN_SHARD_ROWS = 5000
"""A shard is built from so many segments on; fewer are searched exactly in no time."""

KEEP_VERSIONS_FOR_S = 3600.0
"""So long `Index.optimize` leaves a replaced version to those who opened it before."""


class Index:
    """An open index. Made by `open` and `create`; a context manager.

    It sees the state that it opened, whatever another process writes meanwhile, until `add`, `remove` or `refresh`. An
    hour after that state was replaced, `add` and `optimize` of another process may remove it; then `refresh`.
    """

    def __init__(self, snapshot: Snapshot, engine: ModelSession, workers: int | None) -> None:
        check_faiss()
        self._engine = engine
        self._workers = workers or min(4, len(os.sched_getaffinity(0)))
        self._searcher = Searcher(snapshot)
        self._encoder = Encoder(engine.decoders, engine.model)

    @property
    def path(self) -> Path:
        """The folder of the index."""
        return self._snapshot.dir

    @property
    def model(self) -> ModelSpec:
        """What the vectors depend on."""
        return self._snapshot.manifest.model

    def cuts_by(self, segment: str) -> bool:
        """Tell whether the index cuts sound and video as `segment` says, however it is written: "5" is "5.0".

        Raises:
            UsageError: it is no way to cut.
        """
        return str(Segmentation.parse(segment)) == self._snapshot.manifest.settings.segmenting

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
        progress: ProgressCallback | None = None,
    ) -> IndexReport:
        """Bring the index up to date with folders and files. Only what is new or changed is read and embedded.

        Files that are gone from the folders leave the index. Hidden files are passed over. Files that cannot be used
        are listed in the report and left alone until they change.

        Args:
            paths: folders and files.
            instructions: embed media with each of these too, beside the model's own prompt; `search` with one of them
                finds what it asks for. The index remembers them. Files that were indexed without are read again.
            exclude: globs of names to pass over, or, with a slash in them, of paths below a folder.
            retry: try files again that could not be used before, although they have not changed.
            min_shard_rows: build an IVF-PQ shard for a modality once so many of its segments are in none.
            recall: share of the true best 10 that a search of shards has to find, measured on what the index holds;
                None for what was wanted before, or 0.95.
            progress: is called with how it goes on, see `wave_search.progress`.

        Raises:
            UsageError: a path does not exist, or an instruction is no text.
            IndexStateError: another process writes, the disk is full, or the index is damaged; or the model is another.
            ModelError: the model cannot be loaded.
            Interrupted: Ctrl-C; what was complete is in the index, and the exception has the report.
        """
        wanted = check_instructions(instructions)
        options = indexer.Options(self._workers, min_shard_rows, tuple(exclude), wanted, retry, _recall(recall))
        try:
            return indexer.add(self.path, _several(paths), self._engine.model, options, progress)
        finally:
            self.refresh()

    def remove(self, paths: Iterable[StrPath]) -> int:
        """Forget the files at or below paths, which need not exist any more. The files themselves stay.

        Returns:
            How many files left the index.

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
        """Free space, mend and speed up the index. Needs no model; searches go on meanwhile.

        Tables are compacted without what was removed, and search structures that are missing, damaged or worn are
        built again. What old versions of the index and crashed runs left is removed.

        Args:
            keep_versions_for_s: seconds for which a replaced version stays readable for those who opened it.
            min_shard_rows: as for `add`.
            recall: as for `add`.

        Raises:
            IndexStateError: another process writes, the disk is full, or a table is damaged.
        """
        try:
            return indexer.optimize(
                self.path,
                keep_versions_for_s=keep_versions_for_s,
                min_shard_rows=min_shard_rows,
                recall=_recall(recall),
            )
        finally:
            self.refresh()

    def refresh(self) -> bool:
        """Go on to the newest state, and tell whether another process has committed one."""
        newest = store.open_snapshot(self.path)
        if newest.manifest.version == self._snapshot.manifest.version:
            return False
        self._searcher = Searcher(newest)
        return True

    def search(
        self,
        *,
        text: Texts | None = None,
        audio: Media | None = None,
        video: Media | None = None,
        image: Media | None = None,
        av: Media | None = None,
        vector: ArrayLike | Weighted | None = None,
        like: Segments | None = None,
        similar: Media | None = None,
        target: str = "any",
        k: int = 10,
        min_z: float | None = None,
        where: str | None = None,
        columns: Iterable[str] = (),
        moments: bool = True,
        per_file: int | None = None,
        dedupe: float | None = None,
        instruction: str | None = None,
        rerank: int | None = None,
        progress: ProgressCallback | None = None,
        warn: Callable[[Skipped], None] | None = None,
    ) -> list[Hit]:
        """Find what is most like the query: what the first eight arguments give, together.

        Each may be one thing or several, and a `Weighted` says how much one counts, a `Not` that it is to be avoided:
        `text=["a dog", ws.Weighted("rain", 0.5), ws.Not("music")]`. One audio and one video of the same weight are
        embedded as one clip. Of several parts, what meets all of them comes before what is one of them very much: see
        docs/queries.md.

        Args:
            text: words.
            audio: a file to listen to, here and below with an optional range of seconds: "clip.mp4@12.5-20".
            video: a file to look at; its sound does not count.
            image: a picture.
            av: a file to see and hear together.
            vector: (dim,) or (rows, dim) of your own from the same model; with several rows, a segment's score is its
                best over them, as it is for a file that is longer than the index's segments. Several parts with
                several rows: each by its own best.
            like: a hit of this index, or its segment_id; needs no model. It is left out of the hits, and so is what
                else the index has of the same moment, here and for `similar`.
            similar: a file; the index's own vectors of it are used if it has any, and then no model is needed. It is
                taken as what `target` says if it is that too, otherwise as av, video, audio, image or text, the first
                that it is; or as what a reference such as `Audio(path)` says.
            target: what to find: "text", "audio", "video", "av", "image", or "any" for all, merged by z.
            k: how many hits.
            min_z: the least z of a hit.
            where: a condition in SQL on files and segments: "kind = 'video' AND duration_s < 60". An unknown column is
                answered by the names of all.
            columns: what to say of each hit besides, in `Hit.columns`: what `where` knows, and of a moment
                "peak_start_s", "peak_stop_s" and "segments".
            moments: whether adjacent segments of a file become one hit.
            per_file: how many hits of a file.
            dedupe: of hits whose cosine with each other is as high as this, the best stands for all.
            instruction: what to look for; replaces the model's prompt. A media query is embedded with it. Found is what
                was indexed with it (see `add`), if anything was.
            rerank: embed so many of the best segments again with the instruction, from their files, and put them into
                the new order. The index's folder keeps these vectors. Needless for what was indexed with it.
            progress: is called with how that goes on.
            warn: is called with each file that could not be embedded again. Its hits come last.

        Returns:
            At most k hits, best first, which is by z: of several parts, a soft minimum of that of each. Files of the
            same content are a hit each. Their score is the cosine with the whole query, the sum of its parts.

        Raises:
            UsageError: the request makes no sense, or nothing of the target is in the index.
            MediaError: the file cannot be read.
            ModelError: the model cannot be loaded, or is not the index's.
        """
        media = {Modality.AUDIO: audio, Modality.VIDEO: video, Modality.IMAGE: image, Modality.AV: av}
        parts = read_parts(text=text, media=media, vector=vector, like=like, similar=similar)
        options = ResultOptions(k, min_z, where, tuple(columns), moments, per_file, dedupe)
        # Before a model is loaded in vain.
        keys, chosen = self._searcher.check(target, options, instruction)
        check_effect(instruction, rerank, keys, query_takes_it=takes_instruction(parts))
        reranker = None
        if instruction is not None and rerank is not None:
            again = Reembedder(self._snapshot, self._encoder, self._engine.decoders)
            reranker = Reranker(again, instruction, rerank, RerankProgress(progress, warn))
        query = resolve(parts, self._snapshot, self._encoder, target, instruction)
        return self._searcher.search(query, keys, chosen, options, reranker)

    def coverage(self, instruction: str, target: str = "any") -> float:
        """Tell how much of a target was indexed with an instruction: from 0 for nothing to 1 for all of it."""
        return self._searcher.coverage(target, instruction)

    def import_metadata(self, file: StrPath) -> MetadataReport:
        """Add columns of your own from a CSV or JSON Lines file with a column "path".

        A path is absolute, or relative to the current or to an indexed folder. Where a file of the index has a row, all
        columns of the row are replaced, and emptied by an empty cell; everything else stays.

        Raises:
            UsageError: the file makes no sense, has a column that an index has anyway, or one of another type.
            OSError: the file cannot be read.
            IndexStateError: another process writes, the disk is full, or the index is damaged.
        """
        report = indexer.import_metadata(self.path, Path(file))
        self.refresh()
        return report

    def remove_metadata(self, columns: Iterable[str]) -> None:
        """Forget columns of your own.

        Raises:
            UsageError: there is no such column.
            IndexStateError: another process writes, the disk is full, or the index is damaged.
        """
        indexer.remove_columns(self.path, [columns] if isinstance(columns, str) else list(columns))
        self.refresh()

    def metadata(self) -> tuple[ColumnInfo, ...]:
        """List the columns of your own."""
        return own_columns(self._snapshot)

    def tag(
        self,
        labels: Iterable[str],
        *,
        target: str = "any",
        column: str = "tag",
        min_z: float = MIN_LABEL_Z,
        top: int = 1,
    ) -> TagReport:
        """Label all files by what is in them, without an example: as columns of your own, to filter by.

        A file has a label where one of its segments scores z standard deviations above what the label scores on a
        sample of such segments; the label with the highest z is the best. New files have none until this is called
        again.

        Args:
            labels: words, one label each; after a tab, other words for the same, again with tabs between them.
            target: what to look at, as for `search`.
            column: the name of the column. It is replaced if there is one. A second one, with "_z" behind its name, is
                for the z of the best label.
            min_z: the least z of a label.
            top: how many labels of a file. With 1 the column is text, otherwise a list of texts, best first.

        Raises:
            UsageError: an argument makes no sense, or nothing of the target is in the index.
            ModelError: the model cannot be loaded, or is not the index's.
            IndexStateError: another process writes, the disk is full, or the index is damaged.
        """
        tagging = Tagging(read_labels(labels), min_z, top)
        keys = self._searcher.targets(target)
        tags = tagging.run(self._snapshot, keys, self._encoder)
        indexer.put_columns(self.path, *tagging.columns(column, tags, self._snapshot))
        self.refresh()
        return tagging.report(tags, self._snapshot)

    def duplicates(self, threshold: float = 0.98) -> list[DuplicateGroup]:
        """List files of the same bytes, and segments of different contents that are nearly the same. Needs no model.

        Args:
            threshold: the least cosine of such segments.

        Raises:
            UsageError: the threshold is no cosine.
        """
        return find_duplicates(self._snapshot, threshold)

    def info(self) -> IndexInfo:
        """Say what the index holds. Needs no model."""
        return describe(self._snapshot)

    def close(self) -> None:
        """End the decoder process and let go of the model."""
        self._engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _several(paths: Iterable[StrPath]) -> list[StrPath]:
    """A single path is meant as such, and not as the letters of its name."""
    return [paths] if isinstance(paths, str | os.PathLike) else list(paths)


def _recall(recall: float | None) -> float | None:
    if recall is not None and not 0 < recall <= 1:
        raise UsageError(f"a recall of {recall} makes no sense", "Give a number above 0 and up to 1, like 0.95.")
    return recall
