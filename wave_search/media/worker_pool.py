"""A pool of worker processes that identify and decode files."""

from __future__ import annotations

import math
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Self

from wave_search.errors import DecodeLimitError, MediaError, UsageError
from wave_search.media.info import DecodedSegment, DecodeRequest, MediaInfo
from wave_search.media.memory import divide_memory
from wave_search.media.source import RETRY
from wave_search.media.worker import Request
from wave_search.media.worker_process import Worker, WorkerGone

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from wave_search.media.preview import Preview, PreviewTask
    from wave_search.media.segmentation import Segmentation
    from wave_search.types import Modality, Sampling, Span

_SLOWEST_READ_BYTES_PER_S = 10_000_000
"""Lowest speed of reading within the time limit: identifying a file reads all of it, to compute its digest."""
_SLOWEST_DECODING = 2.0
"""Most CPU seconds for a second of media within the time limit."""


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
        self._idle: list[Worker] = []
        self._all: set[Worker] = set()
        self._peak_bytes = 0
        self._closed = False
        # Workers are killed when the thread that started them ends, so one long-lived thread starts them all.
        self._starter = ThreadPoolExecutor(1, thread_name_prefix="decoder-starter")

    @property
    def running(self) -> int:
        """Number of workers there are, busy or not."""
        return len(self._all)

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

    def preview(self, task: PreviewTask) -> Preview:
        """Make a preview of a file, and return the last of the values that the task yields.

        Args:
            task: what to make, and of which file.

        Raises:
            MediaError: it cannot be made of this file, or the file is not the one that the task is for.
            UsageError: the pool is closed.
        """
        newest: Preview
        *_, newest = self._ask(Request(task.file.path, task), task.reach_s)
        return newest

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

    def _ask(self, request: Request, reach_s: float) -> Iterator[Any]:
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
        except WorkerGone as gone:
            if self._closed:
                raise UsageError("the decoders were closed while a file was decoded") from gone
            error = DecodeLimitError if gone.by_file else MediaError
            raise error(request.path, gone.cause, gone.remedy) from gone
        finally:
            self._return(worker, borrower, finished)

    def _borrow(self, path: Path, borrower: int) -> Worker:
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
            worker = self._starter.submit(Worker, self._worker_bytes).result()
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

    def _return(self, worker: Worker, borrower: int, finished: bool) -> None:
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


def _size_bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except (OSError, ValueError):
        return 0
