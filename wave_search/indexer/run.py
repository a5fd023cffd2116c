"""One run of `index`, from arguments to report; and `remove`."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from wave_search.ann.rebuild import refresh_shards
from wave_search.calibration.cohort import is_measured, score_stats
from wave_search.files import as_name, as_path, composed
from wave_search.indexer import scan
from wave_search.indexer.choices import remember
from wave_search.indexer.pipeline.collect import Collector
from wave_search.indexer.pipeline.commit import Committer
from wave_search.indexer.pipeline.decode import Claims, DecodeStage
from wave_search.indexer.pipeline.embed import EmbedStage
from wave_search.indexer.pipeline.process import Failed, Failure, IndexSpec
from wave_search.indexer.plan import compare, known_skipped
from wave_search.indexer.run_stats import Interrupted, RunStats
from wave_search.indexer.scan import lineages, parent
from wave_search.media import DecoderPool, Segmentation
from wave_search.store import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from wave_search.indexer.diff import ChangePlan
    from wave_search.indexer.scan import FoundFile
    from wave_search.models import Embedder
    from wave_search.reports import IndexReport, ProgressCallback, Skipped, SlowFile, SlowRun
    from wave_search.store import Snapshot


@dataclass(frozen=True, slots=True)
class Options:
    """Options of a run."""

    min_shard_rows: int
    """Minimum number of unindexed segments of a partition that triggers an IVF-PQ shard."""
    workers: int = 1
    """Number of decoder processes."""
    exclude: tuple[str, ...] | None = None
    """Globs of names, or of paths below an argument, of files to exclude; None for those of earlier runs."""
    instructions: tuple[str, ...] = ()
    """Instructions to embed media with from now on, in addition to those of the index."""
    retry: bool = False
    """Retry unchanged files that could not be indexed before."""
    recall: float | None = None
    """Target recall@10 of the shards; None for the previous target, or 0.95 if there is none."""
    max_duration_s: float | None = None
    """Longer audio and video is skipped; infinite for no limit, None for that of earlier runs."""
    decoder_memory_bytes: int | None = None
    """Memory of all decoders together; None for a quarter of the machine's."""
    unfinished: tuple[bytes, ...] = ()
    """Files that are still being written: their rows stay as they are."""


def add(
    index_dir: Path,
    paths: Iterable[str | os.PathLike[str]],
    model: Callable[[], Embedder],
    options: Options,
    *,
    progress: ProgressCallback | None = None,
    warn: Callable[[SlowFile | SlowRun], None] | None = None,
    skipped: Callable[[Skipped], None] | None = None,
) -> IndexReport:
    """Bring the index up to date with folders and files.

    Args:
        index_dir: an existing index.
        paths: folders and files.
        model: returns the embedder; called only if something has to be embedded.
        options: of the run.
        progress: called with the progress of the run.
        warn: called with each file that will take long, before it is embedded, and once if all that are left will.
        skipped: called with each file that cannot be used, or only in part, as soon as that is known.

    Raises:
        UsageError: an argument does not exist, and neither does a file of it in the index.
        IndexLockedError: another process is writing to the index.
        IndexStateError: the disk is full or read-only, or the index is damaged.
        Interrupted: Ctrl-C was pressed. Completed files are committed.
    """
    stats = RunStats(progress, warn, skipped)
    with ExitStack() as stack:
        writer = stack.enter_context(Writer(index_dir))
        areas = scan.resolve(paths, index_dir, writer.snapshot.files())
        writer.add_instructions(options.instructions)
        folders = [area.path for area in areas if area.is_folder]
        known = writer.snapshot.manifest.settings.folders
        writer.set_folder_choices(remember(known, folders, options.exclude, options.max_duration_s))
        writer.commit(drop_dead=False)
        run = _Run(writer, model, options, stats)
        stack.callback(run.committer.close)
        try:
            run.embed(run.compare(areas))
            run.build_shards()
            run.calibrate()
        except KeyboardInterrupt:
            run.committer.commit()
            raise Interrupted(stats.report(run.decoder_memory_bytes, interrupted=True)) from None
        finally:
            stats.enter("done")  # also after errors, because a progress display must restore the terminal
        return stats.report(run.decoder_memory_bytes)


def remove(index_dir: Path, paths: Iterable[str | os.PathLike[str]]) -> int:
    """Remove the files at or below paths from the index, in one commit. The paths need not exist.

    A path at which there is nothing also stands for what differs from it only in the composition of letters.

    Returns:
        The number of removed files.

    Raises:
        IndexLockedError: another process is writing to the index.
        IndexStateError: the disk is full or read-only, or the index is damaged.
    """
    with Writer(index_dir) as writer:
        snapshot, is_target = writer.snapshot, targets(paths, writer.snapshot.files())
        removed = [path for path in snapshot.files() if is_target(path)]
        writer.remove_files(removed)
        writer.set_roots(root for root in snapshot.manifest.roots if not is_target(os.fsencode(root)))
        choices = snapshot.manifest.settings.folders
        writer.set_folder_choices(one for one in choices if not is_target(os.fsencode(one.folder)))
        writer.commit()
    return len(removed)


