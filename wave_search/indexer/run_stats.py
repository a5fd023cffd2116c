"""Counting what a run does: for the progress display while it lasts, and for its report."""

from __future__ import annotations

import resource
import time
from collections import Counter
from typing import TYPE_CHECKING

from wave_search.reports import IndexReport, Progress, ProgressCallback, Skipped

if TYPE_CHECKING:
    from pathlib import Path

    from wave_search.types import Modality

PROGRESS_INTERVAL_S = 0.1


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during a run. What was complete is committed; the next run continues from there.

    Attributes:
        report: what was done until then.
    """

    def __init__(self, report: IndexReport) -> None:
        super().__init__("interrupted; what was complete is in the index, and the next run continues from there")
        self.report = report


class RunStats:
    """The counts of one run. Used by one thread.

    Args:
        progress: is called with a snapshot at each change of stage, and otherwise at most ten times a second.
    """

    def __init__(self, progress: ProgressCallback | None) -> None:
        self.counts: Counter[str] = Counter()
        self.segments: Counter[Modality] = Counter()
        self.skipped: list[Skipped] = []
        self.unreachable: list[Path] = []
        self.media_s = 0.0
        self._progress = progress
        self._began_s = self._told_s = time.monotonic()
        self._stage = ""
        self._total = self._done = 0

    def enter(self, stage: str, total: int = 0) -> None:
        """Begin a stage; `total` files are to be looked at in all."""
        self._stage = stage
        self._total = total or self._total
        self._tell(None)

    def count(self, outcome: str, files: int = 1, current: Path | None = None) -> None:
        """Count files that are dealt with; `outcome` is the name of a field of `IndexReport`."""
        self.counts[outcome] += files
        self._done += files if outcome != "removed" else 0
        self.touch(current)

    def skip(self, skipped: Skipped) -> None:
        """Count a file that is not indexed."""
        self.skipped.append(skipped)
        self._done += 1
        self.touch(skipped.path)

    def touch(self, current: Path | None) -> None:
        """Show that something happens."""
        if time.monotonic() - self._told_s >= PROGRESS_INTERVAL_S:
            self._tell(current)

    def _tell(self, current: Path | None) -> None:
        if self._progress is None:
            return
        self._told_s = time.monotonic()
        segments = self.segments.total()
        self._progress(
            Progress(self._stage, self._total, self._done, len(self.skipped), segments, self.media_s, current)
        )

    def report(self, decoder_memory_bytes: int, *, interrupted: bool = False) -> IndexReport:
        """Everything so far."""
        own_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        return IndexReport(
            indexed=self.counts["indexed"],
            reused=self.counts["reused"],
            unchanged=self.counts["unchanged"],
            removed=self.counts["removed"],
            ignored=self.counts["ignored"],
            skipped=tuple(sorted(self.skipped, key=lambda skipped: skipped.path)),
            unreachable=tuple(self.unreachable),
            segments=dict(self.segments),
            media_s=self.media_s,
            elapsed_s=time.monotonic() - self._began_s,
            peak_memory_bytes=own_bytes + decoder_memory_bytes,
            interrupted=interrupted,
        )
