"""A pool of worker processes that identify and decode files."""

from __future__ import annotations

import contextlib
import math
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Self

from wave_search.errors import DecodeLimitError, MediaError, UsageError
from wave_search.media.info import DecodedSegment, DecodeRequest, MediaInfo
from wave_search.media.memory import divide_memory
from wave_search.media.source import RETRY
from wave_search.media.worker import Reply, Request

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from wave_search.errors import WaveSearchError
    from wave_search.media.segmentation import Segmentation
    from wave_search.types import Modality, Sampling, Span

_SLOWEST_READ_BYTES_PER_S = 10_000_000
"""Lowest speed of reading within the time limit: identifying a file reads all of it, to compute its digest."""
_SLOWEST_DECODING = 2.0
"""Most CPU seconds for a second of media within the time limit."""
STALL_S = 60.0
"""A worker that has not computed anything for so long waits for a disk, or is stopped."""
_STEP_S = 1.0
"""Time between two looks at a worker that has not answered yet."""
_KILL_S = 5.0
_CRASHES = frozenset({signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGFPE, signal.SIGILL, signal.SIGTRAP})
"""Signals that a decoder raises itself, by a fault in it. Others are sent by the system or by a user."""
# Imports the package of this process. A script's directory, which may contain a "soundfile.py", comes last in the path.
_BOOT = """
import sys
sys.path.insert(0, sys.argv[4])
import wave_search
del sys.path[0]
sys.path.extend(entry for entry in sys.argv[5:] if entry not in sys.path)
from wave_search.media.worker import main
main(*map(int, sys.argv[1:4]))
"""
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PACKAGE_PARENT = Path(__file__).resolve().parents[2]
_CONVERT = "Convert it to another format, or exclude it."


def default_workers() -> int:
    """Return the number of cores, at most 4."""
    return min(4, len(os.sched_getaffinity(0)))


class DecoderPool:
    """Identifies and decodes files in worker processes. Thread-safe; a context manager.

    If a worker crashes, computes without end or exceeds its memory limit, the file that it was decoding fails, and the
    worker is replaced. If it is killed from outside, or does not answer without computing, the failure is not the
    file's: the error is then a plain MediaError. Workers are started on demand, and end with this process, however it
    ends.

    Args:
        workers: most workers at once: calls from more threads wait. (A thread that decodes several files at once does
            not wait for itself; further workers are started for it.)
        sampling: how frames and audio are sampled; raises ModelError if its policy is unknown.
        audio_track: which audio tracks are decoded: "auto", "all", a number or a language. See `track_choice.selected`.
        memory_bytes: memory of all workers together, of which each may use an equal part; None for a quarter of the
            machine's. There are fewer workers if each had less than 1 GiB.
        item_timeout_s: CPU time that a worker may take for each answer, in addition to what the size and the duration
            of the file allow.

    Attributes:
        workers: most workers at once.

    Raises:
        UsageError: the memory is too little for one decoder.
    """

    def __init__(
        self,
        workers: int,
        sampling: Sampling,
        *,
        audio_track: str = "auto",
        memory_bytes: int | None = None,
        item_timeout_s: float = 45.0,
    ) -> None:
        from wave_search.media.sampling import policy_of

        policy_of(sampling)
        self.workers, self._worker_bytes = divide_memory(memory_bytes, workers)
        self._sampling, self._audio_track = sampling, audio_track
        self._item_timeout_s = item_timeout_s
        self._lock = threading.Lock()
        self._returned = threading.Condition(self._lock)
        self._borrowers: list[int] = []
        """Threads that use a worker now, by id."""
        self._idle: list[_Worker] = []
        self._all: set[_Worker] = set()
        self._peak_bytes = 0
        self._closed = False
        # Workers are killed when the thread that started them ends, so one long-lived thread starts them all.
        self._starter = ThreadPoolExecutor(1, thread_name_prefix="decoder-starter")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def identify(self, path: Path) -> MediaInfo:
        """Identify a file by its content, and compute its digest.

        Args:
            path: any file; never interpreted as a URL or an option.

        Raises:
            MediaError: it cannot be used. A subclass, unless reading it failed for a possibly transient reason.
            UsageError: the pool is closed.
        """
        # Read the reply to its end: a worker with unread messages could not be reused.
        (info,) = [value for value in self._ask(Request(path), 0.0) if isinstance(value, MediaInfo)]
        return info

    def segments(
        self,
        path: Path,
        info: MediaInfo,
        segmentation: Segmentation,
        modalities: Collection[Modality],
        span: Span | None = None,
    ) -> Iterator[DecodedSegment]:
        """Decode a file segment by segment, in order of time.

        The worker is at most one segment ahead. The arrays of a segment depend only on the file and the range, so that
        decoding a range again returns the same arrays. Closing the iterator early stops the worker.

        Args:
            path: of the file.
            info: result of `identify`.
            segmentation: how to cut it.
            modalities: modalities that the segments are needed for. Other streams are not decoded, and segments with
                none of these are skipped.
            span: decode only this range; segments are cut from its beginning.

        Raises:
            MediaError: it cannot be decoded completely. Segments before the error are valid.
            UsageError: the range is outside the file; scenes are requested and PySceneDetect is not installed; or the
                pool is closed.
        """
        request = DecodeRequest(info, segmentation, frozenset(modalities), span, self._sampling, self._audio_track)
        # To find the first segment, a decoder may have to read the file up to there; to find scenes, all of it.
        length_s = segmentation.length_s if segmentation.mode == "fixed" else math.inf
        reach_s = min((span.start_s if span else 0.0) + 2 * length_s, info.duration_s or 0.0)
        for value in self._ask(Request(path, request), reach_s):
            if isinstance(value, DecodedSegment) and value.clip.modalities:
                yield value

    def peak_memory_bytes(self) -> int:
        """Return the highest sum so far of the peak memory of all workers."""
        with self._lock:
            self._peak_bytes = max(self._peak_bytes, sum(worker.peak_bytes() for worker in self._all))
            return self._peak_bytes

    def close(self) -> None:
        """Kill all workers, including busy ones."""
        self.peak_memory_bytes()
        with self._lock:
            self._closed = True
            workers, self._idle = list(self._all), []
            self._returned.notify_all()
        for worker in workers:
            worker.kill()
        self._starter.shutdown()

    def _ask(self, request: Request, reach_s: float) -> Iterator[MediaInfo | DecodedSegment]:
        limit_s = self._item_timeout_s + _size_bytes(request.path) / _SLOWEST_READ_BYTES_PER_S
        borrower = threading.get_ident()
        worker = self._borrow(request.path, borrower)
        finished = False
        try:
            for value in worker.ask(request, limit_s + _SLOWEST_DECODING * reach_s):
                if isinstance(value, Exception):
                    finished = True
                    raise value
                yield value
            finished = True
        except _WorkerGone as gone:
            if self._closed:
                raise UsageError("the decoders were closed while a file was decoded") from gone
            error = DecodeLimitError if gone.by_file else MediaError
            raise error(request.path, gone.cause, gone.remedy) from gone
        finally:
            self._return(worker, borrower, finished)

    def _borrow(self, path: Path, borrower: int) -> _Worker:
        with self._lock:
            self._returned.wait_for(
                lambda: self._closed or len(self._borrowers) < self.workers or borrower in self._borrowers
            )
            if self._closed:
                raise UsageError("the decoders are closed")
            self._borrowers.append(borrower)
            while self._idle:
                worker = self._idle.pop()
                if worker.alive():
                    return worker
                self._all.discard(worker)
        try:
            worker = self._starter.submit(_Worker, self._worker_bytes).result()
        except BaseException as error:
            with self._lock:
                self._leave(borrower)
            if isinstance(error, OSError):  # too many processes, too many open files
                cause = f"no decoder can be started ({error.strerror})"
                raise MediaError(path, cause, RETRY) from error
            raise
        with self._lock:
            self._all.add(worker)
        return worker

    def _return(self, worker: _Worker, borrower: int, finished: bool) -> None:
        self.peak_memory_bytes()
        with self._lock:
            keep = finished and not self._closed and len(self._idle) < self.workers
            if keep:
                self._idle.append(worker)
            else:
                self._all.discard(worker)
        if not keep:
            worker.kill()
        with self._lock:
            self._leave(borrower)

    def _leave(self, borrower: int) -> None:
        self._borrowers.remove(borrower)
        self._returned.notify_all()