def plan_remove(snapshot: Snapshot, paths: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """Return the files that `remove` would remove, by path."""
    files = snapshot.files()
    is_target = targets(paths, files)
    return [as_path(path) for path in sorted(path for path in files if is_target(path))]


def targets(paths: Iterable[str | os.PathLike[str]], files: Iterable[bytes]) -> Callable[[bytes], bool]:
    """Return a function that returns whether a file or folder is at or below one of the paths."""
    targets = {as_name(os.path.realpath(os.fsencode(path))) for path in paths}
    alike = {composed(target) for target in targets - lineages(files)}

    @cache  # many files are in the same folders
    def is_inside(folder: bytes) -> bool:
        return is_target(folder) or (folder != b"/" and is_inside(parent(folder)))

    def is_target(path: bytes) -> bool:
        return path in targets or (bool(alike) and composed(path) in alike)

    return lambda path: is_target(path) or is_inside(parent(path))


class _Run:
    """The steps of `add`."""

    def __init__(self, writer: Writer, model: Callable[[], Embedder], options: Options, stats: RunStats) -> None:
        self._writer = writer
        self._model = model
        self._options = options
        self._stats = stats
        self._known = writer.snapshot.files()
        self._lacking = writer.snapshot.lacking(writer.snapshot.manifest.settings.instructions)
        self.committer = Committer(writer)
        self.decoder_memory_bytes = 0

    def compare(self, areas: Sequence[scan.Area]) -> ChangePlan:
        """Scan the areas, and compare their files with the index."""
        self._stats.enter("scan")
        snapshot = self._writer.snapshot
        comparison = compare(
            snapshot.dir,
            areas,
            self._options,
            choices=snapshot.manifest.settings.folders,
            known=self._known,
            old_roots=list(map(os.fsencode, snapshot.manifest.roots)),
            lacking=self._lacking,
        )
        self._writer.set_roots(map(os.fsdecode, comparison.roots))
        self._stats.unreachable.extend(as_path(folder) for folder in sorted(comparison.lost))
        self._report_scan(comparison.found, comparison.changes)
        return comparison.changes

    def _report_scan(self, found: scan.Scan, plan: ChangePlan) -> None:
        stats = self._stats
        stats.enter("embed", total=len(found.files) + len(found.unusable) + len(found.skipped))
        for skipped in found.skipped:
            stats.skip(skipped)
        for one in plan.unusable:
            stats.skip(one.why)
            self.committer.add(Failed(one.file, Failure(one.why.cause, one.why.remedy)))
        for row in plan.known_skipped:
            stats.skip(known_skipped(row))
        stats.note(*map(known_skipped, plan.known_damaged))
        for link in found.not_media:
            stats.add_not_media(as_path(link))
        stats.count("unchanged", plan.unchanged)
        stats.catch_up()

    def embed(self, plan: ChangePlan) -> None:
        """Process new and changed files, then remove files that no longer exist."""
        not_media = self._embed(plan.fresh) if plan.fresh else []
        # Not earlier, because the vectors of a moved file must stay until its new path is known.
        removed = [*plan.removed, *self._known.keys() & set(not_media)]
        self.committer.commit(removed, plan.moved_roots)
        self._stats.count("removed", len(removed))

    def _embed(self, files: Sequence[FoundFile]) -> list[bytes]:
        """Process files, and return the paths of those that are not media."""
        snapshot = self._writer.snapshot
        settings, known = snapshot.manifest.settings, snapshot.content_ids()
        spec = IndexSpec(
            Segmentation.parse(settings.segmentation),
            settings.modalities,
            instructions=("", *settings.instructions),
        )
        workers = min(self._options.workers, len(files))
        collector = Collector(self.committer, self._stats, known, self._known_damage())
        embed_stage = EmbedStage(self._model, collector, self._stats)
        with DecoderPool(
            workers,
            snapshot.manifest.model.sampling,
            audio_track=settings.audio_track,
            memory_bytes=self._options.decoder_memory_bytes,
        ) as decoders:
            decode_stage = DecodeStage(files, decoders, Claims(spec, known, self._lacking), workers)
            try:
                decode_stage.start()
                embed_stage.run(decode_stage.queue)
            finally:
                decode_stage.stop()
                self.decoder_memory_bytes = decoders.peak_memory_bytes()
                decoders.close()
                decode_stage.join()
        return collector.not_media

    def _known_damage(self) -> dict[str, Failure]:
        """Return why contents are only partly indexed, by digest."""
        rows = {row.content_id: row for row in self._known.values() if row.cause and row.content_id is not None}
        contents = self._writer.snapshot.contents(list(rows))
        return {contents[content_id].digest: Failure(row.cause, row.remedy) for content_id, row in rows.items()}

    def build_shards(self) -> None:
        """Compact the tables if necessary, and build missing shards."""
        self.committer.compact_if_fragmented()
        for key in self._writer.snapshot.manifest.settings.keys:
            refresh_shards(
                self._writer,
                key,
                self._options.min_shard_rows,
                self._options.recall,
                building=lambda: self._stats.enter("shards"),
            )

    def calibrate(self) -> None:
        """Measure the score statistics, if anything was embedded or an earlier run was interrupted before this."""
        if any(self._stats.segments.values()) or not is_measured(self._writer.snapshot):
            self._writer.set_score_stats(score_stats(self._writer.snapshot, self._model()))
            self._writer.commit()
