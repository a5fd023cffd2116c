"""Decoder input of one clip: token ids, position ids, and the features that replace placeholders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from wave_search.errors import ModelError, UsageError
from wave_search.models.wave import layout

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import torch
    from numpy.typing import NDArray

    from wave_search.models.wave.config import WaveConfig

    Prompts = Sequence[Sequence[int]]
    """Tokens of each prompt."""


@dataclass(frozen=True, slots=True)
class VisionFeatures:
    """The output of the vision tower for a video or an image, and the parameters of its layout."""

    tokens: torch.Tensor
    """(tokens, hidden), as returned by `Wave.vision_features`."""
    grid_thw: tuple[int, int, int]
    """Patches along time, height and width."""
    seconds_per_grid: float = 0.0
    """Time between two steps of the grid; 0 for an image."""


@dataclass(frozen=True, slots=True)
class AudioFeatures:
    """The output of the audio tower and BEATs for an audio clip."""

    tokens: torch.Tensor
    """(2 x tower tokens, hidden), as returned by `Wave.audio_features`: tower, BEATs, tower, BEATs, ..."""
    pieces: int = 1
    """Number of pieces of 300 s that the audio was cut into."""


@dataclass(frozen=True, slots=True)
class Feature:
    """Output rows of a tower and their positions in a sequence."""

    indices: NDArray[np.int64]
    """(count,) positions in the sequence."""
    rows: torch.Tensor
    """(count, hidden)"""


@dataclass(frozen=True, slots=True)
class TokenSequence:
    """Input of the decoder for one clip: the shared tokens, then the prompts, each with its end token.

    An embedding is read at the end of each prompt. Each prompt attends to the shared tokens and itself, so that the
    result equals that of separate sequences with one prompt each.
    """

    token_ids: NDArray[np.int64]
    """(length,)"""
    position_ids: NDArray[np.int64]
    """(3, length): time, height, width."""
    features: tuple[Feature, ...] = ()
    """Features that replace the embeddings of placeholder tokens."""
    endings: tuple[int, ...] = ()
    """Length of each prompt if there are several."""

    def __len__(self) -> int:
        return len(self.token_ids)

    @property
    def shape(self) -> tuple[int, ...]:
        """Properties that sequences in a batch must share: the length, and the lengths of several prompts."""
        return (len(self), *self.endings)


def text_sequence(config: WaveConfig, text_ids: Sequence[int]) -> TokenSequence:
    """Return the sequence of a text: its tokens and one end token.

    Args:
        config: of the model.
        text_ids: tokens of the text.
    """
    ids = _ended(config, text_ids)
    return TokenSequence(ids, layout.sequential(len(ids)))


def audio_sequence(config: WaveConfig, prompts: Prompts, audio: AudioFeatures) -> TokenSequence:
    """Return the sequence of an audio clip, followed by the prompts."""
    tokens = config.tokens
    media = [tokens.audio_start, *[tokens.audio] * len(audio.tokens), tokens.audio_end]
    return _prompted(config, media, prompts, layout.sequential, (_block(1, audio.tokens),))


def video_sequence(config: WaveConfig, prompts: Prompts, vision: VisionFeatures) -> TokenSequence:
    """Return the sequence of the frames of a video, followed by the prompts."""
    return _vision_sequence(config, prompts, vision, config.tokens.video)


def image_sequence(config: WaveConfig, prompts: Prompts, vision: VisionFeatures) -> TokenSequence:
    """Return the sequence of an image, followed by the prompts."""
    return _vision_sequence(config, prompts, vision, config.tokens.image)


def audiovisual_sequence(
    config: WaveConfig,
    prompts: Prompts,
    vision: VisionFeatures,
    audio: AudioFeatures,
    rule: str = "sequential",
) -> TokenSequence:
    """Return the sequence of frames and audio of the same span, interleaved in time, followed by the prompts.

    Args:
        config: of the model.
        prompts: tokens of each prompt, without the end token.
        vision: features of the frames.
        audio: features of the audio.
        rule: rule for positions: "sequential", as in the released evaluation, or "aligned", as in training.

    Raises:
        ModelError: aligned positions for audio of more than one piece, for which they are not defined.
        UsageError: no such rule.
    """
    tokens = config.tokens
    is_audio = layout.interleave(
        vision.grid_thw, config.spatial_merge_size, config.frame_tokens, vision.seconds_per_grid, len(audio.tokens)
    )
    media = np.where(is_audio, tokens.audio, tokens.video)
    ids = [tokens.vision_start, tokens.audio_start, *media, tokens.audio_end, tokens.vision_end]
    features = (
        Feature(2 + np.flatnonzero(~is_audio), vision.tokens),
        Feature(2 + np.flatnonzero(is_audio), audio.tokens),
    )
    match rule:
        case "sequential":
            return _prompted(config, ids, prompts, layout.sequential, features)
        case "aligned":
            if audio.pieces > 1:
                raise ModelError(
                    "aligned positions are not defined for audio longer than 300 s",
                    "Use the positions 'sequential', or shorter segments.",
                )
            block = _grid(config, vision)
            return _prompted(
                config, ids, prompts, lambda length: layout.audiovisual_aligned(is_audio, block, length), features
            )
        case _:
            raise UsageError(f"there is no position rule {rule!r}", "Use 'sequential' or 'aligned'.")


def _vision_sequence(config: WaveConfig, prompts: Prompts, vision: VisionFeatures, placeholder: int) -> TokenSequence:
    tokens = config.tokens
    media = [tokens.vision_start, *[placeholder] * len(vision.tokens), tokens.vision_end]
    block = _grid(config, vision)
    return _prompted(
        config,
        media,
        prompts,
        lambda length: layout.around_block(block, 1, length),
        (_block(1, vision.tokens),),
    )


def _prompted(
    config: WaveConfig,
    media: Sequence[int],
    prompts: Prompts,
    positions_of: Callable[[int], NDArray[np.int64]],
    features: tuple[Feature, ...],
) -> TokenSequence:
    """Combine media and prompts; `positions_of` returns the position ids of one prompt, for a given length."""
    endings = [_ended(config, prompt) for prompt in prompts]
    lengths = tuple(map(len, endings))
    stem = len(media)
    # All prompts start at the same position, so the position ids of the longest include those of the others.
    counted = positions_of(stem + max(lengths))
    position_ids = np.concatenate(
        [counted[:, :stem], *[counted[:, stem : stem + length] for length in lengths]], axis=1
    )
    ids = np.concatenate([np.asarray(media, dtype=np.int64), *endings])
    return TokenSequence(ids, position_ids, features, lengths if len(lengths) > 1 else ())


def _grid(config: WaveConfig, vision: VisionFeatures) -> NDArray[np.int64]:
    return layout.grid(
        vision.grid_thw,
        config.spatial_merge_size,
        config.frame_tokens,
        vision.seconds_per_grid,
        config.positions_per_second,
    )


def _block(start: int, rows: torch.Tensor) -> Feature:
    return Feature(np.arange(start, start + len(rows)), rows)


def _ended(config: WaveConfig, ids: Sequence[int]) -> NDArray[np.int64]:
    end = config.tokens.end
    return np.asarray(ids if len(ids) and ids[-1] == end else [*ids, end], dtype=np.int64)
