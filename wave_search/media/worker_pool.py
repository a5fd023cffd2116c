"""Worker processes that decode, seen from the process that asks."""

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
from wave_search.media.info import DecodedSegment, MediaInfo, Wanted
from wave_search.media.worker import Reply, Request

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from wave_search.errors import WaveSearchError
    from wave_search.media.segmentation import Segmentation
    from wave_search.types import Modality, Sampling, Span

MEMORY_BYTES = 4 << 30
"""What one decoder may use."""
_SLOWEST_READ_BYTES_PER_S = 10_000_000
"""Files are read once as a whole to identify them, which takes a while on slow disks."""
# The folder of a script and the current one stay out of the path: a "types.py" there would be imported.
_BOOT = """
import sys
sys.path[:] = sys.argv[4:]
from wave_search.media.worker import main
main(*map(int, sys.argv[1:4]))
"""
_REMEDY = "Convert it to another format, or leave it out."


class DecoderPool:
    """Identifies and decodes files in worker processes. Thread-safe; a context manager.

    A worker that crashes, hangs or wants too much memory costs the file that it was busy with, and is replaced. Workers
    are started when they are needed. They end with this process, however it ends.

    Args:
        workers: how many are kept. More run for a while if more threads (or unfinished iterators) ask at once.
        sampling: how frames and sound are sampled; raises ModelError if its policy is unknown.
        item_timeout_s: for one file, beside the seconds of media in it. The time in which nobody asks for the next
            segment does not count.

    Attributes:
        workers: how many threads can ask without new workers.
    """

    def __init__(self, workers: int, sampling: Sampling, item_timeout_s: float = 60.0) -> None:
        self.workers = workers
        from wave_search.media.sampling import policy_of

        policy_of(sampling)
        self._sampling = sampling
        self._item_timeout_s = item_timeout_s
        self._lock = threading.Lock()
        self._idle: list[_Worker] = []
        self._all: set[_Worker] = set()
        self._peak_bytes = 0
        self._closed = False
        # Workers are killed when the thread that started them ends, so one thread that lives long starts them all.
        self._starter = ThreadPoolExecutor(1, thread_name_prefix="decoder-starter")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def identify(self, path: Path) -> MediaInfo:
        """Find out what a file is, by its content, and digest it.

        Args:
            path: of a file of any kind. It is never taken for anything but a path.

        Raises:
            MediaError: it cannot be used.
        """
        limit_s = self._item_timeout_s + _size_bytes(path) / _SLOWEST_READ_BYTES_PER_S
        # To the end of the answer: a worker that is left with a part of it is of no further use.
        (info,) = [value for value in self._ask(Request(path), limit_s) if isinstance(value, MediaInfo)]
        return info

    def segments(
        self,
        path: Path,
        info: MediaInfo,
        segmenting: Segmentation,
        modalities: Collection[Modality],
        span: Span | None = None,
    ) -> Iterator[DecodedSegment]:
        """Decode a file segment by segment, in order of time.

        The worker is at most one segment ahead. What a segment holds depends on the file and its range alone: decoding
        a range again gives the same arrays. Closing the iterator early ends the worker's work on the file.

        Args:
            path: of the file.
            info: what `identify` said of it.
            segmenting: how it is cut.
            modalities: what the segments are needed for. Nothing else is decoded, and a segment that serves for none of
                them is left out.
            span: decode only this range; segments are cut from its beginning.

        Raises:
            MediaError: it cannot be decoded, or not to the end. Segments that came before the error are good.
            UsageError: the range lies outside the file, or scenes are asked for and PySceneDetect is not installed.
        """
        wanted = Wanted(info, segmenting, frozenset(modalities), span, self._sampling)
        stop_s = info.duration_s or 0.0
        if span is not None:
            stop_s = min(stop_s, span.stop_s)
        for value in self._ask(Request(path, wanted), self._item_timeout_s + stop_s):
            if isinstance(value, DecodedSegment):
                yield value

    def peak_memory_bytes(self) -> int:
        """Largest sum so far of what the workers held in memory, each at its peak."""
        with self._lock:
            self._peak_bytes = max(self._peak_bytes, sum(worker.peak_bytes() for worker in self._all))
            return self._peak_bytes

    def close(self) -> None:
        """End all workers, also busy ones."""
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
                raise UsageError("the decoders were closed while a file was being read") from gone
            raise DecodeLimitError(request.path, gone.cause, _REMEDY) from gone
        finally:
            self._give_back(worker, finished)

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

    def _give_back(self, worker: _Worker, finished: bool) -> None:
        self.peak_memory_bytes()
        with self._lock:
            if finished and not self._closed and len(self._idle) < self.workers:
                self._idle.append(worker)
                return
            self._all.discard(worker)
        worker.kill()


class _WorkerGone(Exception):  # noqa: N818 - becomes an error with a path
    """A worker died, or was killed because its time was up."""

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


class _Worker:
    """One worker process and the socket to it."""

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
                    *sys.path,
                ],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._channel = Connection(ours.detach())

    def alive(self) -> bool:
        """Tell whether it can be asked."""
        return self._process.poll() is None

    def ask(self, request: Request, limit_s: float) -> Iterator[MediaInfo | DecodedSegment | WaveSearchError]:
        """Send a request, and give the values of the answer as they come.

        Args:
            request: what to do.
            limit_s: how long to wait, all waits together.

        Raises:
            _WorkerGone: there is no answer, or not all of it. The worker is no longer usable.
        """
        left_s = limit_s
        try:
            self._channel.send_bytes(pickle.dumps(request, protocol=5))
            while True:
                asked_s = time.monotonic()
                if not self._channel.poll(max(left_s, 0.0)):
                    raise _WorkerGone(f"decoding it did not end within {limit_s:.3g} s")
                reply: Reply = pickle.loads(self._channel.recv_bytes())  # noqa: S301 - from our own process
                left_s -= time.monotonic() - asked_s
                if reply.value is None:
                    return
                yield reply.value
        except (EOFError, OSError) as error:
            raise _WorkerGone(self._how_it_ended()) from error

    def peak_bytes(self) -> int:
        """Largest resident set so far; 0 if it has ended."""
        with contextlib.suppress(OSError, ValueError, StopIteration):
            status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="utf-8")
            return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:"))
        return 0

    def kill(self) -> None:
        """End it, whatever it is doing."""
        self._process.kill()
        self._process.wait()

    def _how_it_ended(self) -> str:
        code = self._process.wait()
        if code == -signal.SIGKILL:
            return "the decoder was killed, perhaps for want of memory"
        name = signal.Signals(-code).name if code < 0 else f"exit status {code}"
        return f"the decoder crashed ({name})"


def _size_bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except (OSError, ValueError):
        return 0
