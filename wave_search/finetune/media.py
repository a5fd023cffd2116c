"""Decoding of the sides of pairs as clips, with the decoders of the indexer, and their check before training."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING, Self

from wave_search.batches import Item, Result, map_ahead
from wave_search.errors import MediaError, UsageError
from wave_search.evaluation.datasets.rows import BadRow
from wave_search.media import WHOLE, DecoderPool
from wave_search.models.wave.network import audio_tower_tokens
from wave_search.models.wave.preprocess import prepare
from wave_search.system import cores
from wave_search.types import Clip, Modality

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from wave_search.finetune.data import Pair, Side
    from wave_search.media import MediaInfo
    from wave_search.models.wave.config import WaveConfig
    from wave_search.types import Sampling, Span

_MAX_WORKERS = 8
_READ_AHEAD = 2
"""Number of queued items per worker."""


class Loader:
    """Decodes media files. Thread-safe; a context manager.

    Args:
        sampling: of the model.
    """

    def __init__(self, sampling: Sampling) -> None:
        workers = min(_MAX_WORKERS, cores())
        self._decoders = DecoderPool(workers, sampling)
        self._workers = workers
        self._pool = ThreadPoolExecutor(workers, "reader")
        self._lock = Lock()
        self._known: dict[Path, MediaInfo] = {}

    def identify(self, path: Path) -> MediaInfo:
        """Identify a file, which is read only once.

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
            MediaError: a file cannot be decoded, or has no content of that modality.
            UsageError: the range begins after the end of the file.
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
                raise MediaError(path, f"there is nothing in the range that can be used as {modality}")
            # Read to the end, because an error after the clip is also an error of the file.
            for _ in segments:
                pass
        return clip

    def _segments(
        self, path: Path, info: MediaInfo, modalities: Collection[Modality], span: Span | None
    ) -> Generator[Clip]:
        for segment in self._decoders.segments(path, info, WHOLE, modalities, span):
            yield segment.clip

    def submit(self, sides: Iterable[Side]) -> list[Future[Clip]]:
        """Start decoding sides in other threads."""
        return [self._pool.submit(self.clip, side) for side in sides]

    def map(self, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        """Apply a function to items in other threads, a few items ahead of the caller."""
        ahead, interrupt = _READ_AHEAD * self._workers, self._decoders.close
        return map_ahead(function, items, threads=self._workers, ahead=ahead, interrupt=interrupt)

    def close(self) -> None:
        """End the decoder processes."""
        self._decoders.close()
        self._pool.shutdown(cancel_futures=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def check_media(
    pairs: Sequence[Pair], loader: Loader, config: WaveConfig, report: Callable[[int], None]
) -> list[Pair | BadRow]:
    """Decode the media of pairs once before training, because an error during training would change all later batches.

    Args:
        pairs: pairs with the modalities of their rows.
        loader: reads media.
        config: of the model.
        report: called with the number of checked pairs.

    Returns:
        For each pair, the pair with its modalities resolved, or the reason why it cannot be used.
    """
    results: list[Pair | BadRow] = []
    for result in loader.map(lambda pair: _checked(pair, loader, config), pairs):
        results.append(result)
        report(len(results))
    return results


def resolved(pair: Pair, loader: Loader) -> Pair:
    """Resolve the modalities that the row of a pair leaves open from the content of the files.

    Raises:
        MediaError: a file cannot be used.
    """
    return replace(pair, query=_resolved(pair.query, loader), target=_resolved(pair.target, loader))


def _resolved(side: Side, loader: Loader) -> Side:
    if side.modality is not None or side.path is None:
        return side
    offers = loader.identify(side.path).modalities
    if offers == (Modality.TEXT,):
        raise MediaError(side.path, "a text, but audio, video or an image is needed")
    return replace(side, modality=Modality.AV if Modality.AV in offers else offers[0])


def _checked(pair: Pair, loader: Loader, config: WaveConfig) -> Pair | BadRow:
    try:
        pair = resolved(pair, loader)
        for side in (pair.query, pair.target):
            if side.path is not None:
                _check_length(side, loader.clip(side), config)
    except (MediaError, UsageError) as error:
        return BadRow(pair.place, str(error))
    return pair


def _check_length(side: Side, clip: Clip, config: WaveConfig) -> None:
    tokens, limit = _media_tokens(side, clip, config), config.decoder.max_position_embeddings
    if tokens > limit:
        raise MediaError(
            str(side.path), f"it has {tokens} tokens, more than the {limit} of the model", "Use a shorter range."
        )


def _media_tokens(side: Side, clip: Clip, config: WaveConfig) -> int:
    prepared = prepare(config, clip, [side.modality or Modality.AV])
    patches = sum(len(part.rows) for part in (prepared.image, prepared.video) if part is not None)
    audio = sum(2 * audio_tower_tokens(len(piece.mel)) for piece in prepared.audio or ())
    return patches // config.spatial_merge_size**2 + audio
