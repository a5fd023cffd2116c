"""Writing checkpoints in the released layout."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from wave_search.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import torch

    from wave_search.models.wave.network import Wave

_WEIGHTS = ("*.safetensors", "*.safetensors.index.json", "pytorch_model*")


def save_wave(wave: Wave, directory: Path, max_shard_bytes: int = 5_000_000_000) -> None:
    """Write `config.json` and the weights; `load_wave` gives back the same bits.

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

    directory.mkdir(parents=True, exist_ok=True)
    present = sorted(path.name for pattern in _WEIGHTS for path in directory.glob(pattern))
    if present:
        raise UsageError(f"{directory}: already holds weights ({present[0]})", "Choose an empty directory.")
    if any(type(parameter) is not torch.nn.Parameter for parameter in wave.parameters()):
        raise UsageError("a quantized model cannot be saved", "Save the model that it was loaded from.")
    shards = _shards(wave.state_dict().items(), max_shard_bytes)
    names = (
        ["model.safetensors"]
        if len(shards) == 1
        else [f"model-{number:05}-of-{len(shards):05}.safetensors" for number in range(1, len(shards) + 1)]
    )
    for name, shard in zip(names, shards, strict=True):
        _write(directory / name, shard)
    if len(shards) > 1:
        index = {
            "metadata": {"total_size": sum(_size_bytes(tensor) for shard in shards for tensor in shard.values())},
            "weight_map": {key: name for name, shard in zip(names, shards, strict=True) for key in shard},
        }
        _write_json(directory / "model.safetensors.index.json", index)
    _write_json(directory / "config.json", wave.config.to_dict())


def _shards(tensors: Iterable[tuple[str, torch.Tensor]], max_shard_bytes: int) -> list[dict[str, torch.Tensor]]:
    shards: list[dict[str, torch.Tensor]] = [{}]
    size_bytes = 0
    for key, tensor in tensors:
        if shards[-1] and size_bytes + _size_bytes(tensor) > max_shard_bytes:
            shards.append({})
            size_bytes = 0
        shards[-1][key] = tensor
        size_bytes += _size_bytes(tensor)
    return shards


def _size_bytes(tensor: torch.Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _write(path: Path, shard: dict[str, torch.Tensor]) -> None:
    from safetensors.torch import save_file

    seen: set[int] = set()
    separate = {}
    for key, tensor in shard.items():
        # The format refuses one memory under two names, which is how the shared table appears.
        separate[key] = tensor.detach().clone() if tensor.data_ptr() in seen else tensor.detach().contiguous()
        seen.add(tensor.data_ptr())
    save_file(separate, str(path), metadata={"format": "pt"})
    path.chmod(0o644)  # safetensors leaves its files unreadable for others


def _write_json(path: Path, content: dict[str, object]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
