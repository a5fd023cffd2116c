"""Damaged checkpoints: one sentence that names the file."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import struct
import tarfile
import zipfile
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from wave_search import models
from wave_search.errors import CheckpointError, ModelError
from wave_search.models.sources import TINY_DIRECTORY
from wave_search.models.wave.checkpoint import load_wave
from wave_search.types import Clip

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


DEEP = "[" * 100_000 + "]" * 100_000


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"text_config": {"num_hidden_layers": 10_000_000}}, "num_hidden_layers=10000000 is out of range"),
        ({"vision_config": {"depth": 10_000_000}}, "depth=10000000"),
        ({"audio_config": {"encoder_layers": 2**70}}, "encoder_layers"),
        ({"beats_config": {"encoder_layers": 10_000_000}}, "encoder_layers"),
        ({"beats_config": {"conv_pos": 10**9}}, "conv_pos"),
        ({"text_config": {"hidden_size": 10**9}}, "hidden_size"),
        ({"text_config": {"vocab_size": 10**12}}, "vocab_size"),
        ({"text_config": {"max_position_embeddings": 10**12}}, "max_position_embeddings"),
        ({"audio_config": {"max_source_positions": 10**12}}, "max_source_positions"),
        ({"text_config": {"rms_norm_eps": float("nan")}}, "rms_norm_eps=nan"),
        ({"text_config": {"rope_theta": 1e308}}, "rope_theta=1e+308"),
        ({"text_config": {"layer_types": ["full_attention"] * 10_000}}, "layer_types has 10,000 entries"),
        ({"text_config": {"hidden_size": -1}}, "config.json"),
        ({"wave_search": {"sampling": {"frame_interval_s": 0}}}, "frame_interval_s: 0 is not a number above 0"),
        ({"wave_search": {"sampling": {"max_pixels": 1e300}}}, "max_pixels"),
        ({"text_config": "large"}, "config.json"),
        ({"wave_search": []}, "config.json"),
    ],
)
def test_a_config_of_absurd_numbers_is_refused_before_anything_is_built(
    directory: Path, change: dict[str, object], named: str
) -> None:
    path = directory / "config.json"
    config = json.loads(path.read_text())
    for part, values in change.items():
        config[part] = {**config.get(part, {}), **values} if isinstance(values, dict) else values
    path.write_text(json.dumps(config))
    with pytest.raises(CheckpointError) as caught:
        load_wave(directory)
    assert str(path) in caught.value.message
    assert named in caught.value.message


@pytest.mark.parametrize("content", [DEEP, f'{{"text_config": {DEEP}}}', '{"a": ' + "9" * 5000 + "}"])
def test_a_config_that_is_nested_deeply_or_has_endless_numbers_is_no_json(directory: Path, content: str) -> None:
    (directory / "config.json").write_text(content)
    assert_refused(directory, "config.json", "not readable as JSON")


def test_a_config_that_is_too_large_or_no_file(directory: Path) -> None:
    os.truncate(directory / "config.json", 1 << 40)
    assert_refused(directory, "config.json", "consists mostly of holes")
    (directory / "config.json").unlink()
    os.mkfifo(directory / "config.json")
    assert_refused(directory, "config.json", "not a regular file")


@pytest.mark.parametrize("name", ["../secret.safetensors", "/etc/passwd", "a/b.safetensors", "..", "a\0b", ""])
def test_an_index_of_weights_names_only_files_beside_it(directory: Path, name: str) -> None:
    (directory / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": name}}))
    assert_refused(directory, "model.safetensors.index.json", "outside of its folder")


def header_of(content: object, size_bytes: int | None = None) -> bytes:
    header = json.dumps(content).encode()
    return struct.pack("<Q", len(header) if size_bytes is None else size_bytes) + header


@pytest.mark.parametrize(
    "data",
    [
        header_of({}, 2**63),
        header_of({}, 10**12),
        header_of({"a": {"dtype": "F32", "shape": [10**12], "data_offsets": [0, 4 * 10**12]}}),
        header_of({"a": {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 0]}}),
        header_of({"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}}),
        header_of({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}) + b"1234",
        struct.pack("<Q", 2 * len(DEEP)) + DEEP.encode(),
    ],
    ids=["size", "large size", "beyond the end", "overflow", "backwards", "negative", "deep"],
)
def test_safetensors_whose_header_lies(directory: Path, data: bytes) -> None:
    (directory / "model.safetensors").write_bytes(data)
    assert_refused(directory, "model.safetensors", "not readable as weights")


def test_a_tensor_that_is_larger_than_its_file(directory: Path) -> None:
    weights = load_file(directory / "model.safetensors")
    (directory / "model.safetensors").unlink()
    key = "model.embed_tokens.weight"
    weights[key] = torch.zeros(1).expand(weights[key].shape)
    torch.save(weights, directory / "pytorch_model.bin")
    assert_refused(directory, "pytorch_model.bin", f"{key} has more values than are stored")


def test_entries_of_a_pickle_that_are_numbers(directory: Path) -> None:
    weights: dict[object, object] = {**load_file(directory / "model.safetensors"), 1: 2}
    (directory / "model.safetensors").unlink()
    torch.save(weights, directory / "pytorch_model.bin")
    assert_refused(directory, "pytorch_model.bin", "entries that are not tensors: 1")


def nested_key(levels: int) -> bytes:
    """A pickle of a dictionary whose key is a tuple of 2 ** levels numbers in a few bytes."""
    return b"\x80\x02}q\x00K\x01q\x01" + b"h\x01\x86q\x01" * levels + b"K\x02s."


def archive(pickled: bytes, compression: int = zipfile.ZIP_STORED) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", compression) as file:
        file.writestr("archive/data.pkl", pickled)
        file.writestr("archive/version", "3\n")
    return data.getvalue()


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (nested_key(60), "refer to each other"),
        (archive(nested_key(60)), "refer to each other"),
        (archive(b"\x80\x02}q\x00." + bytes(1 << 20), zipfile.ZIP_DEFLATED), "compressed"),
    ],
    ids=["old", "zip", "compressed"],
)
def test_a_pickle_that_grows_when_it_is_read(directory: Path, data: bytes, cause: str) -> None:
    (directory / "model.safetensors").unlink()
    (directory / "pytorch_model.bin").write_bytes(data)
    assert_refused(directory, "pytorch_model.bin", "not readable as weights", cause)


def test_the_advice_of_torch_to_run_code_is_not_passed_on(directory: Path) -> None:
    (directory / "model.safetensors").unlink()
    with tarfile.open(directory / "pytorch_model.bin", "w") as file:
        for name in ("storages", "tensors", "pickle"):
            file.addfile(tarfile.TarInfo(name))
    with pytest.raises(CheckpointError) as caught:
        load_wave(directory)
    assert "weights_only" not in str(caught.value)
    assert "pytorch_model.bin: not readable as weights" in str(caught.value)


def test_weights_of_nothing_but_holes(directory: Path) -> None:
    size_bytes = 2 << 40
    header = header_of(
        {"model.embed_tokens.weight": {"dtype": "F32", "shape": [1 << 39], "data_offsets": [0, 2 << 40]}}
    )
    (directory / "model.safetensors").write_bytes(header)
    os.truncate(directory / "model.safetensors", len(header) + size_bytes)
    assert_refused(directory, "model.safetensors", "consists mostly of holes")


def test_a_header_of_millions_of_names(directory: Path) -> None:
    (directory / "model.safetensors").write_bytes(struct.pack("<Q", 9 << 20) + b" " * (9 << 20))
    assert_refused(directory, "model.safetensors", "its header has 9,437,184 bytes")


def test_an_index_of_a_million_files(directory: Path) -> None:
    names = {str(number): f"{number}.safetensors" for number in range(1001)}
    (directory / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    assert_refused(directory, "model.safetensors.index.json", "names 1,001 files")


@pytest.mark.parametrize("part", [None, "text_config", "audio_config", "vision_config"])
@pytest.mark.parametrize("key", ["attn_implementation", "_attn_implementation", "experts_implementation", "model_type"])
def test_code_that_a_config_names_is_neither_downloaded_nor_run(directory: Path, part: str | None, key: str) -> None:
    """Transformers downloads "owner/name" from the hub, and runs it, if the package `kernels` is there."""
    path = directory / "config.json"
    config = json.loads(path.read_text())
    (config if part is None else config[part])[key] = "someone/kernel"
    path.write_text(json.dumps(config))
    wave = load_wave(directory)
    parts = (wave.audio_tower, wave.visual)
    assert all("someone" not in str(part.config._attn_implementation) for part in parts)


def test_sizes_that_only_their_use_shows_to_be_wrong_are_the_fault_of_the_model(directory: Path) -> None:
    shutil.copy(TINY_DIRECTORY / "tokenizer.json", directory)
    path = directory / "config.json"
    config = json.loads(path.read_text())
    config["vision_config"]["window_size"] = 0
    path.write_text(json.dumps(config))
    model = models.load(str(directory))
    with pytest.raises(ModelError, match=r"the model cannot be computed .*zero.* Check that its config\.json"):
        model.embed([Clip(image=np.zeros((56, 56, 3), np.uint8))])
    assert model.embed([Clip(text="rain")])


def test_a_list_in_place_of_a_size_is_the_fault_of_the_model(directory: Path) -> None:
    shutil.copy(TINY_DIRECTORY / "tokenizer.json", directory)
    path = directory / "config.json"
    config = json.loads(path.read_text())
    config["text_config"]["rope_scaling"]["mrope_section"] = [2, [3], 3]
    path.write_text(json.dumps(config))
    with pytest.raises(ModelError, match=r"the model cannot be computed .* Check that its config\.json"):
        models.load(str(directory)).embed([Clip(text="rain")])
