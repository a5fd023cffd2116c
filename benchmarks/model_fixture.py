"""A model of WAVE's architecture with random weights, and clips to embed with it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from wave_search.models.families import Source
from wave_search.models.sources import TINY_DIRECTORY
from wave_search.models.wave.checkpoint import read_config
from wave_search.models.wave.config import WaveConfig
from wave_search.models.wave.embedder import WaveEmbedder
from wave_search.models.wave.network import Wave
from wave_search.models.wave.tokenizer import TextTokenizer
from wave_search.types import Clip, Frames, Waveform

SAMPLE_RATE_HZ = 16_000
FRAMES_PER_SECOND = 2

_FOURTEENTH: dict[str, dict[str, Any]] = {
    "text_config": {
        "hidden_size": 256,
        "intermediate_size": 1344,
        "num_hidden_layers": 7,
        "num_attention_heads": 4,
        "num_key_value_heads": 1,
        "rope_scaling": {"mrope_section": [8, 12, 12], "rope_type": "default", "type": "default"},
    },
    "audio_config": {
        "encoder_layers": 8,
        "d_model": 96,
        "encoder_attention_heads": 4,
        "encoder_ffn_dim": 384,
        "output_dim": 256,
    },
    "vision_config": {
        "depth": 8,
        "hidden_size": 96,
        "intermediate_size": 256,
        "num_heads": 4,
        "out_hidden_size": 256,
        "fullatt_block_indexes": [1, 3, 5, 7],
    },
    "beats_config": {
        "encoder_layers": 3,
        "encoder_embed_dim": 64,
        "encoder_ffn_embed_dim": 256,
        "encoder_attention_heads": 4,
        "embed_dim": 48,
    },
}
GEOMETRIES: dict[str, dict[str, dict[str, Any]]] = {"tiny": {}, "seven-b/14": _FOURTEENTH}
"""Differences from wave-tiny's configuration. "tiny": none; preprocessing and towers cost as much as the decoder.
"seven-b/14": WAVE-7B with every width about a fourteenth and every depth a quarter; the decoder dominates."""


def embedder_of(geometry: str, seed: int = 0) -> WaveEmbedder:
    """Return a model on the CPU, in float32, with random weights that preserve the variance of activations."""
    tiny = read_config(TINY_DIRECTORY)
    settings = tiny.to_dict()
    settings |= {part: {**settings[part], **changed} for part, changed in GEOMETRIES[geometry].items()}
    torch.manual_seed(seed)
    wave = Wave(WaveConfig.from_dict(settings)).requires_grad_(False)
    for name, parameter in wave.named_parameters():
        if parameter.dim() > 1 and "norm" not in name:
            parameter.normal_(0, parameter[0].numel() ** -0.5)
    source = Source(geometry, "random", TINY_DIRECTORY)
    return WaveEmbedder(wave, TextTokenizer.from_directory(TINY_DIRECTORY, tiny.tokens), source)


def clips(count: int, duration_s: float = 10.0, height: int = 308, width: int = 560) -> list[Clip]:
    """Return distinct clips of coloured noise, at the size of 16:9 frames, with audio of noise and a tone."""
    return [_clip(np.random.default_rng(number), duration_s, height, width) for number in range(count)]


def _clip(random: np.random.Generator, duration_s: float, height: int, width: int) -> Clip:
    frames = round(duration_s * FRAMES_PER_SECOND)
    coarse = random.integers(0, 256, (frames, height // 28, width // 28, 3), dtype=np.uint8)
    time_s = np.arange(round(duration_s * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    tone = 0.3 * np.sin(2 * np.pi * random.uniform(100, 3000) * time_s)
    samples = (tone + random.uniform(-0.1, 0.1, len(time_s))).astype(np.float32)
    pixels = coarse.repeat(28, axis=1).repeat(28, axis=2)
    return Clip(frames=Frames(pixels, duration_s), waveform=Waveform(samples, SAMPLE_RATE_HZ))
