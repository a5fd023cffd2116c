"""8-bit and 4-bit decoders."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
import pytest

from wave_search.errors import UsageError
from wave_search.models import LoadOptions, load
from wave_search.models.sources import TINY_DIRECTORY
from wave_search.models.wave.checkpoint import load_wave, save_wave
from wave_search.types import Clip, Modality, Waveform

if TYPE_CHECKING:
    from pathlib import Path

needs_bitsandbytes = pytest.mark.skipif(find_spec("bitsandbytes") is None, reason="bitsandbytes is optional")
needs_torchao = pytest.mark.skipif(find_spec("torchao") is None, reason="torchao is optional")


@pytest.mark.parametrize(
    ("method", "closeness"),
    [
        pytest.param("8bit", 0.99, marks=needs_bitsandbytes),
        pytest.param("4bit", 0.8, marks=needs_bitsandbytes),
        pytest.param("int8", 0.99, marks=needs_torchao),
        pytest.param("fp8", 0.98, marks=needs_torchao),
    ],
)
def test_vectors_stay_close(method: str, closeness: float) -> None:
    samples = (0.5 * np.sin(np.arange(32_000) / 9)).astype(np.float32)
    clips = [Clip(text="a dog barks"), Clip(waveform=Waveform(samples, 16_000))]
    full, quantized = (
        load("wave-tiny", LoadOptions(device="cpu")),
        load("wave-tiny", LoadOptions(device="cpu", quantization=method)),
    )
    assert quantized.spec == replace(full.spec, quantization=method)
    for modality, one, other in zip(
        (Modality.TEXT, Modality.AUDIO), full.embed(clips), quantized.embed(clips), strict=True
    ):
        similarity = float(one[modality] @ other[modality])
        assert closeness < similarity < 0.999999


@needs_bitsandbytes
@pytest.mark.parametrize("method", ["8bit", "4bit"])
def test_linear_layers_of_the_decoder_only(tmp_path: Path, method: str) -> None:
    wave = load_wave(TINY_DIRECTORY, quantization=method)
    small = {name for name, parameter in wave.named_parameters() if not parameter.is_floating_point()}
    linear = {
        f"model.layers.{layer}.{part}_proj.weight"
        for layer in range(3)
        for part in (
            *(f"self_attn.{name}" for name in "qkvo"),
            *(f"mlp.{name}" for name in ("gate", "up", "down")),
        )
    }
    assert small == linear
    with pytest.raises(UsageError, match="a quantized model cannot be saved"):
        save_wave(wave, tmp_path)


@pytest.mark.parametrize(("method", "package"), [("4bit", "bitsandbytes"), ("fp8", "torchao")])
def test_packages_are_optional(monkeypatch: pytest.MonkeyPatch, method: str, package: str) -> None:
    monkeypatch.setattr("wave_search.models.wave.quantize.find_spec", lambda _name: None)
    with pytest.raises(UsageError, match=f"{method} needs the package {package}"):
        load("wave-tiny", LoadOptions(quantization=method))
