"""Encoding of queries: embedding of texts, files and clips."""

from __future__ import annotations

from collections import OrderedDict
from concurrent.futures import Future
from contextlib import closing
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np

from wave_search.batches import WHOLE_BATCH_BYTES, Item, batched, clip_bytes
from wave_search.errors import BrokenMediaError, UsageError, shown
from wave_search.files import on_disk
from wave_search.media import WHOLE
from wave_search.models import check_text
from wave_search.query.in_memory import MemoryMedia, as_file, is_in_memory, read_memory
from wave_search.query.terms import AudioVideoPair
from wave_search.types import Clip, MediaRef, Modality, Span
from wave_search.vectors import normalize

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray

    from wave_search.media import DecoderPool, MediaInfo, Segmentation
    from wave_search.models import Embedder
    from wave_search.query.in_memory import InMemory
    from wave_search.types import Role, Target

    Embeddable = str | MediaRef | InMemory
    Checked = Embeddable | MemoryMedia

_RICHEST_FIRST = (Modality.AV, Modality.VIDEO, Modality.AUDIO, Modality.IMAGE, Modality.TEXT)
_NAMES = {
    Modality.TEXT: "text",
    Modality.IMAGE: "image",
    Modality.AUDIO: "audio",
    Modality.VIDEO: "video",
    Modality.AV: "audio and video",
}


_KEPT_TEXTS = 256
_VECTORS = "Use finite numbers, not all 0, of shape (dim,) or (rows, dim)."


class TextVectors:
    """The vectors of the last texts. Safe to use from several threads.

    The pages and the curves of a search ask for the same text again and again, and several users for the same one at
    once: each text is embedded by one of them, and the others wait for it. Different texts are not embedded in one
    call, although that would take a third of the time: the order of the additions varies with the size of a matrix, so
    that results would depend on what others ask at the same moment.

    Args:
        embed: embeds a text as (1, dim).
    """

    def __init__(self, embed: Callable[[str], NDArray[np.float32]]) -> None:
        self._embed = embed
        self._kept: OrderedDict[str, Future[NDArray[np.float32]]] = OrderedDict()
        self._lock = Lock()

    def of(self, text: str) -> NDArray[np.float32]:
        """Return the vector (1, dim) of a text, which is not to be changed. Raises whatever `embed` raises."""
        with self._lock:
            known = self._kept.get(text)
            if known is None:
                mine = self._kept[text] = Future()
                if len(self._kept) > _KEPT_TEXTS:
                    self._kept.popitem(last=False)
            else:
                self._kept.move_to_end(text)
        if known is not None:
            return known.result()
        try:
            rows = self._embed(text)
        except BaseException as error:
            with self._lock:
                if self._kept.get(text) is mine:
                    del self._kept[text]
            mine.set_exception(error)
            raise
        rows.flags.writeable = False
        mine.set_result(rows)
        return rows


