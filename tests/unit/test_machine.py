"""Whether models run on a machine."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from wave_search.models import machine
from wave_search.models.catalogue import CATALOGUE, EMBEDDING_GEMMA, NANO, WAVE_7B
from wave_search.models.machine import Machine, verdict

if TYPE_CHECKING:
    from tests.conftest import Called

GIB = 1 << 30


@pytest.mark.parametrize(
    ("has", "runs", "reason"),
    [
        (Machine(8 * GIB, 24 * GIB), "yes", "on the GPU"),
        (Machine(31 * GIB, 16 * GIB), "slow", "no GPU with 22 GB"),
        (Machine(15 * GIB), "slow", "no GPU with 22 GB"),
        (Machine(8 * GIB), "no", "it needs 16 GB of memory, or a GPU with 22 GB"),
    ],
)
def test_a_large_model(has: Machine, runs: str, reason: str) -> None:
    found = verdict(WAVE_7B, has)
    assert found.runs == runs
    assert found.reason.startswith(reason)


def test_a_small_model_and_one_that_needs_more_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    assert verdict(NANO, Machine(2 * GIB)).runs == "yes"
    assert verdict(NANO, Machine(GIB // 2)).reason == "it needs 1 GB of memory"
    monkeypatch.setattr(machine, "find_spec", lambda _module: None)
    found = verdict(EMBEDDING_GEMMA, Machine(64 * GIB))
    assert (found.runs, found.reason) == ("no", "first pip install 'wave-search[models]'")


def test_the_list(called: Called) -> None:
    auto, *records = [json.loads(line) for line in called("models", "--json").stdout.splitlines()]
    assert auto["name"] == "auto"
    assert [record["name"] for record in records] == [model.name for model in CATALOGUE]
    nano = next(record for record in records if record["name"] == "wave-nano")
    assert (nano["runs"], nano["commercial"], nano["hub_id"]) == ("yes", True, None)
    assert nano["directory"].endswith("nano")
    rows = [line.split("\t") for line in called("models").stdout.splitlines()]
    assert {len(row) for row in rows} == {6}
    assert rows[-2][:3] == ["wave-nano", "yes: on the CPU", "in the package"]
