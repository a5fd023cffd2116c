"""What is found on this machine, and what is reported where something is missing."""

from __future__ import annotations

import json
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

from wave_search import doctor
from wave_search.doctor import Finding, examine
from wave_search.media import libraries
from wave_search.models.device import CudaDevice

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Called


def of(topic: str, index: Path | None = None) -> dict[str, Finding]:
    return {one.name: one for one in examine(index) if one.topic == topic}


def test_a_machine_on_which_these_tests_run_has_what_is_needed(
    small_index: Path, called: Called, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    run = called("doctor", "--json", "--index", small_index)
    findings = [json.loads(line) for line in run.stdout.splitlines()]
    assert run.returncode == 0, run.stdout
    topics = ["versions", "extras", "devices", "decoders", "models", "memory", "space", "index"]
    assert [*dict.fromkeys(one["topic"] for one in findings)] == topics
    assert {one["state"] for one in findings} <= {"ok", "slow", "absent"}
    assert all(one["remedy"] for one in findings if one["state"] != "ok")
    by_name = {(one["topic"], one["name"]): one for one in findings}
    assert by_name["versions", "torch"]["value"] == version("torch")
    assert by_name["models", "wave-nano"]["value"].endswith("nano")
    assert "model wave-tiny" in by_name["index", str(small_index)]["value"]
    assert by_name["index", "server"]["remedy"] == f"Run `wave-search serve --background --index {small_index}`."


def test_what_is_missing_is_named_with_its_remedy_and_fails(
    called: Called, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def without_soxr(name: str) -> str:
        if name == "soxr":
            raise PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(doctor, "version", without_soxr)
    assert of("versions")["soxr"].state == "missing"
    assert "pip install" in of("versions")["soxr"].remedy
    run = called("doctor", cwd=tmp_path)
    assert run.returncode == 1
    assert run.stderr == "error: 1 needed part is missing. Do what the lines with 'missing' name\n"


def test_without_decord_videos_are_decoded_slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (doctor, libraries):
        monkeypatch.setattr(module, "find_spec", lambda name: None if name == "decord" else find_spec(name))
    monkeypatch.setattr(libraries, "import_module", lambda name: import_module({"decord": "absent"}.get(name, name)))
    found = of("decoders")
    assert (found["decord2"].state, {one.state for one in found.values()}) == ("slow", {"slow", "ok"})


def test_decoders_that_a_build_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [*libraries.unavailable_decoders()] == []
    monkeypatch.setattr(libraries, "_CODECS", ("h264", "no-such-codec"))
    monkeypatch.setattr(libraries, "_LIBRARIES", {"no_such_module": "no-such-package"})
    (library, _), (codec, remedy) = libraries.unavailable_decoders()
    assert (library, codec) == ("no-such-package", "no-such-codec")
    assert "--only-binary" in remedy


def test_gpus_by_what_torch_and_the_system_have(monkeypatch: pytest.MonkeyPatch) -> None:
    for devices, driver, name, state in (
        ([CudaDevice("cuda:0", "H200", 141 << 30)], True, "cuda:0", "ok"),
        ([], True, "cuda", "slow"),
        ([], False, "cuda", "slow"),
    ):
        monkeypatch.setattr(doctor, "cuda_devices", lambda devices=devices: devices)
        monkeypatch.setattr(doctor, "has_nvidia_driver", lambda driver=driver: driver)
        found = of("devices")[name]
        assert found.state == state
        assert ("CUDA build of torch" in found.remedy) == (driver and not devices)


def test_little_space_and_memory_are_slow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor, "_LITTLE_SPACE_BYTES", 1 << 62)
    monkeypatch.setattr(doctor, "_LITTLE_MEMORY_BYTES", 1 << 62)
    assert {one.state for one in of("space", tmp_path / "no" / "index").values()} == {"slow"}
    assert of("memory")["machine"].state == "slow"
    assert of("index", tmp_path)[str(tmp_path)].state == "missing"
