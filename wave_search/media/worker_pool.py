"""A pool of worker processes that identify and decode files."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Self

from wave_search.errors import DecodeLimitError, UsageError
from wave_search.media.info import DecodedSegment, DecodeRequest, MediaInfo
from wave_search.media.worker import Reply, Request

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from wave_search.errors import WaveSearchError
    from wave_search.media.segmentation import Segmentation
    from wave_search.types import Modality, Sampling, Span

MEMORY_BYTES = 4 << 30
"""Memory limit of a worker."""
_SLOWEST_READ_BYTES_PER_S = 10_000_000
"""Lowest read speed within the time limit: identifying a file reads all of it, to compute its digest."""
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
_PACKAGE_PARENT = Path(__file__).resolve().parents[2]
_REMEDY = "Convert it to another format, or exclude it."


def default_workers() -> int:
    """Return the number of cores, at most 4."""
    return min(4, len(os.sched_getaffinity(0)))


class DecoderPool:
    """Identifies and decodes files in worker processes. Thread-safe; a context manager.

    If a worker crashes, hangs or exceeds its memory limit, the file that it was decoding fails, and the worker is
    replaced. Workers are started on demand, and end with this process, however it ends.

    Args:
        workers: number of workers to keep. More are started temporarily if more files are decoded at once.
        sampling: how frames and audio are sampled; raises ModelError if its policy is unknown.
        audio_track: which audio tracks are decoded: "auto", "all", a number or a language. See `tracks.selected`.
        item_timeout_s: time limit for a file, in addition to its duration. Only the time spent waiting for the worker
            counts, not the time between two requested segments.

    Attributes:
        workers: number of workers that are kept.
    """

    def __init__(
        self, workers: int, sampling: Sampling, *, audio_track: str = "auto", item_timeout_s: float = 60.0
    ) -> None:
        self.workers = workers
        from wave_search.media.sampling import policy_of

        policy_of(sampling)
        self._sampling, self._audio_track = sampling, audio_track
        self._item_timeout_s = item_timeout_s
        self._lock = threading.Lock()
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
        limit_s = self._item_timeout_s + _size_bytes(path) / _SLOWEST_READ_BYTES_PER_S
        # Read the reply to its end: a worker with unread messages could not be reused.
        (info,) = [value for value in self._ask(Request(path), limit_s) if isinstance(value, MediaInfo)]
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
        stop_s = info.duration_s or 0.0
        if span is not None:
            stop_s = min(stop_s, span.stop_s)
        for value in self._ask(Request(path, request), self._item_timeout_s + stop_s):
            if isinstance(value, DecodedSegment):
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
        for worker in workers:
            worker.kill()
        self._starter.shutdown()

    def _ask(self, request: Request, limit_s: float) -> Iterator[MediaInfo | DecodedSegment]:
        worker = self._borrow()
        finished = False
        try:
            for value in worker.ask(request, limit_s):
                if isinstance(value, Exception):
                    finished = True
                    raise value
                yield value
            finished = True
        except _WorkerGone as gone:
            if self._closed:
                raise UsageError("the decoders were closed while a file was decoded") from gone
            raise DecodeLimitError(request.path, gone.cause, _REMEDY) from gone
        finally:
            self._return(worker, finished)

    def _borrow(self) -> _Worker:
        with self._lock:
            if self._closed:
                raise UsageError("the decoders are closed")
            while self._idle:
                worker = self._idle.pop()
                if worker.alive():
                    return worker
                self._all.discard(worker)
        worker = self._starter.submit(_Worker).result()
        with self._lock:
            self._all.add(worker)
        return worker

    def _return(self, worker: _Worker, finished: bool) -> None:
        self.peak_memory_bytes()
        with self._lock:
            if finished and not self._closed and len(self._idle) < self.workers:
                self._idle.append(worker)
                return
            self._all.discard(worker)
        worker.kill()


class _WorkerGone(Exception):  # noqa: N818 - becomes an error with a path
    """Raised if a worker died or exceeded its time limit."""

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


class _Worker:
    """A worker process and the socket to it."""

    def __init__(self) -> None:
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
                    str(MEMORY_BYTES),
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
            limit_s: maximum total time to wait, over all values of the reply.

        Raises:
            _WorkerGone: there is no complete reply. The worker is no longer usable.
        """
        left_s = limit_s
        try:
            self._connection.send_bytes(pickle.dumps(request, protocol=5))
            while True:
                asked_s = time.monotonic()
                if not self._connection.poll(max(left_s, 0.0)):
                    raise _WorkerGone(f"decoding took longer than the limit of {limit_s:.3g} s")
                reply: Reply = pickle.loads(self._connection.recv_bytes())  # noqa: S301 - from our own process
                left_s -= time.monotonic() - asked_s
                if reply.value is None:
                    return
                yield reply.value
        except (EOFError, OSError) as error:
            raise _WorkerGone(self._exit_cause()) from error

    def peak_bytes(self) -> int:
        """Return the largest resident set so far; 0 if the process has ended."""
        with contextlib.suppress(OSError, ValueError, StopIteration):
            status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="utf-8")
            return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:"))
        return 0

    def kill(self) -> None:
        """Kill the process."""
        self._process.kill()
        self._process.wait()

    def _exit_cause(self) -> str:
        code = self._process.wait()
        if code == -signal.SIGKILL:
            return "the decoder was killed, perhaps because the machine ran out of memory"
        name = signal.Signals(-code).name if code < 0 else f"exit status {code}"
        return f"the decoder crashed ({name})"


def _size_bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except (OSError, ValueError):
        return 0
