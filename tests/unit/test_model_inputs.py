"""What goes into the model: patches, spectrograms, token order, positions; and BEATs on its own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import WhisperFeatureExtractor

from wave_search.models.wave import beats, layout
from wave_search.models.wave.config import BeatsConfig, WaveConfig
from wave_search.models.wave.network import audio_tower_tokens, normalised
from wave_search.models.wave.preprocess import audio_pieces, cut_pieces, image_patches, log_mel, video_patches
from wave_search.models.wave.spectrograms import kaldi_fbank

GOLDEN = Path(__file__).parents[1] / "data" / "golden"
CONFIG = WaveConfig.from_dict(json.loads((GOLDEN / "config_tiny.json").read_text()))


def noise(samples, seed=1):
    return (0.1 * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


@pytest.mark.parametrize("samples", [16_000, 49_975, 100_001])
def test_log_mel_equals_that_of_the_sound_padded_to_300_s(samples):
    sound = noise(samples)
    stock = WhisperFeatureExtractor(feature_size=128, n_fft=400, hop_length=160, chunk_length=300)
    padded = stock(sound, sampling_rate=16_000)["input_features"][0].T
    mel = log_mel(sound, 128)
    assert mel.shape == (-(-samples // 160), 128)
    np.testing.assert_allclose(mel, padded[: len(mel)], atol=1e-5, rtol=0)


def test_log_mel_of_silence_is_finite():
    assert np.isfinite(log_mel(np.zeros(16_000, dtype=np.float32), 128)).all()


def test_fbank_of_a_long_sound_is_that_of_its_parts():
    sound = noise(160 * 2100 + 240)
    whole = kaldi_fbank(sound)
    assert whole.shape == (2100, 128)
    np.testing.assert_array_equal(whole[2000:], kaldi_fbank(sound[160 * 2000 :]))


def test_fbank_bins_follow_the_frequency():
    time_s = np.arange(16_000) / 16_000
    peaks = [
        kaldi_fbank(np.sin(2 * np.pi * hz * time_s).astype(np.float32)).mean(0).argmax() for hz in (300, 2000, 6000)
    ]
    # Bins are equally wide in mel from 20 to 8000 Hz.
    mel = 1127 * np.log1p(np.array([20, 300, 2000, 6000, 8000]) / 700)
    expected = (mel[1:4] - mel[0]) / (mel[4] - mel[0]) * 129 - 1
    # A bin of the spectrum is wider than a filter at 300 Hz.
    np.testing.assert_allclose(peaks, expected, atol=1.5)


def test_fbank_of_silence_is_the_floor():
    floor = (np.log(1.1920929e-07) - 15.41663) / (2 * 6.55582)
    silence = kaldi_fbank(np.zeros(16_000, dtype=np.float32))
    assert silence.shape == (98, 128)
    np.testing.assert_allclose(silence, floor, rtol=1e-6)
    # One filter is so narrow that it holds no bin of the spectrum.
    np.testing.assert_allclose(kaldi_fbank(noise(16_000))[:, 3], floor, rtol=1e-6)


def test_short_sounds_are_padded_and_long_ones_cut():
    assert [len(piece) for piece in cut_pieces(noise(100))] == [16_000]
    assert [len(piece) for piece in cut_pieces(np.zeros(4_800_000 + 1, dtype=np.float32))] == [4_800_000, 16_000]
    with pytest.raises(ValueError, match="has no samples"):
        cut_pieces(noise(0))


def test_both_encoders_get_the_same_piece():
    (piece,) = audio_pieces(CONFIG, noise(20_000))
    assert piece.mel.shape == (125, 128)
    assert piece.fbank.shape == (123, 128)
    assert audio_tower_tokens(125) == 31


def test_patches_hold_the_pixels_of_their_place():
    pixels = np.random.default_rng(2).integers(0, 256, (4, 56, 84, 3), dtype=np.uint8)
    patches = video_patches(CONFIG, pixels)
    assert patches.grid_thw == (2, 4, 6)
    assert patches.rows.shape == (48, 3 * 2 * 14 * 14)
    # Row 13 of the second moment: token 3 (row 1 of tokens, column 0), in it the patch at top right.
    patch = patches.rows[24 + 13].reshape(3, 2, 14, 14)
    np.testing.assert_array_equal(patch, pixels[2:4, 28:42, 14:28].transpose(3, 0, 1, 2))


def test_an_odd_frame_and_an_image_fill_the_patch():
    pixels = np.random.default_rng(2).integers(0, 256, (3, 28, 28, 3), dtype=np.uint8)
    last = video_patches(CONFIG, pixels).rows.reshape(2, 4, 3, 2, 14, 14)[1]
    np.testing.assert_array_equal(last[:, :, 0], last[:, :, 1])
    image = image_patches(CONFIG, pixels[2])
    assert image.grid_thw == (1, 2, 2)
    np.testing.assert_array_equal(image.rows, last.reshape(4, -1))


@pytest.mark.parametrize("shape", [(2, 30, 28, 3), (2, 28, 42, 3), (0, 28, 28, 3)])
def test_other_sizes_are_refused(shape):
    with pytest.raises(ValueError, match="28 px"):
        video_patches(CONFIG, np.zeros(shape, dtype=np.uint8))


def test_pixels_are_normalised_per_channel():
    rows = np.repeat(np.array([[0, 128, 255]], dtype=np.uint8), 4, axis=1)
    values = normalised(torch.from_numpy(rows)).view(3, 4)[:, 0]
    expected = (np.array([0, 128, 255]) / 255 - [0.48145466, 0.4578275, 0.40821073]) / [
        0.26862954,
        0.26130258,
        0.27577711,
    ]
    np.testing.assert_allclose(values.numpy(), expected, atol=1e-6)


@given(
    steps=st.integers(1, 70),
    tokens=st.integers(1, 12),
    seconds_per_grid=st.floats(0.05, 5),
    audio=st.integers(1, 800),
)
def test_interleaving_loses_nothing_and_starts_with_picture(steps, tokens, seconds_per_grid, audio):
    is_audio = layout.interleave((steps, 2, 2 * tokens), 2, 0, seconds_per_grid, 2 * audio)
    assert is_audio.sum() == 2 * audio
    assert (~is_audio).sum() == steps * tokens
    assert not is_audio[: min(2, steps) * tokens].any()


def test_interleaving_by_chunks_of_two_seconds():
    is_audio = layout.interleave((5, 4, 4), 2, 0, 1.0, 2 * 250)
    runs = np.diff(np.flatnonzero(np.diff(is_audio, prepend=True, append=False)))
    assert runs.tolist() == [8, 100, 8, 100, 4, 300]


def test_a_moment_just_below_a_border_counts_as_on_it():
    # 2 x 0.35 x 25 = 17.5 is reached up to rounding by step 2 of 0.35 s.
    is_audio = layout.interleave((4, 2, 2), 2, 0, 0.35 * (1 - 1e-9), 2 * 40)
    assert np.flatnonzero(~is_audio).tolist() == [0, 1, 38, 39]


def test_positions_of_a_video():
    block = layout.grid((2, 4, 4), 2, 0, 1.2, 25)
    assert block.tolist() == [[0] * 4 + [30] * 4, [0, 0, 1, 1] * 2, [0, 1, 0, 1] * 2]
    position_ids = layout.around_block(block, 1, 12)
    assert position_ids[0].tolist() == [0, *[1] * 4, *[31] * 4, 32, 33, 34]
    assert position_ids[1].tolist() == [0, *[1, 1, 2, 2] * 2, 32, 33, 34]


def test_time_positions_are_truncated_in_single_precision():
    assert layout.grid((4, 2, 2), 2, 0, 1.001001, 25)[0].tolist() == [0, 25, 50, 75]
    assert layout.grid((1, 2, 2), 2, 0, 0.0, 25)[0].tolist() == [0]


def test_aligned_positions_start_together_and_end_after_the_last_run():
    is_audio = np.array([False, True, True, False, True, True])
    block = np.array([[0, 25], [0, 0], [0, 0]])
    time = layout.audiovisual_aligned(is_audio, block, 12)[0]
    assert time.tolist() == [0, 0, 1, 1, 2, 26, 3, 4, 5, 5, 6, 7]


def test_buckets_are_exact_near_and_logarithmic_far():
    offsets = torch.tensor([0, -1, 1, -79, 79, -80, 799, 800, 100_000, -100_000])
    assert beats.relative_buckets(offsets, 320, 800).tolist() == [0, 1, 161, 79, 239, 80, 319, 319, 319, 159]


def test_attention_in_blocks_is_the_same(monkeypatch):
    torch.manual_seed(1)
    encoder = beats.Beats(BeatsConfig(2, 32, 48, 2, 16, conv_pos_groups=4)).requires_grad_(False)
    fbank = torch.randn(100, 128)
    whole = encoder(fbank)
    monkeypatch.setattr(beats, "_MAX_BIAS_ELEMENTS", 2 * 48 * 7)
    assert whole.shape == (48, 32)
    torch.testing.assert_close(encoder(fbank), whole, atol=1e-6, rtol=0)


def test_beats_without_projection_has_no_such_keys():
    encoder = beats.Beats(BeatsConfig(1, 32, 48, 2, 32, conv_pos_groups=4))
    assert not [key for key in encoder.state_dict() if "post_extract" in key]
