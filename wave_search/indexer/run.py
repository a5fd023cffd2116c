"""One run of `index`, from arguments to report; and `remove`."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wave_search.ann.rebuild import refresh_shards
from wave_search.calibration.cohort import is_measured, score_stats
from wave_search.indexer import diff, scan
from wave_search.indexer.mounts import is_lost, unmounted
from wave_search.indexer.pipeline.commit import Committer
from wave_search.indexer.pipeline.decode import DecodeStage
from wave_search.indexer.pipeline.embed import EmbedStage
from wave_search.indexer.run_stats import Interrupted, RunStats
from wave_search.indexer.scan import as_path, is_under
from wave_search.media import DecoderPool
from wave_search.reports import Skipped
from wave_search.store import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from wave_search.indexer.scan import FoundFile
    from wave_search.models import Embedder
    from wave_search.reports import IndexReport, ProgressCallback


@dataclass(frozen=True, slots=True)
class Options:
    """How to run."""

    workers: int
    """Decoder processes."""
    min_shard_rows: int
    """Build IVF-PQ shards for a modality once so many of its segments are in none."""
    exclude: tuple[str, ...] = ()
    """Globs of names, or of paths below an argument, to pass over."""
    instructions: tuple[str, ...] = ()
    """With which the index shall hold media from now on, besides those that it has."""
    retry: bool = False
    """Read files again that could not be used before and have not changed."""
    recall: float | None = None
    """Wanted recall@10 of shards; None for that of before, or 0.95."""


def add(
    index_dir: Path,
    paths: Iterable[str | os.PathLike[str]],
    model: Callable[[], Embedder],
    options: Options,
    progress: ProgressCallback | None = None,
) -> IndexReport:
    """Bring the index up to date with folders and files.

    Args:
        index_dir: an existing index.
        paths: folders and files.
        model: gives the embedder; called only if something has to be embedded.
        options: how to run.
        progress: is told how it goes on.

    Raises:
        UsageError: an argument does not exist.
        IndexLockedError: another process writes.
        IndexStateError: the disk is full or read-only, or the index is damaged.
        Interrupted: Ctrl-C. What was complete is committed.
    """
    areas = scan.resolve(paths, index_dir)
    tally = RunStats(progress)
    with ExitStack() as stack:
        writer = stack.enter_context(Writer(index_dir))
        writer.add_instructions(options.instructions)
        writer.commit(drop_dead=False)
        run = _Run(writer, model, options, tally)
        stack.callback(run.committer.close)
        try:
            run.embed(run.compare(areas))
            run.build_shards()
            run.calibrate()
        except KeyboardInterrupt:
            run.committer.commit()
            raise Interrupted(tally.report(run.decoder_memory_bytes, interrupted=True)) from None
        finally:
            tally.enter("done")  # however it ended: a display has to leave the terminal in order
        return tally.report(run.decoder_memory_bytes)


def remove(index_dir: Path, paths: Iterable[str | os.PathLike[str]]) -> int:
    """Forget the files at or below paths, in one commit. The paths need not exist any more.

    Returns:
        The number of files that left the index.

    Raises:
        IndexLockedError: another process writes.
        IndexStateError: the disk is full or read-only, or the index is damaged.
    """
    targets = {os.path.realpath(os.fsencode(path)) for path in paths}
    with Writer(index_dir) as writer:
        gone = [path for path in writer.snapshot.files() if any(is_under(path, target) for target in targets)]
        roots = [os.fsencode(root) for root in writer.snapshot.manifest.roots]
        writer.remove_files(gone)
        writer.set_roots(os.fsdecode(root) for root in roots if not any(is_under(root, target) for target in targets))
        writer.commit()
    return len(gone)


class _Run:
    """The stages of `add`."""

    def __init__(self, writer: Writer, model: Callable[[], Embedder], options: Options, tally: RunStats) -> None:
        self._writer = writer
        self._model = model
        self._options = options
        self._tally = tally
        self._known = writer.snapshot.files()
        self._lacking = writer.snapshot.lacking(writer.snapshot.manifest.settings.instructions)
        self.committer = Committer(writer)
        self.decoder_memory_bytes = 0

    def compare(self, areas: Sequence[scan.Area]) -> diff.Plan:
        """See what there is, and decide what has to be done."""
        self._tally.enter("scan")
        snapshot = self._writer.snapshot
        old_roots = [os.fsencode(root) for root in snapshot.manifest.roots]
        roots = scan.join_roots(old_roots, areas)
        folders = [area.path for area in areas if area.is_folder]
        lost = [folder for folder in {*folders, *old_roots, *roots} if is_lost(folder, self._known.values())]
        seen = scan.scan(areas, roots, snapshot.dir, self._options.exclude)
        self._writer.set_roots(os.fsdecode(root) for root in sorted({*roots, *set(lost).intersection(old_roots)}))
        lost += unmounted(seen.files, self._known, folders, [*lost, *seen.unseen])
        protected = [*lost, *seen.unseen]
        retry = self._options.retry
        plan = diff.compare(seen.files, self._known.values(), folders, protected, self._lacking, retry=retry)
        self._tally.unreachable.extend(as_path(folder) for folder in sorted(lost))
        self._report_scan(seen, areas, plan)
        return plan

    def _report_scan(self, seen: scan.Scan, areas: Sequence[scan.Area], plan: diff.Plan) -> None:
        tally = self._tally
        tally.enter("embed", total=len(seen.files) + len(seen.skipped))
        for skipped in seen.skipped:
            tally.skip(skipped)
        for row in plan.known_skipped:
            tally.skip(Skipped(as_path(row.path), row.cause, row.remedy))
        tally.skipped.extend(Skipped(as_path(row.path), row.cause, row.remedy) for row in plan.known_damaged)
        tally.skipped.extend(scan.unfollowed_links(seen.links, areas))
        tally.count("unchanged", plan.unchanged)

    def embed(self, plan: diff.Plan) -> None:
        """Read and embed what is new or changed, then drop what is gone."""
        not_media = self._embed(plan.fresh) if plan.fresh else []
        # Only now, because a file that was moved must not take its vectors along before its new place is known.
        removed = [*plan.removed, *self._known.keys() & set(not_media)]
        self.committer.commit(removed, plan.moved_roots)
        self._tally.count("removed", len(removed))

    def _embed(self, files: Sequence[FoundFile]) -> list[bytes]:
        snapshot = self._writer.snapshot
        settings = snapshot.manifest.settings
        workers = min(self._options.workers, len(files))
        embedding = EmbedStage(
            self._model, settings.modalities, self.committer, tally=self._tally, damage=self._known_damage()
        )
        with DecoderPool(workers, snapshot.manifest.model.sampling) as decoders:
            readers = DecodeStage(
                files,
                decoders,
                known=snapshot.content_ids(),
                lacking=self._lacking,
                settings=settings,
                workers=workers,
            )
            try:
                readers.start()
                embedding.run(readers.channel)
            finally:
                readers.stop()
                self.decoder_memory_bytes = decoders.peak_memory_bytes()
                decoders.close()
                readers.join()
        return embedding.not_media

    def _known_damage(self) -> dict[str, tuple[str, str]]:
        """Cause and remedy of contents that are in the index but for a damaged part, by digest."""
        rows = {row.content_id: row for row in self._known.values() if row.cause and row.content_id is not None}
        contents = self._writer.snapshot.contents(list(rows))
        return {contents[number].digest: (row.cause, row.remedy) for number, row in rows.items()}

    def build_shards(self) -> None:
        """Bring tables into shape, and build the search structures that are missing."""
        self._tally.enter("shards")
        self.committer.tidy()
        for key in self._writer.snapshot.manifest.settings.keys:
            refresh_shards(self._writer, key, self._options.min_shard_rows, self._options.recall)

    def calibrate(self) -> None:
        """Measure how scores spread, if anything was embedded, or if an earlier run did not come to it."""
        if any(self._tally.segments.values()) or not is_measured(self._writer.snapshot):
            self._writer.set_score_stats(score_stats(self._writer.snapshot, self._model()))
            self._writer.commit()
