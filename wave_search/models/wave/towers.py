"""The towers of WAVE: transformers' own modules for Qwen2.5-Omni, imported only for models that see or hear."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F  # noqa: N812 - the usual name
from torch import nn

from wave_search.models.wave.attention import attend_by_length
from wave_search.models.wave.transformers_imports import Qwen2_5OmniAudioEncoder, Qwen2_5OmniVisionEncoder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wave_search.models.wave.config import WaveConfig


def audio_tower(config: WaveConfig) -> nn.Module:
    """Return the audio tower. Raises whatever transformers raises for sizes that do not fit together."""
    # A copy, because `attend_by_length` writes into it.
    tower: nn.Module = Qwen2_5OmniAudioEncoder(copy.deepcopy(config.thinker.audio_config))
    attend_by_length(tower)
    return tower


def vision_tower(config: WaveConfig) -> nn.Module:
    """Return the vision tower. Raises like `audio_tower`."""
    tower = Qwen2_5OmniVisionEncoder(copy.deepcopy(config.thinker.vision_config))
    tower.patch_embed = _PatchEmbedding(tower.patch_embed)
    attend_by_length(tower)
    made: nn.Module = tower
    return made


class _PatchEmbedding(nn.Module):
    """A convolution over non-overlapping patches, computed as a matrix product, which is several times as fast."""

    def __init__(self, convolution: Any) -> None:
        super().__init__()
        self.proj = convolution.proj

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        """Map (patches, values) to (patches, width)."""
        weight = self.proj.weight
        return F.linear(patches.to(weight.dtype), weight.flatten(1))


# Minimal values of settings that cost time or memory but do not affect the buffers.
_WITHOUT_WEIGHTS: dict[str, dict[str, Any]] = {
    "qwen2_5_omni_audio_encoder": {"encoder_layers": 0, "output_dim": 1},
    "qwen2_5_omni_vision_encoder": {"depth": 0, "out_hidden_size": 1, "spatial_merge_size": 1},
}


def computed_buffers(module: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Compute those buffers of a tower of transformers that are not in checkpoints.

    They are taken from a second, almost empty model built on the CPU, which does not rely on internals of any version
    of transformers.

    Args:
        module: audio tower or vision tower, possibly on the meta device.

    Returns:
        Paths inside `module` with values, in float32 on the CPU.
    """
    config: Any = copy.deepcopy(module.config)
    # That of the class: a checkpoint's own may be anything, and transformers does not look at it here.
    for name, value in _WITHOUT_WEIGHTS[type(config).model_type].items():
        setattr(config, name, value)
    # The constructors accept transformers' own implementations only.
    config._attn_implementation = "sdpa"
    with torch.device("cpu"):
        small = type(module)(config)
    yield from small.named_buffers()
