"""Buffers that transformers computes in constructors and no checkpoint holds."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

# What costs time or memory to build, but has no influence on the buffers.
_WITHOUT_WEIGHTS: dict[str, dict[str, Any]] = {
    "qwen2_5_omni_audio_encoder": {"encoder_layers": 0, "output_dim": 1},
    "qwen2_5_omni_vision_encoder": {"depth": 0, "out_hidden_size": 1, "spatial_merge_size": 1},
    "qwen2_5_omni_text": {"num_hidden_layers": 0, "layer_types": [], "vocab_size": 1, "pad_token_id": None},
}


def computed_buffers(part: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Compute the buffers of one of transformers' Qwen2.5-Omni models anew.

    A second, almost empty model is built on the CPU and its buffers are handed out: that relies on no internals, so it
    holds for every version of transformers.

    Args:
        part: audio tower, vision tower or decoder, possibly on the meta device.

    Returns:
        Path inside `part`, and value, in float32 on the CPU.
    """
    config: Any = copy.deepcopy(part.config)
    for name, value in _WITHOUT_WEIGHTS[config.model_type].items():
        setattr(config, name, value)
    # The constructors know transformers' own implementations only.
    config._attn_implementation = "sdpa"
    with torch.device("cpu"):
        twin = type(part)(config)
    yield from twin.named_buffers()
