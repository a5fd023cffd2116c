"""Loading: every key accounted for, whatever form the files have."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import load_file, save_file

from wave_search.errors import CheckpointError
from wave_search.models.sources import TINY_DIRECTORY
from wave_search.models.wave.checkpoint import BEATS_FILE, load_wave, open_wave, read_config
from wave_search.models.wave.network import Component

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from wave_search.models.wave.network import Wave

    State = dict[str, torch.Tensor]

G, V = "beats.encoder.pos_conv.0.weight_g", "beats.encoder.pos_conv.0.weight_v"
NEW_SPELLING = "beats.encoder.pos_conv.0.parametrizations.weight.original"


@pytest.fixture(scope="module")
def weights() -> State:
    return load_file(TINY_DIRECTORY / "model.safetensors")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A checkpoint without weights."""
    shutil.copy(TINY_DIRECTORY / "config.json", tmp_path)
    return tmp_path


def assert_loaded(wave: Wave, weights: State) -> None:
    state = wave.state_dict()
    assert state.keys() == weights.keys()
    for key, value in weights.items():
        assert torch.equal(state[key], value), key
    assert not any(tensor.is_meta for tensor in [*wave.parameters(), *wave.buffers()])
    assert not wave.training
    assert not any(parameter.requires_grad for parameter in wave.parameters())


def write_sharded(directory: Path, weights: State, write: Callable[[State, Path], None], name: str) -> None:
    weight_map = {}
    for number, keys in enumerate((list(weights)[::2], list(weights)[1::2]), start=1):
        stem, _, ending = name.rpartition(".")
        shard = f"{stem}-{number:05}-of-00002.{ending}"
        write({key: weights[key] for key in keys}, directory / shard)
        weight_map |= dict.fromkeys(keys, shard)
    (directory / f"{name}.index.json").write_text(json.dumps({"weight_map": weight_map}))


def test_one_safetensors_file(weights: State) -> None:
    assert_loaded(load_wave(TINY_DIRECTORY), weights)


def test_sharded_safetensors(directory: Path, weights: State) -> None:
    write_sharded(directory, weights, save_file, "model.safetensors")
    assert_loaded(load_wave(directory), weights)


def test_one_bin_file(directory: Path, weights: State) -> None:
    torch.save(weights, directory / "pytorch_model.bin")
    assert_loaded(load_wave(directory), weights)


