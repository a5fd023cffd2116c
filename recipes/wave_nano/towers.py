"""Batched passes through the towers, with gradients. Same numbers as the one-by-one passes of `Wave`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the usual name

from recipes.wave_nano.dense import look_at
from recipes.wave_nano.dense_audio import audio_tower, beats_tokens
from wave_search.models.wave import preprocess
from wave_search.models.wave.network import audio_tower_tokens, normalised
from wave_search.models.wave.sequences import AudioFeatures, VisionFeatures

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from wave_search.models.wave.network import Wave
    from wave_search.models.wave.preprocess import AudioPiece


def piece_of(wave: Wave, samples: NDArray[np.float32]) -> AudioPiece:
    """What the encoders take of one sound of at most 300 s; always in full precision."""
    with torch.autocast("cpu", enabled=False):
        return preprocess.audio_pieces(wave.config, samples)[0]


def see(wave: Wave, videos: Sequence[NDArray[np.uint8]], duration_s: float) -> list[VisionFeatures]:
    """Run the vision tower on videos of one size and length.

    Args:
        wave: the model.
        videos: each (frames, height, width, 3).
        duration_s: of each; 0 for images.
    """
    patches = [preprocess.video_patches(wave.config, pixels) for pixels in videos]
    steps, height, width = patches[0].grid_thw
    rows = normalised(torch.from_numpy(np.concatenate([patch.rows for patch in patches])))
    tokens = look_at(wave.visual, rows.view(len(videos) * steps, height * width, -1), height, width)
    return [
        VisionFeatures(
            part, patch.grid_thw, preprocess.seconds_per_grid(wave.config, duration_s, len(pixels)) if duration_s else 0
        )
        for part, patch, pixels in zip(tokens.view(len(videos), -1, tokens.shape[-1]), patches, videos, strict=True)
    ]


def hear(wave: Wave, pieces: Sequence[AudioPiece]) -> list[AudioFeatures]:
    """Run audio tower and BEATs on sounds of one length (in frames of mel and of filterbank)."""
    tower, beats = heard_by_each(wave, pieces)
    return [AudioFeatures(tokens) for tokens in torch.stack([tower, beats], dim=2).flatten(1, 2)]


def heard_by_each(wave: Wave, pieces: Sequence[AudioPiece]) -> tuple[torch.Tensor, torch.Tensor]:
    """The same, not interleaved.

    Returns:
        Two of (sounds, tokens, hidden): of the audio tower, and of BEATs.
    """
    frames = len(pieces[0].mel)
    tower = audio_tower(wave.audio_tower, torch.from_numpy(np.stack([piece.mel for piece in pieces])))
    features = beats_tokens(wave.beats, torch.from_numpy(np.stack([piece.fbank for piece in pieces])))
    wanted = 2 * audio_tower_tokens(frames)
    features = F.pad(features[:, :wanted], (0, 0, 0, max(0, wanted - features.shape[1])))
    pooled = features.view(len(pieces), wanted // 2, 2, -1).mean(dim=2)
    return tower, wave.beats_proj(wave.beats_ln(pooled))
