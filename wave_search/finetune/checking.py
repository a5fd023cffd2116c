"""Whether the media of pairs can be used. All are decoded once, before anything is trained on them.

A fault that is met in the middle of training would change all batches behind it, and a run would not be the same twice.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from wave_search.errors import MediaError, UsageError
from wave_search.finetune.rows import Pair, Rejected
from wave_search.models.wave.network import audio_tower_tokens
from wave_search.models.wave.preprocess import prepare
from wave_search.types import Modality

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wave_search.finetune.loading import Loader
    from wave_search.finetune.rows import Side
    from wave_search.models.wave.config import WaveConfig
    from wave_search.types import Clip


def checked(
    pairs: Sequence[Pair], loader: Loader, config: WaveConfig, report: Callable[[int], None]
) -> list[Pair | Rejected]:
    """Decode the media of pairs.

    Args:
        pairs: as they were read.
        loader: reads media.
        config: of the model that they are for.
        report: called with the number of pairs that are done.

    Returns:
        For each the pair, its modalities decided, or why it cannot be used.
    """
    results: list[Pair | Rejected] = []
    for result in loader.map(lambda pair: _checked(pair, loader, config), pairs):
        results.append(result)
        report(len(results))
    return results


def resolved(pair: Pair, loader: Loader) -> Pair:
    """Decide what a pair's files are used as, where its row does not say it.

    Raises:
        MediaError: a file cannot be used.
    """
    return replace(pair, query=_resolved(pair.query, loader), target=_resolved(pair.target, loader))


def _resolved(side: Side, loader: Loader) -> Side:
    if side.modality is not None or side.path is None:
        return side
    offers = loader.identify(side.path).modalities
    if offers == (Modality.TEXT,):
        raise MediaError(side.path, "a text, where sound, video or an image is needed")
    return replace(side, modality=Modality.AV if Modality.AV in offers else offers[0])


def _checked(pair: Pair, loader: Loader, config: WaveConfig) -> Pair | Rejected:
    try:
        pair = resolved(pair, loader)
        for side in (pair.query, pair.target):
            if side.path is not None:
                _check_length(side, loader.clip(side), config)
    except (MediaError, UsageError) as error:
        return Rejected(pair.place, str(error))
    return pair


def _check_length(side: Side, clip: Clip, config: WaveConfig) -> None:
    tokens, limit = _media_tokens(side, clip, config), int(config.thinker.text_config.max_position_embeddings)
    if tokens > limit:
        raise MediaError(
            str(side.path), f"it makes {tokens} tokens, and the model takes {limit}", "Give a shorter range."
        )


def _media_tokens(side: Side, clip: Clip, config: WaveConfig) -> int:
    prepared = prepare(config, clip, [side.modality or Modality.AV])
    patches = sum(len(part.rows) for part in (prepared.image, prepared.video) if part is not None)
    heard = sum(2 * audio_tower_tokens(len(piece.mel)) for piece in prepared.audio or ())
    return patches // config.spatial_merge_size**2 + heard
