"""Sides of pairs as clips, read through the same decoders as everything that is indexed and searched."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Lock
from typing import TYPE_CHECKING, Self, TypeVar

from wave_search.errors import MediaError
from wave_search.media import DecoderPool, Segmentation
from wave_search.types import Clip, Modality

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from wave_search.finetune.rows import Side
    from wave_search.media import MediaInfo
    from wave_search.types import Sampling, Span

Item = TypeVar("Item")
Result = TypeVar("Result")
_WHOLE = Segmentation("none")
_MOST_WORKERS = 8
_READ_AHEAD = 2
"""Items that wait for each worker."""


class Loader:
    """Reads media. Thread-safe; a context manager.

    Args:
        sampling: of the model.
    """

    def __init__(self, sampling: Sampling) -> None:
        workers = min(_MOST_WORKERS, len(os.sched_getaffinity(0)))
        self._decoders = DecoderPool(workers, sampling)
        self._workers = workers
        self._pool = ThreadPoolExecutor(workers, "reader")
        self._lock = Lock()
        self._known: dict[Path, MediaInfo] = {}

    def identify(self, path: Path) -> MediaInfo:
        """Find out what a file is; it is read for that but once.

        Raises:
            MediaError: it cannot be used.
        """
        with self._lock:
            known = self._known.get(path)
        if known is None:
            known = self._decoders.identify(path)
            with self._lock:
                self._known[path] = known
        return known

    def clip(self, side: Side) -> Clip:
        """Decode a side whose modality is known.

        Raises:
            MediaError: a file cannot be decoded, or lacks what is asked of it.
            UsageError: the range begins behind the end of the file.
        """
        if side.path is None:
            return Clip(text=side.text)
        if side.sound is None:
            return self._decode(side.path, side.modality or Modality.AV, side.span)
        frames = self._decode(side.path, Modality.VIDEO, side.span).frames
        return Clip(frames=frames, waveform=self._decode(side.sound, Modality.AUDIO, side.span).waveform)

    def _decode(self, path: Path, modality: Modality, span: Span | None) -> Clip:
        info = self.identify(path)
        if modality not in info.modalities:
            raise MediaError(path, f"it cannot be used as {modality}, only as {', '.join(info.modalities)}")
        with closing(self._segments(path, info, [modality], span)) as segments:
            clip = next(segments, None)
            if clip is None or modality not in clip.modalities:
                raise MediaError(path, f"there is nothing in the range to be used as {modality}")
            # To the end of the answer: a fault behind the clip is one of the file, too.
            for _ in segments:
                pass
        return clip

    def _segments(
        self, path: Path, info: MediaInfo, modalities: Collection[Modality], span: Span | None
    ) -> Generator[Clip]:
        for segment in self._decoders.segments(path, info, _WHOLE, modalities, span):
            yield segment.clip

    def submit(self, sides: Iterable[Side]) -> list[Future[Clip]]:
        """Begin to decode sides in other threads."""
        return [self._pool.submit(self.clip, side) for side in sides]

    def map(self, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        """Like the built-in, in other threads, and no further ahead than a few items."""
        waiting: list[Future[Result]] = []
        for item in items:
            waiting.append(self._pool.submit(function, item))
            if len(waiting) >= _READ_AHEAD * self._workers:
                yield waiting.pop(0).result()
        for future in waiting:
            yield future.result()

    def close(self) -> None:
        """End the decoder processes."""
        self._decoders.close()
        self._pool.shutdown(cancel_futures=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
