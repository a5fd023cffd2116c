"""A run of `index` in a process beside the server: its state, its events, and what can be done to it."""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections import deque
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from wave_search import processes
from wave_search.errors import WaveSearchError
from wave_search.serve import job_process
from wave_search.serve.errors import ConflictError
from wave_search.serve.job_schemas import JobAnswer, JobError, JobProgress, JobReport, JobState, SkippedEntry
from wave_search.serve.library import shown

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from multiprocessing.connection import Connection

    from pydantic import BaseModel

    from wave_search.serve.job_process import IndexRun

_MAX_SKIPPED = 1_000
"""Files of a run, the newest, that a listener who comes later is sent."""
_RATE_S = 60.0
"""Time over which the rate is measured."""
_MIN_RATE_S = 3.0
_FINAL = frozenset({"done", "cancelled", "failed"})
Kind = Literal["job", "progress", "skipped"]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a job."""

    number: int
    """Increases with each event of the job."""
    kind: Kind
    data: BaseModel


class _Clock:
    """The time that a run has worked, without its pauses."""

    def __init__(self) -> None:
        self._began_s = time.monotonic()
        self._paused_s = 0.0
        self._stopped_s: float | None = None

    def pause(self) -> None:
        self._stopped_s = self._stopped_s or time.monotonic()

    def resume(self) -> None:
        if self._stopped_s is not None:
            self._paused_s += time.monotonic() - self._stopped_s
            self._stopped_s = None

    def now_s(self) -> float:
        return (self._stopped_s or time.monotonic()) - self._began_s - self._paused_s


class Job:
    """A run of `index` in a process. Safe to use from several threads.

    Args:
        run: what to do.
        committed: called when the run has ended, before this is known to listeners.

    Attributes:
        id: by which it is asked for.

    Raises:
        OSError: its process cannot be started.
    """

    def __init__(self, run: IndexRun, committed: Callable[[], object]) -> None:
        self.id = secrets.token_hex(8)
        self._run, self._committed = run, committed
        self._lock = threading.RLock()
        self._clock = _Clock()
        self._state: JobState = "running"
        self._began, self._ended = _now(), ""
        self._progress: JobProgress | None = None
        self._report: dict[str, Any] | None = None
        self._error: JobError | None = None
        self._rates: deque[tuple[float, float]] = deque()
        """Time and files done, of the last minute."""
        self._is_ending = False
        """Its process may have ended, so that its number may be that of another one."""
        self._number = self._skipped_count = 0
        self._skipped: deque[Event] = deque(maxlen=_MAX_SKIPPED)
        self._newest: dict[str, Event] = {}
        """Of the kinds whose events replace those before."""
        self._listeners: set[Callable[[], object]] = set()
        self._started = threading.Event()
        self._failure: OSError | None = None
        self._process: subprocess.Popen[bytes]
        self._connection: Connection
        self._thread = threading.Thread(target=self._follow, name=f"job-{self.id}", daemon=True)
        self._thread.start()  # starts the process, and lives as long
        self._started.wait()
        if self._failure is not None:
            raise self._failure

    @property
    def is_over(self) -> bool:
        """Whether its state is final."""
        return self._state in _FINAL

    def answer(self) -> JobAnswer:
        """Return what is known about it."""
        with self._lock:
            return JobAnswer(
                id=self.id,
                state=self._state,
                paths=[shown(path) for path in self._run.paths],
                exclude=None if self._run.exclude is None else list(self._run.exclude),
                retry=self._run.retry,
                max_duration_s=self._run.max_duration_s,
                began=self._began,
                ended=self._ended or None,
                skipped=self._skipped_count,
                progress=self._progress,
                report=None if self._report is None else _report(self._report, self._clock.now_s()),
                error=self._error,
            )

    def pause(self) -> None:
        """Stop it, with all its decoders. It keeps the lock of the index.

        Raises:
            ConflictError: it ends, or has ended, or the system cannot stop all of it.
        """
        with self._lock:
            if not processes.can_watch():
                remedy = "Cancel it: what is complete stays, and another run continues from there."
                raise ConflictError("this system cannot pause a run", remedy)
            if self._state == "running" and not self._is_ending:
                processes.pause(self._process.pid)
                self._clock.pause()
                self._enter("paused")
            elif self._state != "paused":
                raise self._conflict("paused")

    def resume(self) -> None:
        """Let it continue after a pause.

        Raises:
            ConflictError: it ends, or has ended.
        """
        with self._lock:
            if self._state == "paused" and not self._is_ending:
                self._wake()
                self._enter("running")
            elif self._state != "running":
                raise self._conflict("resumed")

    def cancel(self) -> None:
        """Ask it to end as at Ctrl-C: what is complete stays in the index.

        Raises:
            ConflictError: it has ended.
        """
        with self._lock:
            if self._is_ending:
                raise self._conflict("cancelled")
            if self._state != "cancelling":
                with suppress(OSError):  # it is just ending
                    self._connection.send_bytes(job_process.CANCEL)
                if self._state == "paused":
                    self._wake()
                self._enter("cancelling")

    def wait(self, timeout_s: float) -> None:
        """Wait until it has ended, at most this time."""
        self._thread.join(timeout_s)

    def events(self, after: int) -> list[Event]:
        """Return the events after a number that later ones have not replaced."""
        with self._lock:
            kept = [*self._skipped, *self._newest.values()]
        return sorted((event for event in kept if event.number > after), key=lambda event: event.number)

    @contextmanager
    def listening(self, listener: Callable[[], object]) -> Iterator[None]:
        """Let a function be called at each event, in any thread."""
        with self._lock:
            self._listeners.add(listener)
        try:
            yield
        finally:
            with self._lock:
                self._listeners.discard(listener)

    def wake_listeners(self) -> None:
        """Call the functions that listen."""
        with self._lock:
            for listener in self._listeners:
                listener()

    def _conflict(self, what: str) -> ConflictError:
        state = "is ending" if self._is_ending or self._state == "cancelling" else "is over"
        return ConflictError(f"the run cannot be {what}: it {state}", "Start another one.")

    def _wake(self) -> None:
        self._clock.resume()
        processes.resume(self._process.pid)

    def _enter(self, state: JobState) -> None:
        self._state = state
        self._publish("job", self.answer())

    def _publish(self, kind: Kind, data: BaseModel) -> None:
        with self._lock:
            self._number += 1
            event = Event(self._number, kind, data)
            if kind == "skipped":
                self._skipped.append(event)
            else:
                self._newest[kind] = event
            self.wake_listeners()

    def _follow(self) -> None:
        try:
            self._process, self._connection = job_process.start(self._run)
        except OSError as error:
            self._failure = error
            self._started.set()
            return
        self._publish("job", self.answer())
        self._started.set()
        with suppress(EOFError, OSError):
            while True:
                self._take(json.loads(self._connection.recv_bytes()))
        with self._lock:
            self._is_ending = True
            self._clock.pause()
        code = self._process.wait()
        self._connection.close()
        with suppress(WaveSearchError):  # the next search reports it
            self._committed()
        with self._lock:
            if self._error is None and self._report is None:
                self._error = JobError(
                    message=f"the process of the run has ended unexpectedly ({_described(code)})",
                    remedy="What was committed is in the index. Start it again with more free memory.",
                )
            self._ended = _now()
            if self._error is not None:
                self._enter("failed")
            else:
                self._enter("cancelled" if (self._report or {}).get("interrupted") else "done")

    def _take(self, record: dict[str, Any]) -> None:
        match record["event"]:
            case "progress":
                with self._lock:
                    self._progress = self._measured(record)
                    self._publish("progress", self._progress)
            case "skipped" if not record["known"]:
                entry = SkippedEntry(path=shown(Path(record["path"])), cause=record["cause"], remedy=record["remedy"])
                with self._lock:
                    self._skipped_count += 1
                    self._publish("skipped", entry)
            case "report":
                self._report = record
            case "error":
                self._error = JobError(message=record["message"], remedy=record["remedy"])

    def _measured(self, record: dict[str, Any]) -> JobProgress:
        """Return a record of progress with the rate of the last minute."""
        now_s, done = self._clock.now_s(), record["files_done"] + record["files_begun"]
        if record["stage"] == "embed" and record["segments"]:  # unchanged files are counted before
            self._rates.append((now_s, done))
            while now_s - self._rates[0][0] > _RATE_S:
                self._rates.popleft()
        rate = left_s = None
        if self._rates and now_s - self._rates[0][0] >= _MIN_RATE_S:
            since_s, done_before = self._rates[0]
            rate = (done - done_before) / (now_s - since_s)
            if rate > 0 and record["stage"] == "embed":
                left_s = (record["files_total"] - done) / rate
        names = JobProgress.model_fields.keys() & record.keys()
        current = None if record["current"] is None else shown(Path(record["current"]))
        fields = {**{name: record[name] for name in names}, "current": current}
        return JobProgress(**fields, elapsed_s=now_s, files_per_s=rate, left_s=left_s)


def _report(record: dict[str, Any], elapsed_s: float) -> JobReport:
    names = JobReport.model_fields.keys() & record.keys()
    changed = {
        "skipped": len(record["skipped"]),
        "unreachable": [shown(Path(folder)) for folder in record["unreachable"]],
        "elapsed_s": elapsed_s,
    }
    return JobReport(**{**{name: record[name] for name in names}, **changed})


def _described(code: int) -> str:
    return f"exit status {code}" if code >= 0 else f"signal {-code}"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
