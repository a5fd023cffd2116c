"""Embedding of items, with a cache: decoding runs ahead, and the model embeds in batches."""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import TYPE_CHECKING

from wave_search.batches import SHORT_BATCH_CLIPS, WHOLE_BATCH_BYTES, batched, clip_bytes, map_ahead
from wave_search.errors import MediaError, ModelError, UsageError
from wave_search.files import digest, mtime_ns
from wave_search.query import Encoder
from wave_search.reports import Progress
from wave_search.store import CacheKey, vector_space
from wave_search.types import Clip, MediaRef, Modality

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from wave_search.evaluation.datasets.dataset import Item
    from wave_search.media import DecoderPool
    from wave_search.models import Embedder
    from wave_search.reports import ProgressCallback
    from wave_search.store import EmbeddingCache
    from wave_search.types import Dtype, Role


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
    of_content: dict[tuple[Modality, str | None, Role, str], NDArray[np.float32]] = field(default_factory=dict)
    """The same vectors by modality, prompt and content: equal items have equal vectors, whatever their batches."""
    unusable: dict[Item, Unusable] = field(default_factory=dict)
    fresh: int = 0
    """Number of vectors computed by the model; the others are from the cache, or of equal content."""
    media_s: float = 0.0
    """Seconds of audio and video embedded."""


@dataclass(frozen=True, slots=True)
class _Missing:
    """An item whose vector is not in the cache."""

    item: Item
    key: str
    clip: Clip


class ItemEmbedder:
    """Embeds items.

    Args:
        model: the model.
        dtype: requested precision of the computation.
        decoders: processes that read media.
        cache: cache of vectors.
    """

    def __init__(self, model: Embedder, dtype: Dtype, decoders: DecoderPool, cache: EmbeddingCache) -> None:
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
        distinct = sorted(dict.fromkeys(items), key=_call)
        done = Embedded()
        ahead = map_ahead(
            self._fetch,
            distinct,
            threads=self._decoders.workers,
            ahead=SHORT_BATCH_CLIPS,
            interrupt=self._decoders.close,
        )
        with closing(ahead) as fetched:
            missing = self._missing(distinct, fetched, done, progress)
            for _, of_call in groupby(missing, lambda one: _call(one.item)):
                for batch in batched(of_call, _size_bytes, max_items=SHORT_BATCH_CLIPS, max_bytes=WHOLE_BATCH_BYTES):
                    self._embed(batch, done)
        return done

    def _missing(
        self,
        items: Sequence[Item],
        fetched: Iterable[NDArray[np.float32] | _Missing | Unusable],
        done: Embedded,
        progress: ProgressCallback | None,
    ) -> Iterator[_Missing]:
        """Yield the items that have to be embedded, and record the others."""
        for number, (item, one) in enumerate(zip(items, fetched, strict=True), start=1):
            if isinstance(one, _Missing):
                yield one
            elif isinstance(one, Unusable):
                done.unusable[item] = one
            else:
                done.vectors[item] = one
            if progress is not None:
                progress(_progress(item, number, len(items), done))

    def _fetch(self, item: Item) -> NDArray[np.float32] | _Missing | Unusable:
        """Take the vector of an item from the cache, or decode it. Called in threads."""
        try:
            key = self._key(item)
            cached = self._cached_as(item, key)
            vector = self._cache.get([cached]).get(cached)
            return _Missing(item, key, self._clip(item)) if vector is None else vector
        except (MediaError, UsageError) as error:
            return _unusable(item, error)

    def _cached_as(self, item: Item, key: str) -> CacheKey:
        return CacheKey(vector_space(self._model.spec, self._dtype, item.modality, item.prompt, item.role), key)

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
        known = (os.fsencode(path.resolve()), status.st_size, mtime_ns(status))
        digest = self._cache.file_digest(*known)
        if digest is None:
            digest = self._decoders.identify(path).digest
            self._cache.note_file_digest(*known, digest)
        return digest

    def _embed(self, batch: Sequence[_Missing], done: Embedded) -> None:
        first = batch[0].item
        modality, prompt, role = first.modality, first.prompt, first.role
        new = {one.key: one.clip for one in batch if (modality, prompt, role, one.key) not in done.of_content}
        try:
            clips = [replace(clip, role=role) for clip in new.values()]
            results = self._model.embed(clips, [modality], prompt) if new else []
        except (ModelError, UsageError) as error:
            if len(batch) == 1:
                done.unusable[batch[0].item] = _unusable(batch[0].item, error)
                return
            for one in batch:  # find the one that fails
                self._embed([one], done)
            return
        vectors = [(key, vectors[modality]) for key, vectors in zip(new, results, strict=True)]
        self._cache.put((self._cached_as(first, key), vector) for key, vector in vectors)
        done.of_content.update(((modality, prompt, role, key), vector) for key, vector in vectors)
        done.vectors.update((one.item, done.of_content[modality, prompt, role, one.key]) for one in batch)
        done.fresh += len(new)
        done.media_s += sum(map(_seconds, new.values()))


def _call(item: Item) -> tuple[str, bool, str, str]:
    """Return what all items of a call of the model share, in a form that can be sorted."""
    return item.modality.value, item.prompt is not None, item.prompt or "", item.role


def _size_bytes(one: _Missing) -> int:
    return clip_bytes(one.clip)


def _seconds(clip: Clip) -> float:
    if clip.frames is not None:
        return clip.frames.duration_s
    return len(clip.waveform.samples) / clip.waveform.sample_rate_hz if clip.waveform is not None else 0.0


def _unusable(item: Item, error: MediaError | UsageError | ModelError) -> Unusable:
    name = str(item.content.path) if isinstance(item.content, MediaRef) else item.content
    cause = error.cause if isinstance(error, MediaError) else error.message
    return Unusable(name, cause.removeprefix(f"{name}: "), error.remedy)


def _progress(item: Item, number: int, total: int, done: Embedded) -> Progress:
    return Progress(
        stage="embed",
        files_total=total,
        files_done=number,
        files_skipped=len(done.unusable),
        segments=done.fresh,
        media_s=done.media_s,
        current=item.content.path if isinstance(item.content, MediaRef) else None,
    )
