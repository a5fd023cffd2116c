"""A worker process as its parent sees it: started, asked, watched and killed."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import time
from typing import TYPE_CHECKING

from wave_search.media.source import RETRY
from wave_search.processes import cpu_s, main_of, peak_bytes, start_python
from wave_search.system import constants

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wave_search.errors import WaveSearchError
    from wave_search.media.info import DecodedSegment, MediaInfo
    from wave_search.media.preview import Preview
    from wave_search.media.worker import Reply, Request

STALL_S = 60.0
"""A worker that has not computed anything for so long waits for a disk, or is stopped."""
_STEP_S = 1.0
"""Time between two looks at a worker that has not answered yet."""
_KILL_S = 5.0
_CRASHES = constants(signal, "SIGSEGV", "SIGBUS", "SIGABRT", "SIGFPE", "SIGILL", "SIGTRAP")
"""Signals that a decoder raises itself, by a fault in it. Others are sent by the system or by a user."""
_KILLED = constants(signal, "SIGKILL")
_CONVERT = "Convert it to another format, or exclude it."


class WorkerGone(Exception):  # noqa: N818 - becomes an error with a path
    """Raised if a worker died, exceeded its time limit or does not answer.

    Attributes:
        cause: why.
        remedy: what to do about it.
        by_file: whether the file is the reason, so that it would happen again.
    """

    def __init__(self, cause: str, remedy: str, *, by_file: bool) -> None:
        super().__init__(cause)
        self.cause = cause
        self.remedy = remedy
        self.by_file = by_file


class Worker:
    """A worker process and the socket to it.

    Args:
        memory_bytes: limit of its memory.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(self, memory_bytes: int) -> None:
        self._process, self._connection = start_python(*main_of("wave_search.media.worker", os.getpid(), memory_bytes))

    def alive(self) -> bool:
        """Return whether the process is running."""
        return self._process.poll() is None

    def ask(self, request: Request, limit_s: float) -> Iterator[MediaInfo | DecodedSegment | Preview | WaveSearchError]:
        """Send a request, and yield the values of the reply as they arrive.

        Args:
            request: the request.
            limit_s: maximum CPU time of the worker for each value of the reply.

        Raises:
            WorkerGone: there is no complete reply. The worker is no longer usable.
        """
        try:
            self._connection.send_bytes(pickle.dumps(request, protocol=5))
            while True:
                self._wait(limit_s)
                reply: Reply = pickle.loads(self._connection.recv_bytes())  # noqa: S301 - from our own process
                if reply.value is None:
                    return
                yield reply.value
        except (EOFError, OSError) as error:
            raise self._gone() from error

    def _wait(self, limit_s: float) -> None:
        """Wait for a message while the worker makes progress.

        The clock that counts is its CPU time. A busy machine slows it down, and it stands still while the machine
        sleeps or the worker is stopped.
        """
        if self._connection.poll(_STEP_S):
            return
        began_s = newest_s = self._cpu_s()
        waited_s = 0.0
        while not self._connection.poll(_STEP_S):
            now_s = self._cpu_s()
            if now_s - began_s > limit_s:
                cause = f"decoding took longer than the limit of {limit_s:.3g} s of CPU time"
                raise WorkerGone(cause, _CONVERT, by_file=True)
            # Steps are counted rather than time, because this process may have been stopped as well.
            waited_s = 0.0 if now_s > newest_s else waited_s + _STEP_S
            newest_s = now_s
            if waited_s >= STALL_S:
                cause = f"the decoder did not respond for {STALL_S:.3g} s: it waits for the disk, or was stopped"
                raise WorkerGone(cause, RETRY, by_file=False)

    def _cpu_s(self) -> float:
        """Return the CPU time of the process so far, in seconds; where the system does not show it, the time."""
        used_s = cpu_s(self._process.pid)
        return time.monotonic() if used_s is None else used_s

    def peak_bytes(self) -> int:
        """Return the largest resident set so far; 0 if the process has ended."""
        return peak_bytes(self._process.pid)

    def kill(self) -> None:
        """Kill the process."""
        self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):  # the kernel ends none that waits for a dead disk
            self._process.wait(_KILL_S)

    def _gone(self) -> WorkerGone:
        """Return why the process has ended."""
        code = self._process.wait()
        if -code in _KILLED:
            cause = "the decoder was killed, perhaps because the machine ran out of memory"
            return WorkerGone(cause, "Try again with more free memory.", by_file=False)
        if code < 0 and -code not in _CRASHES:
            return WorkerGone(f"the decoder was ended ({signal.strsignal(-code)})", "Try again.", by_file=False)
        name = signal.Signals(-code).name if code < 0 else f"exit status {code}"
        return WorkerGone(f"the decoder crashed ({name})", _CONVERT, by_file=True)
