"""`--dtype` and `--quantization`: how the model of a command is loaded."""

from __future__ import annotations

import json
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

import wave_search as ws
from wave_search.errors import IndexMismatchError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Called, CommandLine

needs_bitsandbytes = pytest.mark.skipif(find_spec("bitsandbytes") is None, reason="bitsandbytes is optional")


@needs_bitsandbytes
def test_an_index_is_quantized_once_and_for_all(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "moon.txt").write_text("The moon is full tonight.")
    made = cli("index", "moon.txt", "--model", "wave-tiny", "--quantization", "4bit", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert json.loads(cli("info", "--json", cwd=tmp_path).stdout)["model"]["quantization"] == "4bit"
    assert ", 4bit, " in cli("info", cwd=tmp_path).stdout
    exact = cli("query", "--text", "The moon is full tonight.", "--json", cwd=tmp_path)
    assert exact.returncode == 0, exact.stderr
    assert json.loads(exact.stdout)["score"] == pytest.approx(1, abs=1e-3), "the query is quantized as the index is"
    for command in (["query", "--text", "moon"], ["index", "moon.txt"]):
        other = cli(*command, "--quantization", "8bit", cwd=tmp_path)
        assert other.returncode == 1
        assert other.stderr == (
            "error: the index was made with the quantization 4bit, not with 8bit. "
            "Leave --quantization out to use that of the index, or make another index with --index DIR.\n"
        )


def test_an_index_that_is_not_quantized_is_not_searched_so(small_index: Path) -> None:
    with pytest.raises(IndexMismatchError, match="made without quantization, not with 4bit"):
        ws.open(small_index, load=ws.LoadOptions(quantization="4bit"))


def test_the_precision_counts(cli: CommandLine, small_library: Path) -> None:
    asked = ["ask", small_library / "frog.flac", "What?", "--choice", "a", "--choice", "b", "--model", "wave-tiny"]
    runs = {dtype: cli(*asked, "--json", "--dtype", dtype) for dtype in ("float32", "bfloat16")}
    scores = {dtype: [json.loads(line)["score"] for line in run.stdout.splitlines()] for dtype, run in runs.items()}
    assert scores["bfloat16"] == pytest.approx(scores["float32"], abs=0.02)
    assert scores["bfloat16"] != scores["float32"]


@pytest.mark.parametrize("command", ["index", "query", "ask", "eval", "tag"])
@pytest.mark.parametrize(
    ("option", "value", "known"), [("--dtype", "float16", "bfloat16"), ("--quantization", "2bit", "fp8")]
)
def test_what_there_is_not_is_wrong_use(called: Called, command: str, option: str, value: str, known: str) -> None:
    run = called(command, option, value)
    assert run.returncode == 2
    assert f"'{value}'" in run.stderr
    assert known in run.stderr
