"""The architecture of wave-nano."""

from __future__ import annotations

import copy
from typing import Any, cast

import torch
import torch.nn.functional as F  # noqa: N812 - the usual name

from recipes.wave_nano.vocabulary import SPECIAL_TOKENS
from wave_search.models.wave.config import WaveConfig
from wave_search.models.wave.network import Wave

VOCABULARY = 12_000
_LIFT = 4.0
HIDDEN = 192
SAMPLING = {
    "frame_interval_s": 1.0,
    "max_frames": 32,
    "pixel_multiple": 56,
    "min_pixels": 37_632,
    "max_pixels": 50_176,
    "max_image_pixels": 75_264,
}
"""Frames as the classifier sees them; the vision tower, patches and merge, sees them at half the size."""
REGIONS, LABELS, SOUND_LABELS = 2, 1000, 521

_IDS = {token: VOCABULARY - len(SPECIAL_TOKENS) + place for place, token in enumerate(SPECIAL_TOKENS)}

CONFIG: dict[str, Any] = {
    "architectures": ["Qwen2_5OmniThinkerForConditionalGeneration"],
    "model_type": "qwen2_5_omni_thinker",
    "pad_token_id": _IDS["<|endoftext|>"],
    "bos_token_id": _IDS["<|im_start|>"],
    "eos_token_id": _IDS["<|im_end|>"],
    "audio_token_index": _IDS["<|AUDIO|>"],
    "audio_start_token_id": _IDS["<|audio_bos|>"],
    "audio_end_token_id": _IDS["<|audio_eos|>"],
    "vision_start_token_id": _IDS["<|vision_bos|>"],
    "vision_end_token_id": _IDS["<|vision_eos|>"],
    "vision_token_id": _IDS["<|vision_pad|>"],
    "image_token_index": _IDS["<|IMAGE|>"],
    "video_token_index": _IDS["<|VIDEO|>"],
    "position_id_per_seconds": 25,
    "seconds_per_chunk": 2,
    "classify_type": "all_layer",
    "wave_search": {"sampling": SAMPLING, "compute_dtype": "float32"},
    "text_config": {
        "model_type": "qwen2_5_omni_text",
        "vocab_size": VOCABULARY,
        "hidden_size": HIDDEN,
        "intermediate_size": 512,
        "num_hidden_layers": 4,
        "num_attention_heads": 6,
        "num_key_value_heads": 3,
        "hidden_act": "silu",
        "max_position_embeddings": 32768,
        "rms_norm_eps": 1e-06,
        "rope_theta": 1000000.0,
        "rope_scaling": {"mrope_section": [4, 6, 6], "rope_type": "default", "type": "default"},
        "tie_word_embeddings": False,
    },
    "audio_config": {
        "model_type": "qwen2_5_omni_audio_encoder",
        "num_mel_bins": 128,
        "encoder_layers": 3,
        "encoder_attention_heads": 4,
        "encoder_ffn_dim": 384,
        "d_model": 128,
        "activation_function": "gelu",
        "max_source_positions": 1500,
        "n_window": 100,
        "output_dim": HIDDEN,
    },
    "vision_config": {
        "model_type": "qwen2_5_omni_vision_encoder",
        "depth": 4,
        "hidden_size": 128,
        "hidden_act": "silu",
        "intermediate_size": 352,
        "num_heads": 4,
        "in_channels": 3,
        "patch_size": 14,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
        "window_size": 112,
        "out_hidden_size": HIDDEN,
        "fullatt_block_indexes": [0, 1, 2, 3],
    },
    "classifier_config": {"model_type": "efficientnet_lite0", "labels": LABELS, "regions": REGIONS},
    "sound_classifier_config": {"model_type": "yamnet", "labels": SOUND_LABELS},
}


def untrained(seed: int) -> Wave:
    """Build the model with random weights."""
    torch.manual_seed(seed)
    wave = Wave(WaveConfig.from_dict(copy.deepcopy(CONFIG)))
    wave.init_buffers("cpu")
    for module in wave.modules():
        if isinstance(module, torch.nn.Linear):
            torch.nn.init.trunc_normal_(module.weight, std=(0.6 / module.in_features) ** 0.5)
            if module.bias is not None:
                torch.nn.init.zeros_(module.bias)
    _pass_through(wave.classify_linear, wave.config.hidden_size)
    _smooth(wave.visual.patch_embed.proj.weight)
    return wave


def _pass_through(head: torch.nn.Sequential, dim: int) -> None:
    """Initialise the fusion head to the output of the last layer, so that media and text start in one space.

    GELU is the identity far above zero, and normalised outputs are of order one.
    """
    first, last = (cast("torch.nn.Linear", head[layer]) for layer in (0, 2))
    with torch.no_grad():
        first.weight.mul_(0.1)
        first.weight[:, -dim:] += torch.eye(dim)
        first.bias.fill_(_LIFT)
        last.weight.copy_(torch.eye(dim))
        last.bias.fill_(-_LIFT)


def _smooth(filters: torch.Tensor) -> None:
    """Replace filters with random low-frequency ones, because white noise would average out similar adjacent pixels.

    Of the filters over two frames, one half takes their sum and the other half their difference.
    """
    coarse = torch.randn(len(filters), filters[0, ..., 0, 0].numel(), 4, 4)
    values = F.interpolate(coarse, filters.shape[-2:], mode="bicubic").view_as(filters)
    if filters.ndim == 5:
        sign = torch.where(torch.arange(len(filters)) % 2 == 0, 1.0, -1.0).view(-1, 1, 1, 1)
        values[:, :, 1] = sign * values[:, :, 0]
    with torch.no_grad():
        filters.copy_(values / values.flatten(1).norm(dim=1).view(-1, *[1] * (filters.ndim - 1)))
