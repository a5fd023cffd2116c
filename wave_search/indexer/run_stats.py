"""The counts of a run, for its progress display and its report."""

from __future__ import annotations

import resource
import time
from collections import Counter
from typing import TYPE_CHECKING

from wave_search.reports import IndexReport, Progress, ProgressCallback, Skipped, SlowFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from wave_search.reports import Stage
    from wave_search.types import Modality

PROGRESS_INTERVAL_S = 0.1
SLOW_S = 3600.0
"""Estimated time to embed a file from which on it is announced."""
_MEASURED_S = 60.0
"""Media that must be embedded before the speed of a run is believed."""
_ASSUMED_SPEED = 50.0
"""Seconds of media per second, until it is measured: sound with wave-nano on two cores."""


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
        progress: called with a `Progress` at each change of stage, and otherwise at most ten times a second.
        warn: called with each file that will take more than `SLOW_S`.
    """

    def __init__(self, progress: ProgressCallback | None, warn: Callable[[SlowFile], None] | None = None) -> None:
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
        self._started_s = self._reported_s = self._entered_s = time.monotonic()
        self._stage: Stage = "scan"
        self._total = self._done = 0

    def enter(self, stage: Stage, total: int = 0) -> None:
        """Begin a stage.

        Args:
            stage: its name, see `Progress`.
            total: number of files of the run; 0 if it stays the same.
        """
        self._stage = stage
        self._entered_s = time.monotonic()
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
        """List files in the report that are counted elsewhere or not at all: damaged files and links."""
        self.skipped.extend(skipped)

    def add_segments(self, modalities: Iterable[Modality], media_s: float, current: Path) -> None:
        """Count vectors by modality, and the seconds of audio or video that they represent."""
        self.segments.update(modalities)
        self.media_s += media_s
        self._touch(current)

    def begin_file(self, path: Path, duration_s: float) -> None:
        """Announce a file of audio or video that will take long."""
        speed = self.media_s / (time.monotonic() - self._entered_s) if self.media_s >= _MEASURED_S else _ASSUMED_SPEED
        slow = SlowFile(path, duration_s, duration_s / speed)
        if slow.estimated_s >= SLOW_S and path not in self.slow:
            self.slow[path] = slow
            if self._warn is not None:
                self._warn(slow)

    def drop_segments(self, modalities: Iterable[Modality]) -> None:
        """Subtract the vectors of a file that cannot be indexed."""
        self.segments.subtract(modalities)

    def _touch(self, current: Path | None) -> None:
        if time.monotonic() - self._reported_s >= PROGRESS_INTERVAL_S:
            self._report_progress(current)

    def _report_progress(self, current: Path | None) -> None:
        if self._progress is None:
            return
        self._reported_s = time.monotonic()
        segments = self.segments.total()
        self._progress(
            Progress(self._stage, self._total, self._done, len(self.skipped), segments, self.media_s, current)
        )

    def report(self, decoder_memory_bytes: int, *, interrupted: bool = False) -> IndexReport:
        """Return the report of the run so far."""
        own_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
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
