"""The runs of `index` of a server: one at a time, of folders that may be indexed. They are remembered in memory."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from wave_search.errors import UsageError
from wave_search.files import as_name, as_path, is_under
from wave_search.serve.errors import BusyError, ConflictError, ForbiddenError, GoneError
from wave_search.serve.job import Job
from wave_search.serve.job_process import IndexRun
from wave_search.serve.library import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from wave_search.index import Index
    from wave_search.serve.job_schemas import JobRequest
    from wave_search.serve.options import ServeOptions

MAX_LISTENERS = 32
_MAX_JOBS = 20
"""Runs that are remembered."""
_CLOSE_S = 10.0
"""Time to wait, when the server ends, for a run that was cancelled. It goes on by itself to commit what is complete."""


class Jobs:
    """The runs of `index` of a server.

    Args:
        index: the open index, which follows what they commit.
        options: which folders they may index.
    """

    def __init__(self, index: Index, options: ServeOptions) -> None:
        self._index, self._options = index, options
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()
        self._listeners = threading.BoundedSemaphore(MAX_LISTENERS)
        self.closing = False

    @property
    def allowed(self) -> list[Path] | None:
        """Further folders that may be indexed; None for any."""
        if self._options.may_index_anything:
            return None
        return [Path(os.path.realpath(path)) for path in self._options.allow_index or ()]

    def start(self, request: JobRequest) -> Job:
        """Start a run.

        Raises:
            ConflictError: another one has not ended.
            ForbiddenError: a path may not be indexed.
            UsageError: a path is not absolute, or the index has no folders yet.
            BusyError: the process cannot be started.
        """
        run = IndexRun(
            index=self._index.path,
            paths=self._paths(request),
            model=self._options.model,
            load=self._options.load,
            exclude=request.exclude,
            retry=request.retry,
            max_duration_s=request.max_duration_s,
        )
        with self._lock:
            if self.closing or any(not job.is_over for job in self._jobs.values()):
                raise ConflictError("the index is being updated already", "Wait until that is done, or cancel it.")
            try:
                job = Job(run, partial(self._index.refresh, prepare=True))
            except OSError as error:
                raise BusyError(f"no process can be started ({error.strerror})", "Close other programs.") from error
            self._jobs[job.id] = job
            while len(self._jobs) > _MAX_JOBS:
                del self._jobs[next(iter(self._jobs))]
        return job

    def _paths(self, request: JobRequest) -> tuple[Path, ...]:
        roots = {shown(root): root for root in self._index.info().roots}
        if request.paths is None:
            if not roots:
                raise UsageError("the index has no folders yet", "Name one.")
            return tuple(roots.values())
        return tuple(roots.get(text) or self._checked(text, [*roots.values()]) for text in request.paths)

    def _checked(self, text: str, roots: list[Path]) -> Path:
        """Return a path that a client names without symbolic links, if it may be indexed."""
        try:
            path = Path(text).expanduser()
            real = as_name(os.path.realpath(os.fsencode(path)))
        except (RuntimeError, ValueError) as error:  # an unknown user, a zero byte
            raise UsageError(f"{text!r} is not a path", "Begin with /.") from error
        if not path.is_absolute():
            raise UsageError(f"{text} is not an absolute path", "Begin with /.")
        allowed = self.allowed
        if allowed is not None and not any(is_under(real, as_name(folder)) for folder in [*roots, *allowed]):
            raise ForbiddenError(
                f"{text} is not in a folder that may be indexed here",
                "Index it with `wave-search index`, or start the server with --allow-index and this folder.",
            )
        return as_path(real)

    def get(self, job_id: str) -> Job:
        """Return a job.

        Raises:
            GoneError: there is none of this id, as after a restart of the server.
        """
        with self._lock:
            if (job := self._jobs.get(job_id)) is None:
                raise GoneError(f"there is no run {job_id} of this server", "List them with /api/index/jobs.")
            return job

    @property
    def running(self) -> bool:
        """Whether a run is in progress, or paused."""
        return any(not job.is_over for job in self.all())

    def all(self) -> list[Job]:
        """Return the jobs, the newest first."""
        with self._lock:
            return [*reversed(self._jobs.values())]

    @contextmanager
    def listening(self, job: Job, listener: Callable[[], object]) -> Iterator[None]:
        """Let a function be called at each event of a job.

        Raises:
            BusyError: there are too many listeners.
        """
        if not self._listeners.acquire(blocking=False):
            raise BusyError(f"there are {MAX_LISTENERS} listeners already", "Close other views of the index.")
        try:
            with job.listening(listener):
                yield
        finally:
            self._listeners.release()

    def stop(self) -> None:
        """Cancel the run in progress, and end all streams of events."""
        self.closing = True
        for job in self.all():
            with suppress(ConflictError):
                job.cancel()
            job.wake_listeners()

    def close(self) -> None:
        """Cancel the run in progress, and wait for it for a while."""
        self.stop()
        for job in self.all():
            job.wait(_CLOSE_S)
