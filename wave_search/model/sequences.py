"""One clip as the decoder sees it: token ids, position ids, and the features that replace placeholders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from wave_search.errors import ModelError, UsageError
from wave_search.model import layout, positions

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from numpy.typing import NDArray

    from wave_search.model.config import WaveConfig


@dataclass(frozen=True, slots=True)
class VisionFeatures:
    """A video or an image after the vision tower, and all that its layout needs."""

    tokens: torch.Tensor
    """(tokens, hidden) as `Wave.vision_features` returns them."""
    grid_thw: tuple[int, int, int]
    """Patches along time, height and width."""
    seconds_per_grid: float = 0.0
    """Time between two steps of the grid; 0 for an image."""


@dataclass(frozen=True, slots=True)
class AudioFeatures:
    """A sound after the audio tower and BEATs."""

    tokens: torch.Tensor
    """(2 x tower tokens, hidden) as `Wave.audio_features` returns them: tower, BEATs, tower, BEATs, ..."""
    pieces: int = 1
    """Pieces of 300 s that the sound was cut into."""


@dataclass(frozen=True, slots=True)
class Feature:
    """Rows of a tower and their places in a sequence."""

    indices: NDArray[np.int64]
    """(count,) places in the sequence."""
    rows: torch.Tensor
    """(count, hidden)"""


@dataclass(frozen=True, slots=True)
class TokenSequence:
    """Input of the decoder for one clip, not padded. Batches are made by `Wave.embed_media` and `Wave.embed_text`."""

    token_ids: NDArray[np.int64]
    """(length,)"""
    position_ids: NDArray[np.int64]
    """(3, length): time, height, width."""
    features: tuple[Feature, ...] = ()
    """What replaces the embeddings of placeholder tokens."""

    def __len__(self) -> int:
        return len(self.token_ids)


def text_sequence(config: WaveConfig, text_ids: Sequence[int]) -> TokenSequence:
    """A text: nothing but its tokens and the end token (which is not doubled).

    Args:
        config: of the model.
        text_ids: tokens of the text.
    """
    ids = _ended(config, text_ids)
    return TokenSequence(ids, positions.sequential(len(ids)))


def audio_sequence(config: WaveConfig, prompt_ids: Sequence[int], audio: AudioFeatures) -> TokenSequence:
    """What is heard, then the prompt."""
    tokens = config.tokens
    media = [tokens.audio_start, *[tokens.audio] * len(audio.tokens), tokens.audio_end]
    ids = _ended(config, [*media, *prompt_ids])
    return TokenSequence(ids, positions.sequential(len(ids)), (_block(1, audio.tokens),))


def video_sequence(config: WaveConfig, prompt_ids: Sequence[int], vision: VisionFeatures) -> TokenSequence:
    """What is seen in a video without its sound, then the prompt."""
    return _vision_sequence(config, prompt_ids, vision, config.tokens.video)


def image_sequence(config: WaveConfig, prompt_ids: Sequence[int], vision: VisionFeatures) -> TokenSequence:
    """An image, then the prompt."""
    return _vision_sequence(config, prompt_ids, vision, config.tokens.image)


def audiovisual_sequence(
    config: WaveConfig,
    prompt_ids: Sequence[int],
    vision: VisionFeatures,
    audio: AudioFeatures,
    rule: str = "sequential",
) -> TokenSequence:
    """Picture and sound of the same span, interleaved in time, then the prompt.

    Args:
        config: of the model.
        prompt_ids: tokens of the prompt, without the end token.
        vision: features of the frames.
        audio: features of the sound.
        rule: how positions are counted: "sequential", as the released evaluation does, or "aligned", as in training.

    Raises:
        ModelError: aligned positions of a sound of more than one piece, for which they are not defined.
        UsageError: no such rule.
    """
    tokens = config.tokens
    is_audio = layout.interleave(vision.grid_thw, config.spatial_merge_size, vision.seconds_per_grid, len(audio.tokens))
    media = np.where(is_audio, tokens.audio, tokens.video)
    ends = [tokens.audio_end, tokens.vision_end]
    ids = _ended(config, [tokens.vision_start, tokens.audio_start, *media, *ends, *prompt_ids])
    match rule:
        case "sequential":
            position_ids = positions.sequential(len(ids))
        case "aligned":
            if audio.pieces > 1:
                raise ModelError(
                    "Aligned positions are not defined for a sound longer than 300 s",
                    "Use the positions 'sequential', or shorter segments.",
                )
            block = positions.grid(
                vision.grid_thw, config.spatial_merge_size, vision.seconds_per_grid, config.positions_per_second
            )
            position_ids = positions.audiovisual_aligned(is_audio, block, len(ids))
        case _:
            raise UsageError(f"There are no positions {rule!r}", "Choose 'sequential' or 'aligned'.")
    return TokenSequence(
        ids,
        position_ids,
        (
            Feature(2 + np.flatnonzero(~is_audio), vision.tokens),
            Feature(2 + np.flatnonzero(is_audio), audio.tokens),
        ),
    )


def _vision_sequence(
    config: WaveConfig, prompt_ids: Sequence[int], vision: VisionFeatures, placeholder: int
) -> TokenSequence:
    tokens = config.tokens
    media = [tokens.vision_start, *[placeholder] * len(vision.tokens), tokens.vision_end]
    ids = _ended(config, [*media, *prompt_ids])
    block = positions.grid(
        vision.grid_thw, config.spatial_merge_size, vision.seconds_per_grid, config.positions_per_second
    )
    return TokenSequence(ids, positions.around_block(block, 1, len(ids)), (_block(1, vision.tokens),))


def _block(start: int, rows: torch.Tensor) -> Feature:
    return Feature(np.arange(start, start + len(rows)), rows)


def _ended(config: WaveConfig, ids: Sequence[int]) -> NDArray[np.int64]:
    end = config.tokens.end
    return np.asarray(ids if len(ids) and ids[-1] == end else [*ids, end], dtype=np.int64)
