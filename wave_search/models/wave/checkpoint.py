"""Checkpoints in the released layout: every key is checked, and one copy of the weights is in memory."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from math import prod
from typing import TYPE_CHECKING, TypeVar

from wave_search.errors import CheckpointError, UsageError
from wave_search.models.device import resolve_dtype
from wave_search.models.wave.network import Component
from wave_search.models.wave.weight_files import (
    StoredTensor,
    catalogue,
    load_pickled,
    open_shard,
    read_json,
    weight_files,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    import torch

    from wave_search.models.wave.config import WaveConfig
    from wave_search.models.wave.network import Wave
    from wave_search.types import Quantization

_Tensor = TypeVar("_Tensor")

BEATS_FILE = "BEATs_iter3_plus_AS2M.pt"
"""The encoder as published by its authors; the released WAVE checkpoint includes it beside its own weights."""

_TOWERS = (Component.VISION, Component.AUDIO)
_BEATS_PREFIX = "beats."
# Heads that embedding does not use: of the language model, and of BEATs files that were fine-tuned for audio tagging.
_UNUSED = frozenset({"lm_head.weight", "beats.predictor.weight", "beats.predictor.bias"})
_SHARED_TABLE = ".relative_attention_bias.weight"
_WEIGHTS = ("*.safetensors", "*.safetensors.index.json", "pytorch_model*")
_LISTED_KEYS = 12
_GROUP_BYTES = 8 << 20
"""Number of bytes of weights that are converted before their file is unmapped."""


def read_config(directory: Path) -> WaveConfig:
    """Read the `config.json` of a checkpoint.

    Raises:
        CheckpointError: it is missing, cannot be read, or is not that of a WAVE model.
    """
    from wave_search.models.wave.config import WaveConfig

    path = directory / "config.json"
    content = read_json(path)
    try:
        return WaveConfig.from_dict(content)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error.message}", error.remedy) from error
    except Exception as error:  # transformers raises its own exceptions for invalid settings
        raise CheckpointError(f"{path}: not the configuration of a WAVE model ({_one_line(error)})") from error


def checkpoint_files(directory: Path) -> list[Path]:
    """Return the files that the model is loaded from: configuration, weights, and the BEATs file if present.

    Raises:
        CheckpointError: one is missing.
    """
    config, beats = directory / "config.json", directory / BEATS_FILE
    read_json(config)
    return [config, *weight_files(directory), *([beats] if beats.is_file() else [])]


class StoredWave:
    """A model whose components are read from its checkpoint on first use. Created by `open_wave`."""

    def __init__(
        self,
        wave: Wave,
        directory: Path,
        stored: Mapping[str, StoredTensor],
        *,
        device: torch.device,
        dtype: torch.dtype,
        quantization: Quantization | None,
    ) -> None:
        self.wave = wave
        self._directory = directory
        self._quantization = quantization
        self._stored = stored
        self._device, self._dtype = device, dtype
        self._missing = dict.fromkeys(Component)

    def require(self, components: Iterable[Component]) -> None:
        """Load those components that are not loaded yet.

        Raises:
            CheckpointError: a file was removed, or is damaged, or a key is missing, unexpected or of another shape.
        """
        wanted = [component for component in components if component in self._missing]
        if towers := [component for component in wanted if component in _TOWERS]:
            _add(self.wave, towers, self._directory)
            empty = self.wave.state_dict(keep_vars=True)  # otherwise it copies quantized weights
            _check_keys(self._directory, _keys_of(towers, self._stored), _keys_of(towers, empty))
            self.wave.init_buffers(self._device)
        for component in wanted:
            _fill(self.wave, _keys_of([component], self._stored), self._device, self._dtype)
            del self._missing[component]
            if component is Component.DECODER and self._quantization is not None:
                from wave_search.models.wave.quantize import finish_decoder

                finish_decoder(self.wave, self._quantization)


def load_wave(
    directory: Path,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
    beats_file: Path | None = None,
    quantization: Quantization | None = None,
) -> Wave:
    """Load a whole model; see `open_wave`."""
    config = read_config(directory)
    stored = open_wave(directory, config, device=device, dtype=dtype, beats_file=beats_file, quantization=quantization)
    stored.require(Component)
    return stored.wave


def open_wave(
    directory: Path,
    config: WaveConfig,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
    beats_file: Path | None = None,
    quantization: Quantization | None = None,
) -> StoredWave:
    """Open a checkpoint and check its keys against the model; those of a tower when that is needed. Reads no weights.

    The layout is that of the released checkpoint (see `save_wave`). Weights are cast one by one on the way to the
    device. If the dtype is the stored one and the device is the CPU, they stay mapped from the file.

    Args:
        directory: with the weights: safetensors or `.bin`, in shards or in one file.
        config: its configuration, see `read_config`.
        device: where the weights go.
        dtype: float32 or bfloat16; None for that of the configuration, or else the stored one. BEATs is always float32
            (see `Beats`).
        beats_file: replaces the BEATs of the checkpoint. By default, a `BEATs_iter3_plus_AS2M.pt` in the directory
            provides the `beats.*` keys that the checkpoint lacks: all, or those that were lost when it was saved.
        quantization: "8bit", "4bit", "int8" or "fp8" for the linear layers of the decoder; None for none.

    Returns:
        The model in evaluation mode, without towers and gradients, its parameters on the meta device.

    Raises:
        CheckpointError: a file is missing or damaged, or a key is missing, unexpected or of another shape.
        UsageError: the quantization is unknown, or its package is not installed.
    """
    import torch

    stored = catalogue(weight_files(directory))
    if beats_file is not None:
        stored = {key: tensor for key, tensor in stored.items() if not key.startswith(_BEATS_PREFIX)}
    source = beats_file or directory / BEATS_FILE
    if beats_file is not None or (source.is_file() and _lacks_beats(config, stored)):
        completed, beats = _standalone_beats(config, source)
        if completed.beats != config.beats and not _describes_own_beats(config, stored):
            config = completed
        stored = _completed(stored, beats)
    stored = {key: tensor for key, tensor in stored.items() if key not in _UNUSED}
    wave = _without_towers(config, directory)
    of_towers = _keys_of(_TOWERS, stored)
    _check_keys(directory, {key: at for key, at in stored.items() if key not in of_towers}, wave.state_dict())
    dtype = dtype or resolve_dtype(config.compute_dtype or "auto") or _stored_dtype(stored)
    if quantization is not None:
        from wave_search.models.wave.quantize import prepare_decoder

        prepare_decoder(wave, quantization, dtype)
    wave.init_buffers(device)
    return StoredWave(
        wave.requires_grad_(False),
        directory,
        stored,
        device=torch.device(device),
        dtype=dtype,
        quantization=quantization,
    )


def save_wave(wave: Wave, directory: Path, max_shard_bytes: int = 5_000_000_000) -> None:
    """Write `config.json` and the weights; `load_wave` restores them bit by bit.

    The keys are those of the released checkpoint, without `lm_head.weight`, which embedding does not need. The table of
    relative positions that all layers of BEATs share is written under the name of every layer, as in the release.

    Args:
        wave: the model, not quantized.
        directory: created if it does not exist; must not contain weights.
        max_shard_bytes: maximum size of a file; a single `model.safetensors` if the weights fit.

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
        path.chmod(0o644)  # safetensors creates files that only their owner can read
    (directory / "config.json").write_text(json.dumps(wave.config.to_dict(), indent=2) + "\n", encoding="utf-8")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


