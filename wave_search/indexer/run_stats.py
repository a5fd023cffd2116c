"""The counts of a run, for its progress display and its report."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wave_search.media.segmentation import DEFAULT_LENGTH_S
from wave_search.reports import IndexReport, Progress, ProgressCallback, Skipped, SlowFile, SlowRun
from wave_search.system import peak_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from wave_search.reports import Stage
    from wave_search.types import Modality

PROGRESS_INTERVAL_S = 0.1
SLOW_S = 3600.0
"""Estimated time to embed a file, or all that are left, from which on it is announced."""
_WATCHED_S = 60.0
"""Time after which the rate of files is believed."""
_MEASURED = 64
"""Vectors that must be embedded before the rate of a run is believed."""
_ASSUMED_PER_S = 5.0
"""Vectors per second, until it is measured: those of 10 s of sound with wave-nano on two cores."""


@dataclass(slots=True)
class _Begun:
    """A file of audio or video whose segments are being embedded."""

    duration_s: float
    segments: int
    vectors: float
    """As `_work` counts them."""
    done: int = 0
    """Segments embedded."""

    @property
    def share(self) -> float:
        return min(self.done / self.segments, 1.0)


class Interrupted(KeyboardInterrupt):
    """Raised at Ctrl-C during a run. Completed files are committed; the next run continues with the others.

    Attributes:
        report: of the work done until then.
    """

    def __init__(self, report: IndexReport) -> None:
        super().__init__("interrupted; complete files are in the index, and the next run continues with the others")
        self.report = report


class RunStats:
    """The counts of one run. Used by one thread.

    Args:
        progress: called with a `Progress` at each change of stage, before the run waits for decoders, and otherwise
            at most ten times a second.
        warn: called with each file that will take more than `SLOW_S`, and once if all that are left will.
        skipped: called with each file that cannot be used, or only in part.
    """

    def __init__(
        self,
        progress: ProgressCallback | None,
        warn: Callable[[SlowFile | SlowRun], None] | None = None,
        skipped: Callable[[Skipped], None] | None = None,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self.segments: Counter[Modality] = Counter()
        self.not_media: Counter[str] = Counter()
        self.skipped: list[Skipped] = []
        self.unreachable: list[Path] = []
        self.several_tracks = 0
        self.media_s = 0.0
        self.slow: dict[Path, SlowFile] = {}
        self._progress = progress
        self._warn = warn
        self._announce_skipped = skipped
        self._started_s = self._reported_s = time.monotonic()
        self._stage: Stage = "scan"
        self._total = self._done = 0
        self._current: Path | None = None
        self._is_late = False
        """Something was counted since the progress was reported."""
        self._begun: dict[Path, _Begun] = {}
        self._batch_began_s: float | None = None
        self._batch = self._timed_batch = 0.0
        """Vectors of this batch, and those of them that are of audio and video."""
        self._timed = self._timed_s = 0.0
        """Vectors of audio and video in all measured batches, and the time that they took."""
        self._watched: tuple[float, float] | None = None
        """When the first batch ended, and the files done by then."""
        self._is_run_announced = False

    def enter(self, stage: Stage, total: int = 0) -> None:
        """Begin a stage.

        Args:
            stage: its name, see `Progress`.
            total: number of files of the run; 0 if it stays the same.
        """
        self._stage = stage
        self._total = total or self._total
        self._report_progress(None)

    def count(self, outcome: str, files: int = 1, current: Path | None = None) -> None:
        """Count completed files; `outcome` is the name of a field of `IndexReport`."""
        self.counts[outcome] += files
        self._done += files if outcome != "removed" else 0
        self._touch(current)

    def skip(self, skipped: Skipped) -> None:
        """Count a file that is not indexed."""
        self.note(skipped)
        self._done += 1
        self._touch(skipped.path)

    def add_not_media(self, path: Path) -> None:
        """Count a file that is not media, by its suffix."""
        self.not_media[path.suffix.lower()] += 1

    def note(self, *skipped: Skipped) -> None:
        """List files in the report that are counted elsewhere: damaged files."""
        self.skipped.extend(skipped)
        if self._announce_skipped is not None:
            for one in skipped:
                self._announce_skipped(one)

    def add_segments(self, modalities: Iterable[Modality], media_s: float, current: Path) -> None:
        """Count the vectors of a segment by modality, and the seconds of audio or video that they represent."""
        before = self.segments.total()
        self.segments.update(modalities)
        vectors = self.segments.total() - before
        self.media_s += media_s
        self._batch += _work(vectors, 1, media_s)
        if (begun := self._begun.get(current)) is not None:
            begun.done += 1
            self._timed_batch += _work(vectors, 1, media_s)

    def begin_file(self, path: Path, duration_s: float, segments: int, vectors_per_segment: int) -> None:
        """Begin a file of audio or video, and announce it if it will take long.

        Args:
            path: of the file.
            duration_s: of the file.
            segments: number that it is expected to have, at least 1.
            vectors_per_segment: one for each modality and instruction.
        """
        self._begun[path] = _Begun(duration_s, segments, _work(vectors_per_segment, segments, duration_s))
        self._announce(path)

    def end_file(self, path: Path) -> None:
        """End a file that was begun; of others, nothing happens."""
        self._begun.pop(path, None)

    def end_batch(self, current: Path) -> None:
        """Measure the rate of the run after a batch, and announce files that take longer than it had seemed.

        The first batch is not measured, because the model is loaded in it.

        Args:
            current: the file of its last segment.
        """
        now_s = time.monotonic()
        if self._batch_began_s is not None and self._batch:
            self._timed_s += (now_s - self._batch_began_s) * self._timed_batch / self._batch
            self._timed += self._timed_batch
        self._batch_began_s, self._batch, self._timed_batch = now_s, 0.0, 0.0
        for path in self._begun:
            self._announce(path)
        self._announce_run(now_s)
        self._touch(current)

    def _announce(self, path: Path) -> None:
        begun = self._begun[path]
        s_per_vector = self._timed_s / self._timed if self._timed >= _MEASURED else 1 / _ASSUMED_PER_S
        slow = SlowFile(path, begun.duration_s, begun.segments, begun.vectors * s_per_vector)
        if slow.estimated_s >= SLOW_S and path not in self.slow:
            self.slow[path] = slow
            if self._warn is not None:
                self._warn(slow)

    def _announce_run(self, now_s: float) -> None:
        done = self._done + self._files_begun()
        since_s, done_before = self._watched = self._watched or (now_s, done)
        if self._is_run_announced or now_s - since_s < _WATCHED_S or done <= done_before:
            return
        left_s = (now_s - since_s) / (done - done_before) * (self._total - done)
        if left_s >= SLOW_S:
            self._is_run_announced = True
            if self._warn is not None:
                self._warn(SlowRun(self._total - self._done, left_s))

    def _files_begun(self) -> float:
        return sum(one.share for one in self._begun.values())

    def drop_segments(self, modalities: Iterable[Modality]) -> None:
        """Subtract the vectors of a file that cannot be indexed."""
        self.segments.subtract(modalities)

    def _touch(self, current: Path | None) -> None:
        self._is_late, self._current = True, current
        if time.monotonic() - self._reported_s >= PROGRESS_INTERVAL_S:
            self._report_progress(current)

    def catch_up(self) -> None:
        """Report what was counted too soon after the last report."""
        if self._is_late:
            self._report_progress(self._current)

    def _report_progress(self, current: Path | None) -> None:
        if self._progress is None:
            return
        self._reported_s, self._is_late = time.monotonic(), False
        begun = None if current is None else self._begun.get(current)
        self._progress(
            Progress(
                self._stage,
                self._total,
                self._done,
                len(self.skipped),
                self.segments.total(),
                self.media_s,
                current,
                files_begun=self._files_begun(),
                current_segments=begun.done if begun else 0,
                current_segments_total=begun.segments if begun else 0,
            )
        )

    def report(self, decoder_memory_bytes: int, *, interrupted: bool = False) -> IndexReport:
        """Return the report of the run so far."""
        own_bytes = peak_bytes()
        return IndexReport(
            indexed=self.counts["indexed"],
            reused=self.counts["reused"],
            unchanged=self.counts["unchanged"],
            removed=self.counts["removed"],
            ignored=self.counts["ignored"],
            several_tracks=self.several_tracks,
            not_media=dict(self.not_media.most_common()),
            skipped=tuple(sorted(self.skipped, key=lambda skipped: skipped.path)),
            slow=tuple(self.slow.values()),
            unreachable=tuple(self.unreachable),
            segments=dict(self.segments),
            media_s=self.media_s,
            elapsed_s=time.monotonic() - self._started_s,
            peak_memory_bytes=own_bytes + decoder_memory_bytes,
            interrupted=interrupted,
        )


def _work(vectors_per_segment: int, segments: int, media_s: float) -> float:
    """Return the number of vectors, where one of longer media than usual counts as several."""
    return vectors_per_segment * max(segments, media_s / DEFAULT_LENGTH_S)
