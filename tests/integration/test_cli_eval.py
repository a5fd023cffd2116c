"""`wave-search eval`, as a user runs it."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

import pytest

from tests.conftest import DEMO_MEDIA
from tests.terminal import Session, unstyled

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Called, CommandLine

SOUNDS = ("frog", "pigeon", "owl_hoot", "zipper")


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    rows = [f"a {name},text,audio,sounds/{name}.flac" for name in SOUNDS]
    path = tmp_path / "pairs.csv"
    path.write_text("\n".join(["query,modality,target,relevant", *rows]))
    return path


def options(pairs: Path) -> list[str | Path]:
    cache = pairs.parent / "cache"
    return ["eval", pairs, "--media", DEMO_MEDIA, "--model", "wave-tiny", "--device", "cpu", "--cache", cache]


def test_json_and_the_report(cli: CommandLine, pairs: Path) -> None:
    run = cli(*options(pairs), "--json")
    assert run.returncode == 0, run.stderr
    record = json.loads(run.stdout)
    (direction,) = record["directions"]
    assert (direction["query"], direction["target"]) == ("text", "audio")
    assert (direction["queries"], direction["items"]) == (4, 4)
    assert direction["exact"]["R@5"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert set(direction["exact"]) == set(direction["index"])
    assert direction["index_recall"]["value"] == 1.0
    assert record["model"]["name"] == "wave-tiny"
    assert record["sampling"]["sample_rate_hz"] == 16000
    assert record["embedded"] == 8
    assert "wave-tiny is not trained" in run.stderr
    assert 'prompt of audio: "Please describe the audio."' in run.stderr


def test_bad_rows_are_named_and_the_exit_code_says_so(cli: CommandLine, pairs: Path) -> None:
    pairs.write_text(pairs.read_text() + "\na cow,text,audio,sounds/none.flac\n")
    run = cli(*options(pairs), "--quiet")
    assert run.returncode == 3
    assert run.stderr.startswith("warning: 1 row or file could not be used:\n")
    assert f"{pairs}, line 6: {DEMO_MEDIA}/sounds/none.flac: no such file" in run.stderr
    rows = [line.split("\t") for line in run.stdout.splitlines()]
    assert {len(row) for row in rows} == {5}
    assert rows[0] == ["text -> audio", "queries / items", "4 / 4", "", ""]
    assert [row[1] for row in rows[1:]] == [
        "R@1", "R@5", "R@10", "hit@1", "hit@5", "nDCG@10", "MRR@10", "mAP@10", "index recall@10",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["none.csv"], 1, "error: none.csv: there is no such file or folder"),
        (["pairs.csv", "--task", "none"], 2, 'error: there is no task "none". Choose from audiocaps'),
        (["pairs.csv", "--media", "nowhere"], 1, "nothing to evaluate in it (4 rows cannot be used: line 2: nowhere/"),
        (["pairs.csv", "--cache", "pairs.csv"], 1, "error: pairs.csv/embeddings.sqlite3: embeddings and media"),
        (["pairs.csv", "--instruction", " "], 2, "error: the instruction is empty"),
        ([], 2, "Missing argument"),
    ],
)
def test_faults(called: Called, pairs: Path, arguments: list[str], code: int, message: str) -> None:
    run = called("eval", *arguments, cwd=pairs.parent)
    assert run.returncode == code
    assert message in run.stderr
    assert run.stdout == ""


def test_ctrl_c_on_a_terminal_and_on_it_goes_to_a_table(cli: CommandLine, pairs: Path) -> None:
    names = [path.name for path in sorted((DEMO_MEDIA / "sounds").glob("*.flac"))[:16]]
    rows = [f"{name},text,audio,sounds/{name}" for name in names]
    pairs.write_text("\n".join(["query,modality,target,relevant", *rows]))
    command = [cli.program, *options(pairs)]
    with Session(command, cli.environment) as session:
        session.read_until("embedding")
        session.signal(signal.SIGINT)
        output = unstyled(session.read_to_end())
        assert session.wait() == 130
    assert f"interrupted: the embeddings are kept in {pairs.parent}/cache. Run the same command" in output
    assert "Traceback" not in output
    with Session(command, cli.environment) as session:
        output = unstyled(session.read_to_end())
        assert session.wait() == 0
    assert "32/32" in output, "progress"
    lines = [line.rstrip() for line in output.splitlines()]
    assert sum(line.endswith("text -> audio") for line in lines) == 1
    assert any(line.startswith("figure") and line.endswith("published") for line in lines)
    assert any("index recall@10" in line and "1.000 (1.000-1.000)" in line for line in lines)
