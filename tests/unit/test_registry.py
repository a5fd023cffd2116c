"""Names of models: where they lead, and how they fail."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import huggingface_hub.constants
import pytest
import torch

from wave_search.errors import CheckpointError, ModelNotFoundError
from wave_search.models import Family, LoadOptions, base, known_models, load, register
from wave_search.models.hub import fingerprint
from wave_search.models.wave import family
from wave_search.models.wave.family import TINY_DIRECTORY, WAVE_7B_COMMIT, WAVE_7B_ID, resolve

if TYPE_CHECKING:
    from collections.abc import Callable

    from wave_search.models import Embedder

CPU = torch.device("cpu")
CUDA = torch.device("cuda")
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(autouse=True)
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and no way to the hub."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "hub"


@pytest.fixture
def put_into_cache(hub_cache: Path) -> Callable[[str, str], Path]:
    def put(repo_id: str, commit: str) -> Path:
        folder = hub_cache / f"models--{repo_id.replace('/', '--')}"
        (folder / "refs").mkdir(parents=True, exist_ok=True)
        (folder / "refs" / "main").write_text(commit)
        return Path(shutil.copytree(TINY_DIRECTORY, folder / "snapshots" / commit))

    return put


def test_bundled() -> None:
    source = resolve("wave-tiny", CPU)
    assert (source.name, source.directory) == ("wave-tiny", TINY_DIRECTORY)
    assert "not trained" in source.notice
    nano = resolve("wave-nano", CPU)
    assert "small model" in nano.notice
    assert resolve("auto", CPU) == nano


def test_directory_is_known_by_its_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = shutil.copytree(TINY_DIRECTORY, tmp_path / "a")
    second = shutil.copytree(TINY_DIRECTORY, tmp_path / "b")
    monkeypatch.chdir(tmp_path)
    source = resolve("a", CPU)
    assert source.name == str(first)
    assert source.revision == resolve(str(second), CPU).revision == resolve("wave-tiny", CPU).revision
    config = json.loads((second / "config.json").read_text())
    (second / "config.json").write_text(json.dumps(config | {"seconds_per_chunk": 3}))
    assert resolve(str(second), CPU).revision != source.revision


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_directory_without_a_checkpoint(tmp_path: Path, name: str) -> None:
    directory = shutil.copytree(TINY_DIRECTORY, tmp_path / "a")
    (directory / name).unlink()
    with pytest.raises(CheckpointError, match=name):
        resolve(str(directory), CPU)


@pytest.mark.parametrize("name", ["nonsense", "./nonsense", "/no/such/place", "a/b/c", "", "a b/c", "@main"])
def test_unknown_name(name: str) -> None:
    with pytest.raises(ModelNotFoundError, match="Known models: auto, WAVE-7B, wave-nano, wave-tiny"):
        resolve(name, CPU)


@pytest.mark.parametrize("name", ["WAVE-7B", "owner/model", "owner/model@v1"])
def test_hub_out_of_reach(name: str) -> None:
    with pytest.raises(ModelNotFoundError, match="not in the local cache, and the hub cannot be reached"):
        resolve(name, CPU)


@pytest.mark.parametrize("name", ["WAVE-7B", WAVE_7B_ID, f"{WAVE_7B_ID}@7d51cdae", f"{WAVE_7B_ID}@{WAVE_7B_COMMIT}"])
def test_published_model_is_pinned(put_into_cache: Callable[[str, str], Path], name: str) -> None:
    directory = put_into_cache(WAVE_7B_ID, WAVE_7B_COMMIT)
    put_into_cache(WAVE_7B_ID, COMMIT)  # main has moved on
    source = resolve(name, CPU)
    assert (source.name, source.revision, source.directory) == (WAVE_7B_ID, WAVE_7B_COMMIT, directory)
    assert not source.notice


@pytest.mark.parametrize("name", ["owner/model", "owner/model@main", f"owner/model@{COMMIT}"])
def test_other_models_are_pinned_to_what_is_cached(put_into_cache: Callable[[str, str], Path], name: str) -> None:
    directory = put_into_cache("owner/model", COMMIT)
    source = resolve(name, CPU)
    assert (source.name, source.revision, source.directory) == (f"owner/model@{COMMIT}", COMMIT, directory)
    assert resolve(source.name, CPU) == source


@pytest.mark.parametrize(
    ("memory_gib", "is_cached", "expected"),
    [(24, True, WAVE_7B_ID), (16, True, "wave-nano"), (24, False, "wave-nano")],
)
def test_auto_with_a_gpu(
    put_into_cache: Callable[[str, str], Path],
    monkeypatch: pytest.MonkeyPatch,
    memory_gib: int,
    is_cached: bool,
    expected: str,
) -> None:
    monkeypatch.setattr(family, "_memory_bytes", lambda _device: memory_gib << 30)
    if is_cached:
        put_into_cache(WAVE_7B_ID, WAVE_7B_COMMIT)
    assert resolve("auto", CUDA).name == expected


def test_a_family_is_registered_and_asked_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "_FAMILIES", list(base._FAMILIES))
    loaded: list[tuple[str, LoadOptions]] = []

    def load_toy(name: str, options: LoadOptions) -> Embedder:
        loaded.append((name, options))
        return load("wave-tiny", LoadOptions(device="cpu"))

    def claims(name: str) -> bool:
        return name == "toy" or (Path(name) / "toy.json").is_file()

    register(Family("toy", {"toy": "a model of another family"}, claims, load_toy))
    assert [*known_models()] == ["auto", "WAVE-7B", "wave-nano", "wave-tiny", "toy"]
    (tmp_path / "toy.json").write_text("{}")
    options = LoadOptions(family={"pooling": "mean"})
    for name in ("toy", str(tmp_path)):
        load(name, options)
    assert loaded == [("toy", options), (str(tmp_path), options)]
    assert load("wave-tiny", LoadOptions(device="cpu")).spec.name == "wave-tiny"
    with pytest.raises(CheckpointError, match=r"config\.json"):
        load(str(tmp_path.parent))


def keep_only_config(directory: Path) -> None:
    for path in directory.iterdir():
        if path.name != "config.json":
            path.unlink()


def lose_tokenizer(directory: Path) -> None:
    (directory / "tokenizer.json").unlink()
    (directory / "vocab.json").write_text("{}")


def lose_a_shard(directory: Path) -> None:
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (directory / "model.safetensors").rename(directory / "model-00001-of-00002.safetensors")
    (directory / "model.safetensors.index.json").write_text(json.dumps(index))


@pytest.mark.parametrize("damage", [keep_only_config, lose_tokenizer, lose_a_shard])
def test_a_download_that_was_broken_off_is_not_the_model(
    put_into_cache: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch, damage: Callable[[Path], None]
) -> None:
    monkeypatch.setattr(family, "_memory_bytes", lambda _device: 24 << 30)
    damage(put_into_cache(WAVE_7B_ID, WAVE_7B_COMMIT))
    assert resolve("auto", CUDA).name == "wave-nano"
    with pytest.raises(ModelNotFoundError, match="the hub cannot be reached"):  # it is asked for the rest
        resolve("WAVE-7B", CPU)


def test_fingerprint_of_a_large_file_sees_its_head_and_samples(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(bytes(8 << 20))
    original = fingerprint([path])
    for offset in (100, (1 << 20) - 1, 4_473_924, (8 << 20) - 1):
        content = bytearray(8 << 20)
        content[offset] = 1
        path.write_bytes(content)
        assert fingerprint([path]) != original
    path.write_bytes(bytes((8 << 20) + 1))
    assert fingerprint([path]) != original
    path.write_bytes(bytes(8 << 20))
    assert fingerprint([path]) == original