def _without_towers(config: WaveConfig, directory: Path) -> Wave:
    from wave_search.models.wave.network import Wave

    wave = Wave(config, ())
    _add(wave, (Component.DECODER, Component.HEAD), directory)
    return wave


def _add(wave: Wave, components: Iterable[Component], directory: Path) -> None:
    """Add components to a model, their parameters on the meta device."""
    import torch

    path = directory / "config.json"
    try:
        with torch.device("meta"):
            for component in components:
                wave.add(component)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error.message}", error.remedy) from error
    except Exception as error:  # inconsistent sizes fail in the constructors of torch and transformers
        raise CheckpointError(f"{path}: its sizes do not fit together ({_one_line(error)})") from error


def _keys_of(components: Iterable[Component], tensors: Mapping[str, _Tensor]) -> dict[str, _Tensor]:
    prefixes = tuple(prefix for component in components for prefix in component.prefixes)
    return {key: tensor for key, tensor in tensors.items() if key.startswith(prefixes)}


def _standalone_beats(config: WaveConfig, path: Path) -> tuple[WaveConfig, dict[str, StoredTensor]]:
    from wave_search.models.wave.config import BeatsConfig

    content = load_pickled(path)
    if not isinstance(content.get("cfg"), dict) or not isinstance(content.get("model"), dict):
        raise CheckpointError(
            f"{path}: not a BEATs checkpoint, which has the entries cfg and model",
            f"Use the file that is published as {BEATS_FILE}.",
        )
    # A fine-tuned encoder differs only in its head, which is not used.
    beats = BeatsConfig.from_dict({**content["cfg"], "finetuned_model": False})
    keys = {_BEATS_PREFIX + key: tensor for key, tensor in catalogue([path]).items()}
    return replace(config, beats=beats, source={**config.source, "beats_config": asdict(beats)}), keys


def _lacks_beats(config: WaveConfig, stored: Mapping[str, StoredTensor]) -> bool:
    import torch

    from wave_search.models.wave.beats import Beats

    if config.beats is None:
        return False
    with torch.device("meta"):
        return any(_BEATS_PREFIX + key not in stored for key in Beats(config.beats).state_dict())


def _describes_own_beats(config: WaveConfig, stored: Mapping[str, StoredTensor]) -> bool:
    return "beats_config" in config.source and any(key.startswith(_BEATS_PREFIX) for key in stored)


