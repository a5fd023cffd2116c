"""Embedding of items, with a cache: decoding runs ahead, and the model embeds in batches."""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from wave_search.errors import MediaError, ModelError, UsageError
from wave_search.files import digest
from wave_search.query import Encoder
from wave_search.reports import Progress
from wave_search.store import CacheKey, vector_space
from wave_search.types import Clip, MediaRef, Modality

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from wave_search.evaluation.datasets.dataset import Item
    from wave_search.media import DecoderPool
    from wave_search.models import Embedder
    from wave_search.reports import ProgressCallback
    from wave_search.store import EmbeddingCache

BATCH_CLIPS = 8
"""Batch size, and number of clips decoded ahead. A clip of 128 frames takes 68 MB."""


@dataclass(frozen=True, slots=True)
class Unusable:
    """An item that could not be embedded, and the reason."""

    name: str
    """Path of the file, or the text itself."""
    cause: str
    remedy: str


@dataclass(slots=True)
class Embedded:
    """The items embedded so far."""

    vectors: dict[Item, NDArray[np.float32]] = field(default_factory=dict)
    """Vectors (dim,) of unit norm."""
    of_content: dict[tuple[Modality, str | None, str], NDArray[np.float32]] = field(default_factory=dict)
    """The same vectors by modality, prompt and content: equal items have equal vectors, whatever their batches."""
    unusable: dict[Item, Unusable] = field(default_factory=dict)
    fresh: int = 0
    """Number of vectors computed by the model; the others are from the cache, or of equal content."""
    media_s: float = 0.0
    """Seconds of audio and video embedded."""


@dataclass(frozen=True, slots=True)
class _Fetched:
    """The result of the decoding threads: an item with either its cached vector or its clip."""

    item: Item
    key: str
    vector: NDArray[np.float32] | None
    clip: Clip | None


