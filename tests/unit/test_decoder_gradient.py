"""The decoder with gradients: the same numbers, and the same gradients with less memory."""

from __future__ import annotations

import pytest
import torch

from wave_search.models.sources import TINY_DIRECTORY
from wave_search.models.wave.checkpoint import load_wave
from wave_search.models.wave.sequences import text_sequence


@pytest.mark.parametrize("checkpointing", [False, True])
def test_gradients_reach_the_first_layer_and_change_no_number(checkpointing: bool) -> None:
    wave = load_wave(TINY_DIRECTORY)
    texts = [text_sequence(wave.config, ids) for ids in ([5, 6, 7], [8, 9], [10, 11, 12])]
    with torch.no_grad():
        expected = wave.embed_media(texts)
    weight = wave.model.layers[0].self_attn.q_proj.weight.requires_grad_(True)
    wave.model.gradient_checkpointing = checkpointing
    embedded = wave.embed_media(texts)
    torch.testing.assert_close(embedded, expected, atol=1e-6, rtol=1e-5)
    embedded.square().sum().backward()
    numeric = _slope(wave, texts, weight)
    assert float(weight.grad[3, 5]) == pytest.approx(numeric, rel=0.02)


def _slope(wave, texts, weight) -> float:
    """Of the loss along one weight, from differences."""
    values = []
    with torch.no_grad():
        for step in (1e-2, -2e-2):
            weight[3, 5] += step
            values.append(float(wave.embed_media(texts).double().square().sum()))
    return (values[0] - values[1]) / 2e-2
