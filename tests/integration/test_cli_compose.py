"""Composed queries and questions, as a user asks them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import os

    from tests.conftest import CommandLine


@pytest.fixture
def index(small_index: Path, tmp_path: Path) -> Path:
    """A copy that may be written."""
    return Path(shutil.copytree(small_index, tmp_path / "index"))


def found(cli: CommandLine, index: Path, *asked: str | os.PathLike[str]) -> list[dict[str, Any]]:
    run = cli("-q", "query", *asked, "--json", "--index", index)
    assert run.returncode == 0, run.stderr
    return [json.loads(line) for line in run.stdout.splitlines()]


def test_parts_with_weights_and_negation(cli: CommandLine, small_library: Path, index: Path) -> None:
    frog, snow = small_library / "frog.flac", small_library / "sintel_snow.mp4"
    asked = ["--text", "frog", "--text", "rain^0.5", "--not-audio", f"{frog}^0.1", "--not-text", "music"]
    composed = found(cli, index, *asked, "--target", "audio")
    assert {hit["modality"] for hit in composed} == {"audio"}
    both = found(cli, index, "--audio", f"{frog}^2", "--video", f"{snow}@0-1^2", "--target", "video")
    assert both[0]["modality"] == "video"


def test_a_hit_becomes_the_next_query(cli: CommandLine, small_library: Path, index: Path) -> None:
    first = found(cli, index, "--similar", small_library / "frog.flac", "--target", "audio")
    then = found(cli, index, "--like", "2", "--target", "audio")
    assert first[1]["segment_id"] not in {hit["segment_id"] for hit in then}
    again = found(cli, index, "--like", "1", "--not-like", "2^0.3", "-k", "3")
    assert {hit["segment_id"] for hit in then[:2]}.isdisjoint(hit["segment_id"] for hit in again)


def test_hits_that_there_are_not(cli: CommandLine, small_library: Path, index: Path) -> None:
    def complaint(*asked: str) -> str:
        run = cli("query", *asked, "--index", index)
        assert (run.returncode, run.stdout) == (2, "")
        return run.stderr

    assert "the hits of your last query are not known. Search first" in complaint("--like", "1")
    similar = ["--similar", str(small_library / "frog.flac")]  # needs no model, and so no time
    found(cli, index, *similar, "-k", "2")
    assert "there is no hit 3: the last query had 2" in complaint("--like", "3")
    assert '"0" is not the rank of a hit' in complaint("--like", "0")
    assert "only terms to avoid" in complaint("--not-like", "1")
    assert cli("query", *similar, "--min-z", "99", "--index", index).returncode == 4
    assert "the last query had 0" in complaint("--like", "1")


def test_a_hit_that_has_gone(cli: CommandLine, small_library: Path, index: Path) -> None:
    (hit,) = found(cli, index, "--similar", small_library / "frog.flac", "-k", "1")
    assert cli("remove", hit["path"], "--index", index).returncode == 0
    run = cli("query", "--like", "1", "--index", index)
    assert run.returncode == 2
    assert "is no longer in the index. Search again." in run.stderr


def test_hits_that_cannot_be_kept(cli: CommandLine, small_library: Path, index: Path) -> None:
    state = index.parent / "state"
    state.touch()  # stands for a folder without permission, which root would have
    own = cli.having(XDG_STATE_HOME=str(state))
    run = own("query", "--similar", small_library / "frog.flac", "--json", "--index", index)
    assert run.returncode == 0
    assert "warning" not in run.stderr, "nothing older could be taken for them"


def test_something_similar(cli: CommandLine, small_library: Path, index: Path) -> None:
    hits = found(cli, index, "--similar", small_library / "frog.flac", "--target", "audio")
    assert str(small_library / "frog.flac") not in {hit["path"] for hit in hits}
    assert {hit["modality"] for hit in hits} == {"audio"}


def test_a_question(cli: CommandLine, small_library: Path) -> None:
    choices = ["--choice", "a frog", "--choice", "a\tdog", "--choice", "rain"]
    asked = ["ask", f"{small_library / 'frog.flac'}@0-1", "What is heard?", *choices, "--model", "wave-tiny"]
    run = cli(*asked, "--json")
    assert run.returncode == 0, run.stderr
    answers = [json.loads(line) for line in run.stdout.splitlines()]
    assert [list(answer) for answer in answers] == [["rank", "text", "score"]] * 3
    assert [answer["rank"] for answer in answers] == [1, 2, 3]
    assert {answer["text"] for answer in answers} == {"a frog", "a\tdog", "rain"}
    scores = [answer["score"] for answer in answers]
    assert scores == sorted(scores, reverse=True)
    assert f"margin between the first and the second: {scores[0] - scores[1]:.3f}" in run.stderr
    rows = [line.split("\t") for line in cli("-q", *asked).stdout.splitlines()]
    assert [row[0] for row in rows] == ["1", "2", "3"]
    assert "a\\tdog" in {row[2] for row in rows}


def test_a_question_that_makes_no_sense(cli: CommandLine, small_library: Path) -> None:
    choices = ["--choice", "a", "--choice", "b"]
    run = cli("ask", "frog.flac", "What?", *choices, "--as", "video", "--model", "wave-tiny", cwd=small_library)
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr == "error: frog.flac: the file has no video. It can be used as audio.\n"