def test_bin_file_of_the_old_format(directory: Path, weights: State) -> None:
    torch.save(weights, directory / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    assert_loaded(load_wave(directory), weights)


def test_sharded_bin(directory: Path, weights: State) -> None:
    write_sharded(directory, weights, torch.save, "pytorch_model.bin")
    assert_loaded(load_wave(directory), weights)


def test_lm_head_is_dropped(directory: Path, weights: State) -> None:
    save_file({**weights, "lm_head.weight": torch.zeros(3, 3)}, directory / "model.safetensors")
    assert_loaded(load_wave(directory), weights)


def test_new_spelling_of_weight_norm_arrives(directory: Path, weights: State) -> None:
    renamed = {key: value for key, value in weights.items() if key not in (G, V)}
    save_file(
        {**renamed, f"{NEW_SPELLING}0": weights[G], f"{NEW_SPELLING}1": weights[V]}, directory / "model.safetensors"
    )
    assert_loaded(load_wave(directory), weights)


@pytest.mark.parametrize(
    "key", [G, V, "classify_linear.0.weight", "beats.encoder.layers.1.self_attn.relative_attention_bias.weight"]
)
def test_a_missing_key_is_named(directory: Path, weights: State, key: str) -> None:
    save_file({name: value for name, value in weights.items() if name != key}, directory / "model.safetensors")
    with pytest.raises(CheckpointError, match=rf"1 missing keys: {key}") as caught:
        load_wave(directory)
    assert str(directory) in str(caught.value)


def test_many_missing_keys_are_counted(directory: Path, weights: State) -> None:
    gone = [key for key in weights if key.startswith("visual.")]
    save_file({key: value for key, value in weights.items() if key not in gone}, directory / "model.safetensors")
    with pytest.raises(CheckpointError, match=rf"{len(gone)} missing keys: .* and {len(gone) - 12} more"):
        load_wave(directory)


def test_an_unexpected_key_is_named(directory: Path, weights: State) -> None:
    save_file({**weights, "thinker.norm.weight": torch.zeros(3)}, directory / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"1 unexpected keys: thinker.norm.weight \(in model.safetensors\)"):
        load_wave(directory)


def test_a_wrong_shape_is_named_with_both(directory: Path, weights: State) -> None:
    save_file({**weights, "model.norm.weight": torch.zeros(65)}, directory / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"model.norm.weight is \(65,\), not \(64,\)"):
        load_wave(directory)


def test_copies_of_the_shared_table_must_agree(directory: Path, weights: State) -> None:
    key = "beats.encoder.layers.1.self_attn.relative_attention_bias.weight"
    save_file({**weights, key: weights[key] + 1}, directory / "model.safetensors")
    with pytest.raises(CheckpointError, match=key):
        load_wave(directory)


def test_bfloat16_leaves_beats_in_float32(weights: State) -> None:
    state = load_wave(TINY_DIRECTORY, dtype=torch.bfloat16).state_dict()
    for key, value in weights.items():
        expected = value if key.startswith("beats.") else value.to(torch.bfloat16)
        assert state[key].dtype == expected.dtype, key
        assert torch.equal(state[key], expected), key


def test_dtype_as_stored(directory: Path, weights: State) -> None:
    save_file({key: value.to(torch.bfloat16) for key, value in weights.items()}, directory / "model.safetensors")
    assert load_wave(directory).model.norm.weight.dtype == torch.bfloat16
    assert load_wave(directory, dtype=torch.float32).model.norm.weight.dtype == torch.float32


# BEATs from its own file


def beats_of(weights: State) -> State:
    return {key.removeprefix("beats."): value for key, value in weights.items() if key.startswith("beats.")}


@pytest.fixture
def beats_settings() -> dict[str, object]:
    settings = json.loads((TINY_DIRECTORY / "config.json").read_text())["beats_config"]
    return {**settings, "layer_norm_first": False, "encoder_layerdrop": 0.05, "finetuned_model": False}


def test_beats_from_its_own_file(directory: Path, weights: State, beats_settings: dict[str, object]) -> None:
    config = json.loads((directory / "config.json").read_text())
    del config["beats_config"]
    (directory / "config.json").write_text(json.dumps(config))
    save_file(
        {key: value for key, value in weights.items() if not key.startswith("beats.")}, directory / "model.safetensors"
    )
    torch.save({"cfg": beats_settings, "model": beats_of(weights)}, directory / BEATS_FILE)
    wave = load_wave(directory)
    assert_loaded(wave, weights)
    assert wave.config.to_dict()["beats_config"]["encoder_embed_dim"] == 48


def test_beats_that_was_fine_tuned_to_tag_sounds(
    directory: Path, weights: State, beats_settings: dict[str, object]
) -> None:
    save_file(
        {key: value for key, value in weights.items() if not key.startswith("beats.")}, directory / "model.safetensors"
    )
    head = {"predictor.weight": torch.zeros(527, 48), "predictor.bias": torch.zeros(527)}
    settings = {**beats_settings, "finetuned_model": True, "predictor_class": 527}
    torch.save({"cfg": settings, "model": {**beats_of(weights), **head}}, directory / BEATS_FILE)
    assert_loaded(load_wave(directory), weights)


def test_beats_of_the_checkpoint_has_priority(
    directory: Path, weights: State, beats_settings: dict[str, object]
) -> None:
    save_file(weights, directory / "model.safetensors")
    other = {key: value + 1 for key, value in beats_of(weights).items()}
    torch.save({"cfg": beats_settings, "model": other}, directory / BEATS_FILE)
    assert_loaded(load_wave(directory), weights)
    told = load_wave(directory, beats_file=directory / BEATS_FILE).state_dict()
    assert torch.equal(told[G], weights[G] + 1)


POS_CONV = "beats.encoder.pos_conv.0."
TABLE = "relative_attention_bias.weight"


@pytest.mark.parametrize("lost", [POS_CONV, "beats.layer_norm.weight", TABLE, f"layers.1.self_attn.{TABLE}"])
@pytest.mark.parametrize("settings_from", ["config.json", BEATS_FILE])
def test_lost_keys_come_from_the_beats_file(
    directory: Path, weights: State, beats_settings: dict[str, object], lost: str, settings_from: str
) -> None:
    if settings_from == BEATS_FILE:
        config = json.loads((directory / "config.json").read_text())
        del config["beats_config"]
        (directory / "config.json").write_text(json.dumps(config))
    save_file({key: value for key, value in weights.items() if lost not in key}, directory / "model.safetensors")
    other = {key: value if lost in f"beats.{key}" else value + 1 for key, value in beats_of(weights).items()}
    torch.save({"cfg": beats_settings, "model": other}, directory / BEATS_FILE)
    assert_loaded(load_wave(directory), weights)


def test_one_table_where_the_checkpoint_is_rounded(
    directory: Path, weights: State, beats_settings: dict[str, object]
) -> None:
    rounded = {key: value.to(torch.bfloat16) for key, value in weights.items()}
    first = f"beats.encoder.layers.0.self_attn.{TABLE}"
    kept = {key: value for key, value in rounded.items() if key == first or not key.endswith(TABLE)}
    save_file(kept, directory / "model.safetensors")
    torch.save({"cfg": beats_settings, "model": beats_of(weights)}, directory / BEATS_FILE)
    assert_loaded(load_wave(directory, dtype=torch.float32), {key: value.float() for key, value in rounded.items()})


def test_words_need_no_beats_weights(directory: Path, weights: State, beats_settings: dict[str, object]) -> None:
    save_file({key: value for key, value in weights.items() if POS_CONV not in key}, directory / "model.safetensors")
    torch.save({"cfg": beats_settings, "model": beats_of(weights)}, directory / BEATS_FILE)
    stored = open_wave(directory, read_config(directory))
    stored.require([Component.DECODER])
    assert stored.wave.audio_tower is None
    stored.require([Component.AUDIO])
    assert torch.equal(stored.wave.beats.encoder.pos_conv[0].weight_g, weights[G])


@pytest.mark.parametrize("has_file", [True, False])
def test_keys_lost_everywhere_are_named(
    directory: Path, weights: State, beats_settings: dict[str, object], has_file: bool
) -> None:
    kept = {key: value for key, value in weights.items() if POS_CONV not in key}
    save_file(kept, directory / "model.safetensors")
    if has_file:
        torch.save({"cfg": beats_settings, "model": beats_of(kept)}, directory / BEATS_FILE)
    remedy = f"The {BEATS_FILE} in the directory lacks keys too" if has_file else f"Put {BEATS_FILE}"
    with pytest.raises(CheckpointError, match=rf"3 missing keys: .*{V}.*{remedy}"):
        load_wave(directory)


def test_no_beats_anywhere(directory: Path, weights: State) -> None:
    save_file(
        {key: value for key, value in weights.items() if not key.startswith("beats.")}, directory / "model.safetensors"
    )
    with pytest.raises(CheckpointError, match=rf"beats\.post_extract_proj\.weight.*Put {BEATS_FILE}"):
        load_wave(directory)


def test_a_beats_file_without_settings(directory: Path, weights: State) -> None:
    save_file(weights, directory / "model.safetensors")
    torch.save(beats_of(weights), directory / BEATS_FILE)
    with pytest.raises(CheckpointError, match=f"{BEATS_FILE}: not a BEATs checkpoint"):
        load_wave(directory, beats_file=directory / BEATS_FILE)
