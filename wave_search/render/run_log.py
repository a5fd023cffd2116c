"""The log of a run of `index` as JSON Lines, for programs that follow it: through a file, or through a pipe."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from wave_search.errors import WaveSearchError
from wave_search.render.records import report_record, to_json
from wave_search.reports import IndexReport, SlowFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from wave_search.reports import Progress, Skipped, SlowRun

FILE_EVERY_S = 10.0
"""Time between two records of progress in a file."""


class RunLog:
    """Writes the events of a run, one record a line. Each has `event`, and `time` (UTC, ISO 8601).

    * "progress": the fields of `Progress`.
    * "skipped": the fields of `Skipped`, for each file that cannot be used, or only in part.
    * "slow": the fields of `SlowFile`, or of `SlowRun`, which has no path.
    * "report": the fields of `IndexReport`, and `alerts`, the reports of alerts; with it a run ends that was completed
      or interrupted.
    * "watching": `folders`, when `watch` has brought them up to date; from then on there is a "report" for each update.
    * "waiting": `message`, the process that writes to the index, for which `watch` waits.
    * "error": `message` and `remedy`, with which any other run ends.

    Args:
        write: writes a line, without its end.
        every_s: least time between two records of progress within a stage.
        now_s: returns the time in seconds, from any moment on.
    """

    def __init__(
        self, write: Callable[[str], object], every_s: float, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._write, self._every_s, self._now_s = write, every_s, now_s
        self._written: tuple[str, float] = "", 0.0
        """Stage and time of the newest record of progress."""

    def progress(self, progress: Progress) -> None:
        """Record the progress, if the stage is new or enough time has passed."""
        now_s = self._now_s()
        stage, written_s = self._written
        if progress.stage != stage or now_s - written_s >= self._every_s:
            self._written = progress.stage, now_s
            current = None if progress.current is None else str(progress.current)
            self._record("progress", {**asdict(progress), "current": current})

    def skipped(self, skipped: Skipped) -> None:
        """Record a file that cannot be used."""
        self._record("skipped", {**asdict(skipped), "path": str(skipped.path)})

    def slow(self, slow: SlowFile | SlowRun) -> None:
        """Record what takes long."""
        path = {"path": str(slow.path)} if isinstance(slow, SlowFile) else {}
        self._record("slow", {**asdict(slow), **path})

    def report(self, report: IndexReport, alerts: Sequence[dict[str, Any]] = ()) -> None:
        """Record the end of a run, with what its alerts have done."""
        self._record("report", {**report_record(report), "alerts": [*alerts]})

    def watching(self, folders: Sequence[Path]) -> None:
        """Record that folders are up to date, and are watched."""
        self._record("watching", {"folders": list(map(str, folders))})

    def waiting(self, message: str) -> None:
        """Record that another process writes to the index."""
        self._record("waiting", {"message": message})

    def error(self, error: BaseException) -> None:
        """Record the error that ended a run."""
        if isinstance(error, WaveSearchError):
            self._record("error", {"message": error.message, "remedy": error.remedy})
        elif isinstance(error, KeyboardInterrupt):
            self.report(IndexReport(interrupted=True))
        else:
            remedy = "This is a bug in wave-search. Please report it."
            self._record("error", {"message": f"unexpected {type(error).__name__}: {error}", "remedy": remedy})

    def _record(self, event: str, fields: dict[str, Any]) -> None:
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._write(to_json({"event": event, "time": now, **fields}))


@contextmanager
def logging_to(path: Path | None) -> Iterator[RunLog]:
    """Append the log of a run to a file, with the error that ends it.

    Args:
        path: of the file; None to write nothing.

    Raises:
        OSError: the file cannot be opened.
        WaveSearchError: it cannot be written any more; raised by the methods of the log.
    """
    if path is None:
        yield RunLog(lambda _: None, FILE_EVERY_S)
        return
    with path.open("ab", buffering=0) as file:  # unbuffered, so that others can follow

        def write(line: str) -> None:
            try:
                file.write(f"{line}\n".encode("ascii"))
            except OSError as error:
                cause = f"{path}: the log cannot be written ({error.strerror})"
                raise WaveSearchError(cause, "Name another file, and run the same command to resume.") from error

        log = RunLog(write, FILE_EVERY_S)
        try:
            yield log
        except BaseException as error:
            log.error(error)
            raise
