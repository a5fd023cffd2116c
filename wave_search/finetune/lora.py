"""Low-rank adapters in the decoder, through peft. All other weights are frozen."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from wave_search.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from wave_search.finetune.settings import Lora
    from wave_search.models.wave.network import Wave

_NAME = "default"


class Adapter(nn.Module):
    """The adapters of a model without its other weights. The state of this module is that of a checkpoint.

    The model's layers are replaced in place by layers that add the output of the adapters, which is initially zero.

    Source: LoRA, arXiv:2106.09685.
    """

    def __init__(self, wave: Wave, base: str, settings: Lora, seed: int) -> None:
        """Add adapters to a model.

        Args:
            wave: the model; its weights are frozen.
            base: name and revision of the model, to be saved with the adapters.
            settings: size and layers of the adapters.
            seed: seed of the initial values.

        Raises:
            UsageError: peft is not installed.
        """
        super().__init__()
        try:
            from peft import LoraConfig, PeftModel
        except ImportError as error:
            raise UsageError("fine-tuning needs the package peft", "pip install 'wave-search[train]'") from error
        torch.manual_seed(seed)
        targets = "|".join(map(re.escape, settings.targets))
        config = LoraConfig(
            base_model_name_or_path=base,
            r=settings.rank,
            lora_alpha=settings.alpha,
            lora_dropout=settings.dropout,
            # The towers have layers with the same names.
            target_modules=rf"model\.layers\.\d+\.(self_attn|mlp)\.({targets})",
        )
        # A tuple, so that the weights of the model are not part of the state of this module.
        self._peft: tuple[Any, ...] = (PeftModel(wave, config),)
        layers: list[Any] = [
            module for module in wave.modules() if {"lora_A", "base_layer"} <= dict(module.named_children()).keys()
        ]
        self.layers = nn.ModuleList(
            nn.ModuleList([layer.lora_A[_NAME], layer.lora_B[_NAME], layer.lora_dropout[_NAME]]) for layer in layers
        )
        wave.eval()

    def save(self, directory: Path) -> None:
        """Write the adapters in the format of peft."""
        self._peft[0].save_pretrained(str(directory), save_embedding_layers=False)
        (directory / "README.md").unlink()  # an empty template

    def merge(self) -> Wave:
        """Merge the adapters into the weights, and return the model."""
        wave: Wave = self._peft[0].merge_and_unload()
        return wave