class Encoder:
    """Embeds queries the way the indexer embeds segments, so that equal clips get equal vectors.

    Args:
        decoders: returns the decoder processes; called when a file is read.
        embedder: returns the model; called when a clip is embedded.

    Attributes:
        decoders: the same.
    """

    def __init__(self, decoders: Callable[[], DecoderPool], embedder: Callable[[], Embedder]) -> None:
        self.decoders = decoders
        self._embedder = embedder
        self._texts = TextVectors(lambda text: self._embedded(text, WHOLE, None))

    @property
    def dim(self) -> int:
        """Number of dimensions of the vectors."""
        return self._embedder().spec.dim

    def choose(self, available: Collection[Modality]) -> Modality:
        """Return the richest of some modalities that the model embeds.

        Raises:
            UsageError: it embeds none of them, or there is none.
        """
        spec = self._embedder().spec
        if not available:
            raise UsageError("the clip is empty")
        if not (possible := [modality for modality in available if modality in spec.modalities]):
            spec.check_embeds(next(iter(available)))
        return choose_modality(possible)

    def identify(self, path: Path) -> MediaInfo:
        """Identify a file. Needs no model. Raises MediaError."""
        return self.decoders().identify(on_disk(path))

    def encode_query(
        self, item: Checked | AudioVideoPair, segmentation: Segmentation, instruction: str | None = None
    ) -> NDArray[np.float32]:
        """Embed one item, cut into segments like the files of an index.

        The segments of an `AudioVideoPair` are paired in order; those of the shorter file are repeated.

        Returns:
            (q, dim) float32 of unit norm, one row for each segment.

        Raises:
            MediaError: the file cannot be read.
            UsageError: the file lacks the modality of the reference, for example audio.
        """
        if isinstance(item, str):
            check_text(item)
            return self._texts.of(item)
        return self._embedded(item, segmentation, instruction)

    def _embedded(
        self, item: Checked | AudioVideoPair, segmentation: Segmentation, instruction: str | None
    ) -> NDArray[np.float32]:
        with closing(self._clips(item, segmentation)) as clips:
            return np.stack(self._embed_all(clips, instruction))

    def clip(self, item: Checked) -> Clip:
        """Decode one item as a whole. Safe to call from several threads.

        Raises:
            MediaError: the file cannot be read.
            UsageError: the file lacks the modality of the reference, for example audio; or the text is empty.
        """
        return self.first_clip(item)[0]

    def first_clip(self, item: Checked) -> tuple[Clip, Modality]:
        """Decode one item as a whole, with what it is to be embedded as. Raises like `clip`."""
        with closing(self._clips(item, WHOLE)) as clips:
            first = next(clips)
            # Read to the end, because a decoder with unread segments is killed and replaced.
            for _ in clips:
                pass
        return first

    def embed_clips(
        self, pairs: Sequence[tuple[Clip, Modality]], instruction: str | None, role: Role = "query"
    ) -> Iterator[NDArray[np.float32]]:
        """Embed each clip as its modality: (dim,) of unit norm, in their order."""
        # A call embeds all its clips as all its modalities, so each modality gets its own call.
        vectors: dict[int, NDArray[np.float32]] = {}
        for modality in dict.fromkeys(modality for _, modality in pairs):
            places = [place for place, pair in enumerate(pairs) if pair[1] == modality]
            clips = [replace(pairs[place][0], role=role) for place in places]
            results = self._embedder().embed(clips, [modality], instruction)
            vectors.update((place, result[modality]) for place, result in zip(places, results, strict=True))
        return (vectors[place] for place in range(len(pairs)))

    def _embed_all(self, pairs: Iterable[tuple[Clip, Modality]], instruction: str | None) -> list[NDArray[np.float32]]:
        parts = batched(pairs, lambda pair: clip_bytes(pair[0]), max_bytes=WHOLE_BATCH_BYTES)
        return [row for part in parts for row in self.embed_clips(part, instruction)]

    def _clips(self, item: Checked | AudioVideoPair, segmentation: Segmentation) -> Generator[tuple[Clip, Modality]]:
        if isinstance(item, str):
            check_text(item)
            yield Clip(text=item), Modality.TEXT
        elif isinstance(item, MemoryMedia):
            yield from self._in_memory(item, segmentation)
        elif isinstance(item, MediaRef):
            yield from self._read(item, segmentation)
        elif isinstance(item, AudioVideoPair):
            for (sound, _), (picture, _) in in_step(
                lambda: self._medium(item.sound, segmentation), lambda: self._medium(item.picture, segmentation)
            ):
                yield Clip(frames=picture.frames, waveform=sound.waveform), Modality.AV
        elif is_in_memory(item):
            yield from self._in_memory(read_memory(item), segmentation)
        else:
            raise UsageError(
                f"{shown(item)} cannot be embedded",
                "Use text, media in memory, or a file as Audio, Video, Image or AV of it.",
            )

    def _in_memory(self, media: MemoryMedia, segmentation: Segmentation) -> Generator[tuple[Clip, Modality]]:
        if isinstance(media.content, bytes):
            with as_file(media) as path:
                modality = media.modality or self.choose(self.identify(path).modalities)
                yield from self._read(MediaRef(path, modality), segmentation)
            return
        from wave_search.media.arrays import sampled_clips

        modality, found = media.modality or self.choose(media.content.modalities), False
        for clip in sampled_clips(media.content, self._embedder().spec.sampling, segmentation):
            if modality in clip.modalities:
                found = True
                yield clip, modality
        if not found:
            raise UsageError(f"{media}: it is too short to embed", "Use a longer one.")

    def _medium(self, media: MediaRef | MemoryMedia, segmentation: Segmentation) -> Generator[tuple[Clip, Modality]]:
        read = self._read if isinstance(media, MediaRef) else self._in_memory
        return read(media, segmentation)  # type: ignore[arg-type]

    def _read(self, ref: MediaRef, segmentation: Segmentation) -> Generator[tuple[Clip, Modality]]:
        decoders, path = self.decoders(), on_disk(ref.path)
        info = decoders.identify(path)
        is_still = ref.modality is Modality.IMAGE and ref.start_s is not None and Modality.VIDEO in info.modalities
        if ref.modality not in info.modalities and not is_still:
            offers = ", ".join(info.modalities)
            still = ref.modality is Modality.IMAGE and Modality.VIDEO in info.modalities
            hint = ", and a still of it as FILE@SECONDS" if still else ""
            raise UsageError(
                f"{ref.path}: the file has no {_NAMES[ref.modality]}", f"It can be used as {offers}{hint}."
            )
        span = span_of(ref.path, info.duration_s, ref.start_s, ref.stop_s)
        segment = None
        for segment in decoders.segments(path, info, segmentation, [ref.modality], span):
            yield segment.clip, ref.modality
        if segment is None:
            raise BrokenMediaError(ref.path, "it has no segment to embed")