def _completed(stored: dict[str, StoredTensor], beats: Mapping[str, StoredTensor]) -> dict[str, StoredTensor]:
    """Add the keys of the standalone encoder that the checkpoint lacks."""
    missing = {key: tensor for key, tensor in beats.items() if key not in stored}
    table = next((tensor for key, tensor in stored.items() if key.endswith(_SHARED_TABLE)), None)
    # All layers share one table. The checkpoint may store it rounded, so tables from both files would differ.
    tables = dict.fromkeys((key for key in missing if key.endswith(_SHARED_TABLE)), table) if table else {}
    return {**stored, **tables, **{key: tensor for key, tensor in missing.items() if key not in tables}}


def _check_keys(directory: Path, stored: Mapping[str, StoredTensor], empty: Mapping[str, torch.Tensor]) -> None:
    expected = {key: tuple(tensor.shape) for key, tensor in empty.items()}
    missing = [key for key in expected if key not in stored]
    unexpected = [f"{key} (in {stored[key].path.name})" for key in stored if key not in expected]
    misshapen = [
        f"{key} is {stored[key].shape}, not {shape}"
        for key, shape in expected.items()
        if key in stored and stored[key].shape != shape
    ]
    faults = [
        f"{len(keys)} {what}: {_shortened(keys)}"
        for what, keys in (
            ("missing keys", missing),
            ("unexpected keys", unexpected),
            ("keys of another shape than config.json says", misshapen),
        )
        if keys
    ]
    if faults:
        raise CheckpointError(
            f"{directory}: not a complete WAVE checkpoint; {'; '.join(faults)}", _remedy(directory, missing)
        )


def _remedy(directory: Path, missing: Iterable[str]) -> str:
    if not any(key.startswith(_BEATS_PREFIX) for key in missing):
        return "Check that config.json and the weights belong together and are all there."
    if (directory / BEATS_FILE).is_file():
        return f"The {BEATS_FILE} in the directory lacks keys too, or has other sizes: use the published one."
    return f"Put {BEATS_FILE} into the directory, which has the beats.* keys."


def _shortened(keys: list[str]) -> str:
    rest = len(keys) - _LISTED_KEYS
    return ", ".join(keys[:_LISTED_KEYS]) + (f" and {rest} more" if rest > 0 else "")


def _stored_dtype(stored: Mapping[str, StoredTensor]) -> torch.dtype:
    import torch

    reference = stored["model.embed_tokens.weight"]
    with open_shard(reference.path) as shard:
        dtype = shard.tensor(reference.name).dtype
    return dtype if dtype in (torch.float32, torch.bfloat16) else torch.float32


def _fill(wave: Wave, stored: Mapping[str, StoredTensor], device: torch.device, dtype: torch.dtype) -> None:
    """Replace parameters on the meta device with the stored tensors."""
    import torch

    empty = wave.state_dict(keep_vars=True)
    # A mapped tensor keeps the whole file in memory, including the weights that were quantized.
    copy = any(type(parameter) is not torch.nn.Parameter for parameter in empty.values())
    placed: dict[int, torch.nn.Parameter] = {}
    for group in _groups(stored):
        # Closing the file between groups frees the pages of converted weights.
        with open_shard(stored[group[0]].path) as shard:
            for key in group:
                precision = torch.float32 if key.startswith(_BEATS_PREFIX) else dtype
                value = _parameter(empty[key], shard.tensor(stored[key].name), device, precision, copy)
                first = placed.setdefault(id(empty[key]), value)
                if first is not value and not torch.equal(first, value):
                    raise CheckpointError(
                        f"{stored[key].path}: {key} differs from that of the first layer; all layers share one table"
                    )
                module, _, attribute = key.rpartition(".")
                setattr(wave.get_submodule(module), attribute, first)


def _parameter(
    empty: torch.nn.Parameter, value: torch.Tensor, device: torch.device, dtype: torch.dtype, copy: bool
) -> torch.nn.Parameter:
    import torch

    if type(empty) is torch.nn.Parameter:
        return torch.nn.Parameter(value.to(device, dtype, copy=copy), requires_grad=False)
    from wave_search.models.wave.quantize import quantized

    return quantized(empty, value.to(dtype), device)


def _groups(stored: Mapping[str, StoredTensor]) -> Iterator[list[str]]:
    """Group keys in the order of their files. Each group is within one file and of limited size."""
    group: list[str] = []
    size_bytes = 0
    for key, tensor in stored.items():
        if group and (stored[group[0]].path != tensor.path or size_bytes > _GROUP_BYTES):
            yield group
            group, size_bytes = [], 0
        group.append(key)
        size_bytes += 4 * prod(tensor.shape)
    yield group


def _unshared(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Copy tensors that occur under a second name: the format rejects aliases, or all but one would be dropped."""
    seen: set[int] = set()
    result = {}
    for key, tensor in state.items():
        result[key] = tensor.clone() if tensor.data_ptr() in seen else tensor
        seen.add(tensor.data_ptr())
    return result
