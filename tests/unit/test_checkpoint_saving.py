"""Saving, and what a saved model takes of memory when it is loaded."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import torch

from tests.fork_server import StandIns
from wave_search.errors import UsageError
from wave_search.models.sources import TINY_DIRECTORY
from wave_search.models.wave.checkpoint import load_wave, save_wave
from wave_search.models.wave.config import WaveConfig
from wave_search.models.wave.network import Wave

MEASURE = """
import re, sys
from pathlib import Path
import torch
from wave_search.models.wave.checkpoint import load_wave
from wave_search.models.sources import TINY_DIRECTORY

def peak_bytes():
    return 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

load_wave(TINY_DIRECTORY)
before = peak_bytes()
wave = load_wave(Path(sys.argv[1]), dtype=getattr(torch, sys.argv[2]))
total = float(sum(parameter.sum() for parameter in wave.parameters()))  # touches every page
weights = sum(parameter.numel() * parameter.element_size() for parameter in wave.parameters())
print((peak_bytes() - before) / weights)
"""


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("max_shard_bytes", [300_000, 10**9])
def test_round_trip_is_exact(tmp_path: Path, dtype: torch.dtype, max_shard_bytes: int) -> None:
    wave = load_wave(TINY_DIRECTORY, dtype=dtype)
    save_wave(wave, tmp_path / "copy", max_shard_bytes)
    again = load_wave(tmp_path / "copy")
    state = again.state_dict()
    assert state.keys() == wave.state_dict().keys()
    for key, value in wave.state_dict().items():
        assert state[key].dtype == value.dtype, key
        assert torch.equal(state[key].view(torch.uint8), value.view(torch.uint8)), key
    assert again.config.to_dict() == wave.config.to_dict()


def test_shards_keep_to_their_limit_and_list_every_key(tmp_path: Path) -> None:
    wave = load_wave(TINY_DIRECTORY)
    save_wave(wave, tmp_path, max_shard_bytes=300_000)
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    shards = sorted(path.name for path in tmp_path.glob("*.safetensors"))
    assert len(shards) > 3
    assert sorted(set(index["weight_map"].values())) == shards
    assert index["weight_map"].keys() == wave.state_dict().keys()
    assert "beats.encoder.layers.1.self_attn.relative_attention_bias.weight" in index["weight_map"]
    assert "lm_head.weight" not in index["weight_map"]
    assert max((tmp_path / shard).stat().st_size for shard in shards) < 310_000


def test_weights_are_not_overwritten(tmp_path: Path) -> None:
    wave = load_wave(TINY_DIRECTORY)
    save_wave(wave, tmp_path)
    with pytest.raises(UsageError, match="already holds weights"):
        save_wave(wave, tmp_path)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of 190 MB in float32."""
    config = json.loads((TINY_DIRECTORY / "config.json").read_text())
    config["text_config"] |= {"hidden_size": 512, "intermediate_size": 2048, "num_hidden_layers": 10}
    config["audio_config"]["output_dim"] = config["vision_config"]["out_hidden_size"] = 512
    config["text_config"]["rope_scaling"]["mrope_section"] = [16, 24, 24]
    directory = tmp_path_factory.mktemp("large")
    wave = Wave(WaveConfig.from_dict(config))
    save_wave(wave, directory, max_shard_bytes=100_000_000)
    return directory


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak from /proc")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_one_copy_of_the_weights_in_memory(large: Path, stand_ins: StandIns, dtype: str) -> None:
    done = subprocess.run(
        [stand_ins.python, "-c", MEASURE, str(large), dtype], capture_output=True, text=True, check=True
    )
    assert 0.9 < float(done.stdout) < 1.3
