"""Names of models: where they lead, and how they fail."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import huggingface_hub.constants
import pytest
import torch

from wave_search.errors import CheckpointError, ModelNotFoundError
from wave_search.models import Family, LoadOptions, families, load, register, sources
from wave_search.models.catalogue import WAVE_7B
from wave_search.models.families import Source
from wave_search.models.hub import fingerprint
from wave_search.models.sources import TINY_DIRECTORY, resolve

if TYPE_CHECKING:
    from collections.abc import Callable

    from wave_search.models import Embedder

CPU = torch.device("cpu")
CUDA = torch.device("cuda")
WAVE_7B_ID, WAVE_7B_COMMIT = str(WAVE_7B.hub_id), WAVE_7B.revision
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
    chosen = resolve("auto", CPU)
    assert replace(chosen, notice="") == replace(nano, notice="")
    assert chosen.notice == "auto chose wave-nano, a small model: WAVE-7B needs a GPU with 22 GB."


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
    with pytest.raises(
        ModelNotFoundError, match="Known models: auto, WAVE-7B, EmbeddingGemma-2, LCO-Omni-3B, wave-nano, wave-tiny"
    ):
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
    ("memory_gib", "is_cached", "why"),
    [
        (24, True, "auto chose WAVE-7B: it is downloaded and fits the GPU."),
        (16, True, "WAVE-7B needs a GPU with 22 GB."),
        (
            24,
            False,
            "WAVE-7B would run here but is not downloaded (`wave-search models pull WAVE-7B`, 19 GB).",
        ),
    ],
)
def test_auto_with_a_gpu(
    put_into_cache: Callable[[str, str], Path],
    monkeypatch: pytest.MonkeyPatch,
    memory_gib: int,
    is_cached: bool,
    why: str,
) -> None:
    monkeypatch.setattr(sources, "_memory_bytes", lambda _device: memory_gib << 30)
    if is_cached:
        put_into_cache(WAVE_7B_ID, WAVE_7B_COMMIT)
    source = resolve("auto", CUDA)
    assert source.name == (WAVE_7B_ID if why.startswith("auto chose WAVE-7B") else "wave-nano")
    assert source.notice.endswith(why)


def test_a_family_is_known_by_the_files_of_its_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(families, "_REGISTERED", [])
    loaded: list[tuple[Source, LoadOptions]] = []

    def load_toy(source: Source, options: LoadOptions) -> Embedder:
        loaded.append((source, options))
        return load("wave-tiny", LoadOptions(device="cpu"))

    def files(directory: Path) -> list[Path]:
        return [directory / "toy.json", *directory.glob("layers/*")]

    register(Family("toy", lambda directory: (directory / "toy.json").is_file(), files, load_toy))
    (tmp_path / "layers").mkdir()
    (tmp_path / "toy.json").write_text("{}")
    (tmp_path / "config.json").write_text("{}")  # which WAVE has, too
    (tmp_path / "layers" / "config.json").write_text("{}")
    options = LoadOptions(device="cpu", family={"pooling": "mean"})
    load(str(tmp_path), options)
    (tmp_path / "layers" / "config.json").rename(tmp_path / "layers" / "other.json")
    load(str(tmp_path), options)
    (first, _), (second, given) = loaded
    assert (first.name, given) == (str(tmp_path), options)
    assert first.revision != second.revision, "files are known by their names within the directory"
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
    monkeypatch.setattr(sources, "_memory_bytes", lambda _device: 24 << 30)
    damage(put_into_cache(WAVE_7B_ID, WAVE_7B_COMMIT))
    assert resolve("auto", CUDA).name == "wave-nano"
    with pytest.raises(ModelNotFoundError, match="the hub cannot be reached"):  # it is asked for the rest
        resolve("WAVE-7B", CPU)


def test_fingerprint_of_a_large_file_sees_its_head_and_samples(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(bytes(8 << 20))
    original = fingerprint([path], tmp_path)
    for offset in (100, (1 << 20) - 1, 4_473_924, (8 << 20) - 1):
        content = bytearray(8 << 20)
        content[offset] = 1
        path.write_bytes(content)
        assert fingerprint([path], tmp_path) != original
    path.write_bytes(bytes((8 << 20) + 1))
    assert fingerprint([path], tmp_path) != original
    path.write_bytes(bytes(8 << 20))
    assert fingerprint([path], tmp_path) == original