class ItemEmbedder:
    """Embeds items.

    Args:
        model: the model.
        dtype: requested precision of the computation.
        decoders: processes that read media.
        cache: of vectors.
    """

    def __init__(self, model: Embedder, dtype: str, decoders: DecoderPool, cache: EmbeddingCache) -> None:
        self._model = model
        self._dtype = dtype
        self._decoders = decoders
        self._encoder = Encoder(lambda: decoders, lambda: model)
        self._cache = cache

    def embed(self, items: Iterable[Item], progress: ProgressCallback | None) -> Embedded:
        """Embed each distinct item. Items that cannot be read are skipped, and their cause is recorded.

        Raises:
            CacheError: the cache cannot be read or written.
        """
        # sorted, because a call of the model takes one modality and one prompt
        distinct = sorted(dict.fromkeys(items), key=lambda item: (item.modality, item.prompt or ""))
        done = Embedded()
        with closing(self._ahead(distinct)) as ahead:
            self._work(ahead, len(distinct), done, progress)
        return done

    def _work(
        self,
        ahead: Iterable[tuple[Item, Future[_Fetched]]],
        total: int,
        done: Embedded,
        progress: ProgressCallback | None,
    ) -> None:
        batch: list[_Fetched] = []
        for item, future in ahead:
            if batch and (len(batch) == BATCH_CLIPS or _kind(batch[0].item) != _kind(item)):
                self._embed(batch, done)
                batch = []
            try:
                fetched = future.result()
            except (MediaError, UsageError) as error:
                done.unusable[item] = _unusable(item, error)
            else:
                if fetched.vector is None:
                    batch.append(fetched)
                else:
                    done.vectors[item] = fetched.vector
            if progress is not None:
                progress(_progress(item, total, len(batch), done))
        self._embed(batch, done)

    def _ahead(self, items: Sequence[Item]) -> Generator[tuple[Item, Future[_Fetched]]]:
        pool = ThreadPoolExecutor(self._decoders.workers, thread_name_prefix="evaluation")
        waiting: deque[tuple[Item, Future[_Fetched]]] = deque()
        try:
            for item in items:
                waiting.append((item, pool.submit(self._fetch, item)))
                if len(waiting) >= BATCH_CLIPS:
                    yield waiting.popleft()
            while waiting:
                yield waiting.popleft()
        finally:
            if waiting:  # after an interruption, the clips being decoded are no longer needed
                self._decoders.close()
            pool.shutdown(cancel_futures=True)

    def _fetch(self, item: Item) -> _Fetched:
        key = self._key(item)
        cached = self._cached_as(item.modality, item.prompt, key)
        vector = self._cache.get([cached]).get(cached)
        if vector is not None:
            return _Fetched(item, key, vector, None)
        return _Fetched(item, key, None, self._clip(item))

    def _cached_as(self, modality: Modality, prompt: str | None, key: str) -> CacheKey:
        return CacheKey(vector_space(self._model.spec, self._dtype, modality, prompt), key)

    def _clip(self, item: Item) -> Clip:
        if item.sound is None or isinstance(item.content, str):
            return self._encoder.clip(item.content)
        frames = self._encoder.clip(replace(item.content, modality=Modality.VIDEO))
        return replace(frames, waveform=self._encoder.clip(item.sound).waveform)

    def _key(self, item: Item) -> str:
        if isinstance(item.content, str):
            return "text " + digest(item.content.encode())
        refs = [ref for ref in (item.content, item.sound) if ref is not None]
        return " ".join(f"{self._digest(ref.path)} {ref.start_s} {ref.stop_s}" for ref in refs)

    def _digest(self, path: Path) -> str:
        try:
            status = path.stat()
        except OSError:
            return self._decoders.identify(path).digest  # raises the specific error
        known = (os.fsencode(path.resolve()), status.st_size, status.st_mtime_ns)
        digest = self._cache.file_digest(*known)
        if digest is None:
            digest = self._decoders.identify(path).digest
            self._cache.note_file_digest(*known, digest)
        return digest

    def _embed(self, batch: Sequence[_Fetched], done: Embedded) -> None:
        if not batch:
            return
        modality, prompt = kind = _kind(batch[0].item)
        new = {fetched.key: fetched.clip for fetched in batch if (*kind, fetched.key) not in done.of_content}
        clips = [clip for clip in new.values() if clip is not None]
        try:
            results = self._model.embed(clips, [modality], prompt) if clips else []
        except (ModelError, UsageError) as error:
            if len(batch) == 1:
                done.unusable[batch[0].item] = _unusable(batch[0].item, error)
                return
            for fetched in batch:  # one by one, to find the item that fails
                self._embed([fetched], done)
            return
        vectors = [(key, vectors[modality]) for key, vectors in zip(new, results, strict=True)]
        self._cache.put((self._cached_as(modality, prompt, key), vector) for key, vector in vectors)
        done.of_content.update(((*kind, key), vector) for key, vector in vectors)
        done.vectors.update((fetched.item, done.of_content[*kind, fetched.key]) for fetched in batch)
        done.fresh += len(new)
        done.media_s += sum(_seconds(clip) for clip in clips)


def _kind(item: Item) -> tuple[Modality, str | None]:
    return item.modality, item.prompt


def _seconds(clip: Clip) -> float:
    if clip.frames is not None:
        return clip.frames.duration_s
    return len(clip.waveform.samples) / clip.waveform.sample_rate_hz if clip.waveform is not None else 0.0


def _unusable(item: Item, error: MediaError | UsageError | ModelError) -> Unusable:
    name = str(item.content.path) if isinstance(item.content, MediaRef) else item.content
    cause = error.cause if isinstance(error, MediaError) else error.message
    return Unusable(name, cause.removeprefix(f"{name}: "), error.remedy)


def _progress(item: Item, total: int, waiting: int, done: Embedded) -> Progress:
    return Progress(
        stage="embed",
        files_total=total,
        files_done=len(done.vectors) + len(done.unusable) + waiting,
        files_skipped=len(done.unusable),
        segments=done.fresh,
        media_s=done.media_s,
        current=item.content.path if isinstance(item.content, MediaRef) else None,
    )
