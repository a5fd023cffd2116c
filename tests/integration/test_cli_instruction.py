"""Instructions on the command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.conftest import Called, CommandLine

ASKED = "Which animal is [it]?"


@pytest.fixture
def own(small_index: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(small_index, tmp_path / "index"))


def test_the_best_are_looked_at_again(cli: CommandLine, own: Path, small_library: Path) -> None:
    query = ("query", "--text", "a dog", "--target", "audio", "--json", "--index", own)
    run = cli(*query, "--instruction", f" {ASKED} ", "--rerank", "3")
    assert run.returncode == 0, run.stderr
    ids = [json.loads(line)["segment_id"] for line in run.stdout.splitlines()]
    moved = small_library.rename(small_library.with_name("moved"))
    try:
        run = cli(*query, "--instruction", ASKED, "--rerank", "4")
    finally:
        moved.rename(small_library)
    assert run.returncode == 0
    assert [json.loads(line)["segment_id"] for line in run.stdout.splitlines()][:4] == ids[:4]
    assert f"files are gone. If {small_library} was moved" in run.stderr


def test_an_index_with_an_instruction_answers_it(cli: CommandLine, own: Path, small_library: Path) -> None:
    query = ("query", "--text", "a dog", "--json", "--instruction", ASKED, "--index", own)
    run = cli(*query)
    assert run.returncode == 2
    assert "--rerank 50" in run.stderr
    assert f"wave-search index --instruction '{ASKED}' PATH" in run.stderr
    run = cli("index", small_library / "moon.jpg", "--instruction", f" {ASKED} ", "--index", own)
    assert run.returncode == 0, run.stderr
    described = json.loads(cli("info", "--json", "--index", own).stdout)
    assert described["instructions"] == {ASKED: {"image": {"segments": 1, "covered": 0, "recall": {}}}}
    run = cli(*query)
    assert run.returncode == 0
    assert "is indexed with this instruction" in run.stderr


def test_rerank_needs_an_instruction(called: Called, small_index: Path) -> None:
    run = called("query", "--text", "a dog", "--rerank", "5", "--index", small_index)
    assert run.returncode == 2
    assert "rerank needs an instruction" in run.stderr
