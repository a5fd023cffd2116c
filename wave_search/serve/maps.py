"""Maps of the library: one for each modality, computed in the background, and kept on disk."""

from __future__ import annotations

import gzip
import threading
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from wave_search.errors import UsageError
from wave_search.files import digest
from wave_search.projection import preferred_method, project
from wave_search.system import thread_be_nice
from wave_search.types import Modality

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from wave_search.index import Index
    from wave_search.projection import Method
    from wave_search.query import SegmentSet
    from wave_search.serve.disk_cache import DiskCache

_VERSION = 1
"""Of the maps; an increase makes all of them anew."""
_NICENESS = 10
_PATIENCE_S = 0.3
"""Seconds that a request waits for a map: those of small libraries are ready by then."""
KINDS = ("text", "image", "audio", "video")
"""Kinds of files; a point has the position of its own."""
SIDE = (1 << 16) - 1
"""Coordinates of points are whole numbers from 0 to this."""


@dataclass(frozen=True, slots=True)
class LibraryMap:
    """The points of one modality."""

    segments: SegmentSet
    method: Method
    packed: bytes
    """With gzip: n segment ids as int64, n pairs of x and y as uint16, n kinds as uint8; little-endian."""
    tag: str
    """Identifies its content."""


@dataclass(frozen=True, slots=True)
class Computing:
    """A map that is not ready yet."""

    segments: SegmentSet
    progress: float
    """Share that is done, from 0 to 1."""


class _ClosedError(Exception):
    """The server ends."""


class _Task:
    """A map that is being computed."""

    def __init__(self, segments: SegmentSet) -> None:
        self.segments, self.progress = segments, 0.0
        self.future: Future[LibraryMap] = Future()


class Maps:
    """The maps of an index. Safe to use from several threads.

    Args:
        index: returns the index in its newest version.
        cache: keeps what was computed.
    """

    def __init__(self, index: Callable[[], Index], cache: DiskCache) -> None:
        self._index, self._cache = index, cache
        self._thread = ThreadPoolExecutor(1, "map", initializer=lambda: thread_be_nice(_NICENESS))
        self._ready: dict[Modality, LibraryMap] = {}
        self._tasks: dict[Modality, _Task] = {}
        self._segments: dict[Modality, SegmentSet] = {}
        self._lock = threading.Lock()
        self._closed = threading.Event()

    def close(self) -> None:
        """End what is being computed."""
        self._closed.set()
        self._thread.shutdown(cancel_futures=True)

    def modalities(self) -> dict[Modality, int]:
        """Return the number of segments of each modality that has some, the one with most of them first."""
        index = self._index()
        held = {modality: len(self._current(index, modality)) for modality in Modality}
        return dict(sorted(((of, count) for of, count in held.items() if count), key=lambda each: -each[1]))

    def get(self, modality: Modality | None = None) -> LibraryMap | Computing:
        """Return the map of the newest version, or how far it is. The first request starts its computation.

        While it is computed, the previous map is returned, if there is one: an index that grows has a map all the time.

        Args:
            modality: None for the one with most segments.

        Raises:
            UsageError: the index has no segments of the modality.
            WaveSearchError: the map cannot be computed; the next request tries again.
        """
        held = self.modalities()
        chosen = modality or next(iter(held), None)
        if chosen is None or chosen not in held:
            cause = "the index is empty" if chosen is None else f"the index holds no {chosen}"
            remedy = f"Ask for {', '.join(held)}." if held else "Index a folder: `wave-search index PATH`."
            raise UsageError(cause, remedy)
        segments = self._current(self._index(), chosen)
        with self._lock:
            ready = self._ready.get(chosen)
            if ready is not None and ready.segments is segments:
                return ready
            if chosen not in self._tasks:
                self._tasks[chosen] = task = _Task(segments)
                task.future = self._thread.submit(self._made, task)
            task = self._tasks[chosen]
        if not wait([task.future], _PATIENCE_S).done:
            return ready or Computing(task.segments, task.progress)
        with self._lock:
            if self._tasks.get(chosen) is task:
                del self._tasks[chosen]
            made = self._ready[chosen] = task.future.result()
        return made

    def ready(self, modality: Modality | None) -> LibraryMap:
        """Return the map of the newest version.

        Raises:
            UsageError: it is not ready.
        """
        found = self.get(modality)
        if isinstance(found, Computing):
            raise UsageError("the map is being computed", "Ask /api/map until its state is ready.")
        return found

    def _current(self, index: Index, modality: Modality) -> SegmentSet:
        with self._lock:
            known = self._segments.get(modality)
            if known is None or known.version != index.version:
                known = self._segments[modality] = index.segment_set(modality)
            return known

    def _made(self, task: _Task) -> LibraryMap:
        segments, method = task.segments, preferred_method()
        path = self._index().path
        key = digest(
            "\0".join(map(str, (_VERSION, "map", path, method, segments.fingerprint))).encode(
                "utf-8", "surrogateescape"
            )
        )

        def progress(share: float) -> None:
            if self._closed.is_set():
                raise _ClosedError
            task.progress = share

        def make(to: Path) -> None:
            found = project(segments.vectors, len(segments), method, progress)
            header = found.method.ljust(4).encode()
            to.write_bytes(header + gzip.compress(_packed(segments, found.points), 6, mtime=0))

        with self._cache.open(key, make) as file:
            used, packed = file.read(4).decode("ascii").strip(), file.read()
        return LibraryMap(segments, "umap" if used == "umap" else "pca", packed, key)


def _packed(segments: SegmentSet, points: NDArray[np.float32]) -> bytes:
    kinds = segments.file_values("kind")
    codes = np.array([KINDS.index(str(kind)) for kind in kinds], np.uint8)
    places = np.round(points * SIDE).astype("<u2")
    return b"".join((segments.ids.astype("<i8").tobytes(), places.tobytes(), codes.tobytes()))
