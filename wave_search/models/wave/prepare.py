"""What can be computed of a clip without the model, ahead of the time when the model wants it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from wave_search.models.wave import preprocess
from wave_search.types import Modality

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from wave_search.models.wave.config import WaveConfig
    from wave_search.models.wave.preprocess import AudioPiece, Patches
    from wave_search.types import Clip

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Prepared:
    """What the towers take. None: the clip has it not, or it is not wanted."""

    image: Patches | None = None
    video: Patches | None = None
    audio: tuple[AudioPiece, ...] | None = None


def prepare(config: WaveConfig, clip: Clip, wanted: Collection[Modality]) -> Prepared:
    """Cut into patches, and take spectra, as far as `wanted` needs it. May run in any thread.

    Args:
        config: of the model.
        clip: as `check_clip` wants it.
        wanted: what it is to be embedded as.
    """
    seen = clip.frames is not None and not {Modality.VIDEO, Modality.AV}.isdisjoint(wanted)
    heard = clip.waveform is not None and not {Modality.AUDIO, Modality.AV}.isdisjoint(wanted)
    return Prepared(
        preprocess.image_patches(config, clip.image) if clip.image is not None and Modality.IMAGE in wanted else None,
        preprocess.video_patches(config, clip.frames.pixels) if seen and clip.frames else None,
        tuple(preprocess.audio_pieces(config, clip.waveform.samples)) if heard and clip.waveform else None,
    )


def ahead(function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
    """Like `map`, but a thread computes the next result while the caller uses the one it got.

    One thread and one result: to prepare a clip takes a fraction of the time of embedding it, and a clip is up to
    70 MB of patches.
    """
    if len(items) < 2:
        yield from map(function, items)
        return
    pool = ThreadPoolExecutor(1, "prepare")
    try:
        coming = pool.submit(function, items[0])
        for item in items[1:]:
            result = coming.result()
            coming = pool.submit(function, item)
            yield result
        yield coming.result()
    finally:
        pool.shutdown(cancel_futures=True)
