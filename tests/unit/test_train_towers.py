"""Batched passes give what the passes of single clips give, and gradients."""

import numpy as np
import pytest
import torch

from wave_search.model import preprocess
from wave_search.train.architecture import HIDDEN, untrained
from wave_search.train.towers import hear, piece_of, see


@pytest.fixture(scope="module")
def wave():
    return untrained(0)


def test_sounds(wave) -> None:
    rng = np.random.default_rng(0)
    pieces = [piece_of(wave, rng.uniform(-0.5, 0.5, 24_000).astype(np.float32)) for _ in range(3)]
    batched = hear(wave, pieces)
    for piece, features in zip(pieces, batched, strict=True):
        torch.testing.assert_close(features.tokens, wave.audio_features([piece]), atol=1e-5, rtol=1e-4)
    sum(features.tokens.sum() for features in batched).backward()
    assert wave.beats.encoder.layers[0].self_attn.relative_attention_bias.weight.grad.abs().sum() > 0


def test_videos(wave) -> None:
    rng = np.random.default_rng(0)
    videos = [rng.integers(0, 256, (frames, 56, 84, 3), dtype=np.uint8) for frames in (2, 4)]
    for pixels, features in zip(videos, see(wave, videos, 4.0), strict=True):
        patches = preprocess.video_patches(wave.config, pixels)
        torch.testing.assert_close(
            features.tokens, wave.vision_features(patches.rows, patches.grid_thw), atol=1e-5, rtol=1e-4
        )
        assert features.tokens.shape == (len(pixels) // 2 * 6, HIDDEN)
        assert features.seconds_per_grid == 2 * 4.0 / len(pixels)
