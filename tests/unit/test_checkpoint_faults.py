"""Damaged checkpoints: one sentence that names the file."""

from __future__ import annotations

import json
import pickle
import shutil
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import load_file

from wave_search.errors import CheckpointError
from wave_search.models.wave.checkpoint import load_wave
from wave_search.models.wave.family import TINY_DIRECTORY

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A whole checkpoint, to be damaged."""
    for name in ("config.json", "model.safetensors"):
        shutil.copy(TINY_DIRECTORY / name, tmp_path)
    return tmp_path


def assert_refused(directory: Path, *words: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        load_wave(directory)
    for word in words:
        assert word in str(caught.value)
    assert caught.value.remedy


@pytest.mark.parametrize("kept", [0, 5, 1000, 900_000])
def test_truncated_safetensors(directory: Path, kept: int) -> None:
    path = directory / "model.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    assert_refused(directory, str(path), "not readable as weights", "download it again")


@pytest.mark.parametrize("kept", [0, 5, 1000, 900_000])
def test_truncated_bin(directory: Path, kept: int) -> None:
    path = directory / "pytorch_model.bin"
    torch.save(load_file(directory / "model.safetensors"), path)
    (directory / "model.safetensors").unlink()
    path.write_bytes(path.read_bytes()[:kept])
    assert_refused(directory, str(path), "not readable as weights")


def test_bin_with_code_is_not_run(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(directory)

    class Intruder:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return exec, ("import pathlib; pathlib.Path('intruded').touch()",)

    (directory / "model.safetensors").unlink()
    torch.save({"weight": Intruder()}, directory / "pytorch_model.bin", pickle_module=pickle)
    with pytest.raises(CheckpointError) as caught:
        load_wave(directory)
    assert "pytorch_model.bin: contains code (exec), which is never run. Get the checkpoint as" in str(caught.value)
    assert "weights_only" not in str(caught.value)
    assert not (directory / "intruded").exists()


def test_bin_that_is_another_file(directory: Path) -> None:
    (directory / "model.safetensors").unlink()
    (directory / "pytorch_model.bin").write_text("version https://git-lfs.github.com/spec/v1\n")
    assert_refused(directory, "pytorch_model.bin", "not readable as weights (not a pickle of tensors)")


def test_bin_without_tensors(directory: Path) -> None:
    (directory / "model.safetensors").unlink()
    torch.save({"epoch": 3}, directory / "pytorch_model.bin")
    assert_refused(directory, "pytorch_model.bin", "epoch")


def test_shard_missing(directory: Path) -> None:
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (directory / "model.safetensors").rename(directory / "model-00001-of-00002.safetensors")
    (directory / "model.safetensors.index.json").write_text(json.dumps(index))
    assert_refused(directory, str(directory), "model-00002-of-00002.safetensors")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"weight_map": 3}', "\xff"])
def test_unreadable_index(directory: Path, content: str) -> None:
    (directory / "model.safetensors.index.json").write_text(content, encoding="latin-1")
    assert_refused(directory, "model.safetensors.index.json")


def test_no_weights(directory: Path) -> None:
    (directory / "model.safetensors").unlink()
    assert_refused(directory, str(directory), "no weights")


def test_no_config(directory: Path) -> None:
    (directory / "config.json").unlink()
    assert_refused(directory, str(directory / "config.json"), "no such file")


def test_unreadable_config(directory: Path) -> None:
    (directory / "config.json").write_text('{"text_config": ')
    assert_refused(directory, str(directory / "config.json"), "JSON")


@pytest.mark.parametrize("key", ["vision_start_token_id", "eos_token_id", "pad_token_id"])
def test_config_without_a_token_id(directory: Path, key: str) -> None:
    path = directory / "config.json"
    config = json.loads(path.read_text())
    del config[key]
    path.write_text(json.dumps(config))
    assert_refused(directory, str(path), key)


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [
        ("text_config", "num_attention_heads", 0),
        ("text_config", "hidden_size", "large"),
        ("audio_config", "encoder_attention_heads", 7),
        ("beats_config", "conv_pos_groups", 7),
        ("beats_config", "layer_norm_first", True),
    ],
)
def test_config_that_makes_no_model(directory: Path, part: str, key: str, value: object) -> None:
    path = directory / "config.json"
    config = json.loads(path.read_text())
    config[part][key] = value
    path.write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=r"config\.json"):
        load_wave(directory)
