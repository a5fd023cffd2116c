"""Batched passes through the towers, with gradients. Same numbers as the one-by-one passes of `Wave`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F  # noqa: N812 - the usual name
from torch.nn.attention import SDPBackend, sdpa_kernel

from wave_search.model import preprocess
from wave_search.model.sequences import AudioFeatures, VisionFeatures
from wave_search.model.wave import audio_tower_tokens, normalised

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from wave_search.model.preprocess import AudioPiece
    from wave_search.model.wave import Wave


def piece_of(wave: Wave, samples: NDArray[np.float32]) -> AudioPiece:
    """What the encoders take of one sound of at most 300 s; always in full precision."""
    with torch.autocast("cpu", enabled=False):
        return preprocess.audio_pieces(wave.config, samples)[0]


def see(wave: Wave, videos: Sequence[NDArray[np.uint8]], duration_s: float) -> list[VisionFeatures]:
    """Run the vision tower on videos.

    Args:
        wave: the model.
        videos: each (frames, height, width, 3).
        duration_s: of each; 0 for images.
    """
    patches = [preprocess.video_patches(wave.config, pixels) for pixels in videos]
    rows = torch.cat([normalised(torch.from_numpy(patch.rows)) for patch in patches])
    grids = torch.tensor([patch.grid_thw for patch in patches])
    tokens = wave.visual(rows, grid_thw=grids, plans={}).pooler_output
    merge = wave.config.spatial_merge_size**2
    parts = tokens.split([int(grid.prod()) // merge for grid in grids])
    return [
        VisionFeatures(
            part, patch.grid_thw, preprocess.seconds_per_grid(wave.config, duration_s, len(pixels)) if duration_s else 0
        )
        for part, patch, pixels in zip(parts, patches, videos, strict=True)
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
    mel = torch.cat([torch.from_numpy(piece.mel) for piece in pieces])
    lengths = torch.tensor([frames] * len(pieces))
    tower = wave.audio_tower(mel.T, feature_lens=lengths, plans={}).last_hidden_state
    fbank = torch.stack([torch.from_numpy(piece.fbank) for piece in pieces])
    # The fused kernels of the CPU have no gradient for the mask, which here is learned.
    with sdpa_kernel(SDPBackend.MATH):
        features = torch.vmap(wave.beats)(fbank)
    wanted = 2 * audio_tower_tokens(frames)
    features = F.pad(features[:, :wanted], (0, 0, 0, max(0, wanted - features.shape[1])))
    pooled = features.view(len(pieces), wanted // 2, 2, -1).mean(dim=2)
    return tower.view(len(pieces), wanted // 2, -1), wave.beats_proj(wave.beats_ln(pooled))
