"""Batched passes give what the passes of single clips give, and gradients."""

import numpy as np
import pytest
import torch

from recipes.wave_nano import dense
from recipes.wave_nano.architecture import untrained
from recipes.wave_nano.dense import audio_features, piece_of, tower_tokens, vision_features
from wave_search.models.wave import preprocess, sequences


@pytest.fixture(scope="module")
def wave():
    return untrained(0)


@pytest.mark.parametrize("samples", [24_000, 32_000, 41_000])
def test_sounds(wave, samples: int) -> None:
    rng = np.random.default_rng(0)
    pieces = [piece_of(wave, rng.uniform(-0.5, 0.5, samples).astype(np.float32)) for _ in range(3)]
    batched = audio_features(wave, pieces)
    for piece, features in zip(pieces, batched, strict=True):
        torch.testing.assert_close(features.tokens, wave.audio_features([piece]), atol=1e-5, rtol=1e-4)
    sum(features.tokens.sum() for features in batched).backward()
    assert wave.sound_classifier.details.weight.grad.abs().sum() > 0
    assert wave.sound_classifier.stem.weight.grad is None


def doubled(pixels: np.ndarray) -> np.ndarray:
    """Return frames of which the vision tower sees `pixels`."""
    return pixels.repeat(2, axis=1).repeat(2, axis=2)


def seen_in(wave, videos: list[np.ndarray]):
    with torch.no_grad():
        logits = [wave.classifier.logits(torch.from_numpy(doubled(pixels)), 2) for pixels in videos]
    return vision_features(wave, videos, 4.0, tower_tokens(wave, videos), torch.stack(logits).softmax(dim=-1))


@pytest.mark.parametrize(("frames", "height", "width"), [(2, 56, 84), (4, 112, 112), (1, 84, 140)])
def test_videos(wave, frames: int, height: int, width: int) -> None:
    rng = np.random.default_rng(0)
    videos = [rng.integers(0, 256, (frames, height, width, 3), dtype=np.uint8) for _ in range(2)]
    seen = seen_in(wave, videos)
    for pixels, features in zip(videos, seen, strict=True):
        patches = preprocess.video_patches(wave.config, doubled(pixels))
        torch.testing.assert_close(features.tokens, wave.vision_features(patches), atol=1e-5, rtol=1e-4)
        assert features.seconds_per_grid == 2 * 4.0 / frames
    sum(features.tokens.sum() for features in seen).backward()
    assert wave.visual.patch_embed.proj.weight.grad.abs().sum() > 0


def test_texts_of_different_lengths(wave) -> None:
    texts = [sequences.text_sequence(wave.config, ids) for ids in ([3, 4, 5], [7], [3, 4, 5, 6, 9, 11])]
    learned = dense.embed_text(wave, texts)
    torch.testing.assert_close(learned, wave.embed_text(texts), atol=1e-5, rtol=1e-4)
    learned.sum().backward()
    assert wave.model.embed_tokens.weight.grad[7].abs().sum() > 0


def test_clips_with_prompts_of_different_lengths(wave) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (4, 56, 56, 3), dtype=np.uint8)
    samples = rng.uniform(-0.5, 0.5, 24_000).astype(np.float32)
    (vision,), (audio,) = seen_in(wave, [pixels]), audio_features(wave, [piece_of(wave, samples)])
    clips = [
        sequences.video_sequence(wave.config, [[5, 6, 7]], vision),
        sequences.audio_sequence(wave.config, [[5]], audio),
        sequences.audiovisual_sequence(wave.config, [[5, 6]], vision, audio),
    ]
    learned = dense.embed_media(wave, clips)
    with torch.no_grad():
        torch.testing.assert_close(learned, wave.embed_media(clips), atol=1e-5, rtol=1e-4)
    learned.sum().backward()
    assert wave.audio_tower.proj.weight.grad.abs().sum() > 0
    assert wave.classify_linear[0].weight.grad.abs().sum() > 0