def choose_modality(
    available: Collection[Modality], target: Target | Modality | tuple[Modality, ...] = "any"
) -> Modality:
    """Return the modality to embed a file as: the target if the file has it, otherwise the richest one that it has.

    Of several targets it is the richest one.
    """
    wanted = target if isinstance(target, tuple) else (target,)
    available = [modality for modality in available if modality in wanted] or available
    return next(modality for modality in _RICHEST_FIRST if modality in available)


def span_of(path: Path, duration_s: float | None, start_s: float | None, stop_s: float | None) -> Span | None:
    """Return a range clipped to the end of the file; None for the whole file.

    Raises:
        UsageError: the file has no duration, or the range begins after its end.
    """
    if start_s is None and stop_s is None:
        return None
    if duration_s is None:
        raise UsageError(f"{path}: the file has no duration, so it has no range", "Leave the range out.")
    start_s, stop_s = start_s or 0.0, min(stop_s or duration_s, duration_s)
    if start_s >= stop_s:
        raise UsageError(f"{path}: the range begins after the end of the file, {duration_s:.2f} s")
    return Span(start_s, stop_s)


def in_step(
    first: Callable[[], Generator[Item]], second: Callable[[], Generator[Item]]
) -> Generator[tuple[Item, Item]]:
    """Iterate over two streams in parallel until both have ended, repeating the shorter one."""
    streams, over = [first(), second()], [False, False]
    try:
        while True:
            left, right = (next(stream, None) for stream in streams)
            over = [over[0] or left is None, over[1] or right is None]
            if all(over):
                return
            if left is None:
                streams[0] = first()
                left = next(streams[0])
            if right is None:
                streams[1] = second()
                right = next(streams[1])
            yield left, right
    finally:
        for stream in streams:
            stream.close()


def similarity(a: ArrayLike, b: ArrayLike) -> NDArray[np.float32]:
    """Return the cosine similarity of each row of `a` with each row of `b`.

    Args:
        a: (n, dim) or (dim,), finite and not all 0, of any norm.
        b: (m, dim) or (dim,).

    Returns:
        (n, m) float32.

    Raises:
        UsageError: they are not vectors, or of different dimensions.
    """
    left, right = _rows_of(a), _rows_of(b)
    if left.shape[1] != right.shape[1]:
        raise UsageError(f"vectors of {left.shape[1]} dimensions cannot be compared with those of {right.shape[1]}")
    products: NDArray[np.float32] = left @ right.T
    return products


def _rows_of(vectors: ArrayLike) -> NDArray[np.float32]:
    try:
        rows = normalize(np.atleast_2d(np.asarray(vectors, np.float32)))
        if rows.ndim != 2:
            raise ValueError(rows.shape)
    except (TypeError, ValueError):
        raise UsageError(f"{shown(vectors)} has no similarity", _VECTORS) from None
    return rows