class _WorkerGone(Exception):  # noqa: N818 - becomes an error with a path
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


class _Worker:
    """A worker process and the socket to it.

    Args:
        memory_bytes: limit of its memory.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(self, memory_bytes: int) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter
                [
                    sys.executable,
                    "-P",
                    "-c",
                    _BOOT,
                    str(theirs.fileno()),
                    str(os.getpid()),
                    str(memory_bytes),
                    str(_PACKAGE_PARENT),
                    *sys.path,
                ],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._connection = Connection(ours.detach())

    def alive(self) -> bool:
        """Return whether the process is running."""
        return self._process.poll() is None

    def ask(self, request: Request, limit_s: float) -> Iterator[MediaInfo | DecodedSegment | WaveSearchError]:
        """Send a request, and yield the values of the reply as they arrive.

        Args:
            request: the request.
            limit_s: maximum CPU time of the worker for each value of the reply.

        Raises:
            _WorkerGone: there is no complete reply. The worker is no longer usable.
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
                raise _WorkerGone(cause, _CONVERT, by_file=True)
            # Steps are counted rather than time, because this process may have been stopped as well.
            waited_s = 0.0 if now_s > newest_s else waited_s + _STEP_S
            newest_s = now_s
            if waited_s >= STALL_S:
                cause = f"the decoder did not respond for {STALL_S:.3g} s: it waits for the disk, or was stopped"
                raise _WorkerGone(cause, RETRY, by_file=False)

    def _cpu_s(self) -> float:
        """Return the CPU time of the process so far, in seconds; 0.0 if it has ended."""
        with contextlib.suppress(OSError):
            stat = Path(f"/proc/{self._process.pid}/stat").read_text(encoding="utf-8", errors="replace")
            user, system = stat.rpartition(")")[2].split()[11:13]
            return (int(user) + int(system)) / _TICKS_PER_S
        return 0.0

    def peak_bytes(self) -> int:
        """Return the largest resident set so far; 0 if the process has ended."""
        with contextlib.suppress(OSError, ValueError, StopIteration):
            status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="utf-8")
            return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:"))
        return 0

    def kill(self) -> None:
        """Kill the process."""
        self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):  # the kernel ends none that waits for a dead disk
            self._process.wait(_KILL_S)

    def _gone(self) -> _WorkerGone:
        """Return why the process has ended."""
        code = self._process.wait()
        if code == -signal.SIGKILL:
            cause = "the decoder was killed, perhaps because the machine ran out of memory"
            return _WorkerGone(cause, "Try again with more free memory.", by_file=False)
        if code < 0 and -code not in _CRASHES:
            return _WorkerGone(f"the decoder was ended ({signal.strsignal(-code)})", "Try again.", by_file=False)
        name = signal.Signals(-code).name if code < 0 else f"exit status {code}"
        return _WorkerGone(f"the decoder crashed ({name})", _CONVERT, by_file=True)


def _size_bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except (OSError, ValueError):
        return 0
