"""The download of models: what is fetched, resumed, checked and removed, against a server like the hub."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub.constants
import pytest

from tests.conftest import Called
from tests.hub_server import COMMIT, Hub, hub_server
from wave_search.errors import ModelError, ModelNotFoundError, UsageError
from wave_search.models import model_directory, pull_model, remove_model, transfer
from wave_search.models.sources import TINY_DIRECTORY

NAME = "owner/tiny"
WEIGHTS = "model.safetensors"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(transfer, "_PAUSE_S", 0.0)
    return tmp_path / "cache"


@pytest.fixture
def hub(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub with a model, beside files that are not to be downloaded."""
    with hub_server() as hub:
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", hub.address)
        template = f"{hub.address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        of_model = {path.name: path.read_bytes() for path in TINY_DIRECTORY.iterdir()}
        others = ("modeling.py", "pytorch_model.bin", "onnx/config.json", "README.md")
        hub.files[NAME] = {**of_model, "1_Pooling/config.json": b"{}", **dict.fromkeys(others, b"x")}
        yield hub


def test_a_model_is_downloaded_once_and_checked(hub: Hub) -> None:
    steps: list[tuple[int, int]] = []
    directory = pull_model(NAME, lambda done, total: steps.append((done, total)))
    wanted = {"config.json", WEIGHTS, "tokenizer.json", "1_Pooling/config.json"}
    assert {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()} == wanted
    assert {name for name, _ in hub.requests} == wanted, "neither code nor the weights in another format"
    for name in wanted:
        assert (directory / name).read_bytes() == hub.files[NAME][name]
    total = sum(len(hub.files[NAME][name]) for name in wanted)
    assert steps[0] == (0, total)
    assert steps == sorted(steps)
    assert steps[-1] == (total, total)
    assert model_directory(NAME) == directory
    hub.requests.clear()
    assert pull_model(NAME) == directory
    assert not hub.requests


def test_an_interrupted_download_is_resumed_within_a_file(hub: Hub, cache: Path) -> None:
    size = len(hub.files[NAME][WEIGHTS])

    def stop(done: int, total: int) -> None:
        if done > total - size // 2:
            raise KeyboardInterrupt

    hub.files[NAME] = {WEIGHTS: hub.files[NAME].pop(WEIGHTS), **hub.files[NAME]}
    hub.files[NAME] = dict(sorted(hub.files[NAME].items(), key=lambda file: len(file[1])))  # the weights last
    with pytest.raises(KeyboardInterrupt):
        pull_model(NAME, stop)
    assert model_directory(NAME) is None
    (partial,) = cache.rglob("*.incomplete")
    begun = partial.stat().st_size
    assert 0 < begun < size
    hub.requests.clear()
    directory = pull_model(NAME)
    assert hub.requests == [(WEIGHTS, f"bytes={begun}-")]
    assert (directory / WEIGHTS).read_bytes() == hub.files[NAME][WEIGHTS]
    assert not [*cache.rglob("*.incomplete")]


@pytest.mark.parametrize("ignores_ranges", [False, True])
def test_a_connection_that_breaks_is_taken_up_again(hub: Hub, cache: Path, ignores_ranges: bool) -> None:
    hub.breaks_after, hub.ignores_ranges = 700_000, ignores_ranges
    if not ignores_ranges:
        assert (pull_model(NAME) / WEIGHTS).read_bytes() == hub.files[NAME][WEIGHTS]
        return
    with pytest.raises(ModelError, match=r"was broken off .*Run the same command again"):  # no try gets further
        pull_model(NAME)
    hub.breaks_after = None
    steps = []
    assert (pull_model(NAME, lambda *step: steps.append(step)) / WEIGHTS).read_bytes() == hub.files[NAME][WEIGHTS]
    assert len({*steps[-1]}) == 1


def test_what_is_not_as_the_hub_lists_it_is_not_kept(hub: Hub, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = pull_model(NAME)
    blob = (directory / WEIGHTS).resolve()
    blob.chmod(0o644)
    damaged = bytearray(blob.read_bytes())
    damaged[-1] ^= 1
    blob.write_bytes(damaged)
    pull_model(NAME)
    assert (directory / WEIGHTS).read_bytes() == hub.files[NAME][WEIGHTS], "a damaged file is fetched again"

    remove_model(NAME)
    right = hub.listing(NAME)
    monkeypatch.setattr(hub, "listing", lambda _name: right)
    hub.files[NAME][WEIGHTS] = bytes(damaged)
    with pytest.raises(ModelError, match=r"model\.safetensors is not the file that the hub lists"):
        pull_model(NAME)
    assert model_directory(NAME) is None
    assert not [*cache.rglob("*.incomplete")]
    hub.files[NAME][WEIGHTS] += b"x"
    with pytest.raises(ModelError, match=r"sends more of model\.safetensors than it lists"):
        pull_model(NAME)


def test_there_has_to_be_space(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: shutil._ntuple_diskusage(2**30, 2**30 - 100_000, 100_000))
    with pytest.raises(ModelError, match=r"takes 0\.00\d+ GB, and there are 0\.0001 GB free at .*HF_HOME"):
        pull_model(NAME)
    assert not hub.requests


def test_what_the_hub_refuses_is_named(hub: Hub) -> None:
    with pytest.raises(ModelNotFoundError, match="the hub has no public model owner/other"):
        pull_model("owner/other")
    with pytest.raises(ModelNotFoundError, match="owner/tiny has no revision v9"):
        pull_model(f"{NAME}@v9")
    hub.status = 403
    with pytest.raises(ModelError, match=r"only to users who have accepted its terms.*hf auth login"):
        pull_model(NAME)
    hub.files["owner/strange"] = {"../../config.json": b"{}"}
    with pytest.raises(ModelError, match="in a form that is unknown here"):
        pull_model("owner/strange")
    with pytest.raises(ModelNotFoundError, match="neither a known model nor a directory nor a hub id"):
        pull_model("nonsense")


def test_one_process_at_a_time(hub: Hub, cache: Path) -> None:
    other = transfer.Transfer(NAME, COMMIT, cache / "models--owner--tiny", lambda *_: None)
    with other, pytest.raises(ModelError, match="another process is downloading owner/tiny"):
        pull_model(NAME)
    pull_model(NAME)


def test_the_commands(hub: Hub, cache: Path, called: Called) -> None:
    assert called("models", "path", NAME).returncode == 1
    run = called("models", "pull", NAME)
    assert (run.returncode, run.stdout) == (0, "")
    directory = called("models", "path", NAME).stdout.strip()
    assert run.stderr == f"{NAME} is complete: {directory}\n"
    assert Path(directory).name == COMMIT
    run = called("models", "remove", NAME)
    assert run.stderr.startswith(f"removed {NAME}: ")
    assert not [*cache.rglob("*.safetensors")]
    assert "is not on this machine" in called("models", "remove", NAME).stderr
    hub.requests.clear()
    assert called("index", "nowhere", "--model", NAME, "--index", cache / "index").returncode == 2
    assert not hub.requests
    run = called("index", TINY_DIRECTORY / "README.md", "--model", NAME, "--index", cache / "index", "--device", "cpu")
    assert run.returncode == 0, run.stderr
    assert called("models", "path", NAME).stdout.strip() == directory
    assert called("models", "path", "wave-tiny").stdout == f"{TINY_DIRECTORY}\n"
    with pytest.raises(UsageError, match="part of wave-search"):
        remove_model("wave-tiny")
