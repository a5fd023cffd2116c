"""Commands on an index from someone else: what is asked, refused and interrupted."""

from __future__ import annotations

import shutil
import signal
from typing import TYPE_CHECKING

import pytest

import wave_search as ws
from tests import hostile_index
from tests.terminal import Session, unstyled
from wave_search.commands.last_hits import keep_hits

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import CommandLine

MODEL = "someone/model@0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hostile_index.make_index(tmp_path_factory.mktemp("intact") / "index")


@pytest.fixture
def offline(cli: CommandLine, tmp_path: Path) -> CommandLine:
    """The command with an empty cache of models, and no way to the hub."""
    return cli.having(HF_HUB_OFFLINE="1", HF_HUB_CACHE=str(tmp_path / "hub"))


@pytest.fixture
def foreign(intact: Path, tmp_path: Path) -> Path:
    index = tmp_path / "index"
    shutil.copytree(intact, index)
    hostile_index.edit_manifest(index, lambda state: state["model"].update(name=MODEL))
    return index


def test_a_script_is_told_the_command_that_downloads_the_model(offline: CommandLine, foreign: Path) -> None:
    run = offline("query", "--text", "a dog", "--index", foreign, input="y\n")
    assert run.returncode == 1
    assert run.stderr == (
        f"error: the model {MODEL} is not on this machine, and an index does not make it download one. If you trust "
        f"the origin of the index, run: wave-search query --text 'a dog' --index {foreign} --model {MODEL}\n"
    )


@pytest.mark.parametrize(
    ("answer", "outcome"), [("n", "does not make it download one"), ("y", "the hub cannot be reached")]
)
def test_on_a_terminal_its_user_is_asked(offline: CommandLine, foreign: Path, answer: str, outcome: str) -> None:
    asked = [offline.program, "query", "--text", "dog", "--index", str(foreign)]
    with Session(asked, offline.environment, columns=400) as session:
        session.read_until(f"needs the model {MODEL}, which is not on this machine. Download it? [y/N] ")
        session.type(f"{answer}\n")
        assert outcome in session.read_to_end()
        assert session.wait() == 1


def keep_some_hits(index: Path) -> None:
    with ws.open(index) as opened:
        assert keep_hits(index, opened.created, [1, 2, 3])


@pytest.mark.parametrize(
    "where",
    ["(SELECT count(*) FROM range(100000000000)) > 0", "levenshtein(repeat(path, 10000), repeat('ab', 50000)) > 3"],
)
def test_a_condition_is_interrupted_by_ctrl_c(cli: CommandLine, intact: Path, where: str) -> None:
    asked = [cli.program, "query", "--like", "1", "--where", where, "--index", str(intact)]
    keep_some_hits(intact)
    with Session(asked, cli.environment) as session:
        session.read_until("searching")
        session.signal(signal.SIGINT)
        assert "error: interrupted" in unstyled(session.read_to_end())
        assert session.wait() == 130


def test_a_condition_has_a_time_limit(cli: CommandLine, intact: Path) -> None:
    keep_some_hits(intact)
    endless = "(SELECT count(*) FROM range(100000000000)) > 0"
    run = cli("query", "--like", "1", "--where", endless, "--where-timeout", "0.1", "--index", intact)
    assert run.returncode == 2
    assert run.stderr == (
        f"error: the condition '{endless}' takes longer than 0.1 s. Simplify it, or allow more time with "
        "--where-timeout SECONDS (where_timeout_s).\n"
    )
