"""Writing checkpoints in the released layout."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from wave_search.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from wave_search.models.wave.network import Wave

_WEIGHTS = ("*.safetensors", "*.safetensors.index.json", "pytorch_model*")


def save_wave(wave: Wave, directory: Path, max_shard_bytes: int = 5_000_000_000) -> None:
    """Write `config.json` and the weights; `load_wave` reads the same bits back.

    The keys are those of the released checkpoint, without `lm_head.weight`, which embedding does not need. The table
    of relative positions that all layers of BEATs share is written under the name of every layer, as there.

    Args:
        wave: the model, not quantized.
        directory: created if need be; must not hold weights yet.
        max_shard_bytes: size at which a new file is begun. All in one `model.safetensors` where they fit.

    Raises:
        UsageError: the directory holds weights already, or the model is quantized.
    """
    import torch
    from huggingface_hub import save_torch_state_dict

    directory.mkdir(parents=True, exist_ok=True)
    present = sorted(path.name for pattern in _WEIGHTS for path in directory.glob(pattern))
    if present:
        raise UsageError(f"{directory}: already holds weights ({present[0]})", "Choose an empty directory.")
    if any(type(parameter) is not torch.nn.Parameter for parameter in wave.parameters()):
        raise UsageError("a quantized model cannot be saved", "Save the model that it was loaded from.")
    save_torch_state_dict(_unshared(wave.state_dict()), directory, max_shard_size=max_shard_bytes)
    for path in directory.glob("*.safetensors"):
        path.chmod(0o644)  # safetensors leaves its files unreadable for others
    (directory / "config.json").write_text(json.dumps(wave.config.to_dict(), indent=2) + "\n", encoding="utf-8")


def _unshared(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Copy what occurs under a second name: the format refuses it, and saving would drop all names but one."""
    seen: set[int] = set()
    result = {}
    for key, tensor in state.items():
        result[key] = tensor.clone() if tensor.data_ptr() in seen else tensor
        seen.add(tensor.data_ptr())
    return result
