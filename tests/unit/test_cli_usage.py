"""Help pages and wrong arguments, without running a command."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from wave_search import cli

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Called


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["/somewhere/__main__.py", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


@pytest.mark.parametrize("columns", [60, 80, 120, 200])
def test_help_is_in_groups_at_the_width_of_the_terminal(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    assert run(monkeypatch, "query", "--help") == 0
    lines = capsys.readouterr().out.splitlines()
    groups = [line for line in lines if line.endswith(":") and not line.startswith(" ")]
    assert groups == ["Arguments:", "Search:", "Filter:", "Output:", "Model:", "Options:"]
    examples = lines.index("  Examples:")
    wrapped = [line for line in lines[:examples] if len(line) > 50]
    assert max(map(len, wrapped)) <= columns - 2
    assert max(map(len, wrapped)) > min(columns, 130) - 15
    assert "    wave-search query a dog barking" in lines[examples:]
    assert "    wave-search query --audio dog.wav@1:02- --target video -n 5" in lines[examples:]


def test_every_form_of_a_range_is_in_the_help(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    run(monkeypatch, "search", "-h")
    help_ = capsys.readouterr().out
    for form in ("clip.mp4@12-20", "clip.mp4@1:02-", "clip.mp4@-5", "--image film.mp4@3", "'rain^0.5'", "'dog^-1'"):
        assert form in help_


def test_commands_are_in_groups_with_whole_sentences(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    assert run(monkeypatch, "--help") == 0
    shown = capsys.readouterr().out
    assert "Usage: wave-search [OPTIONS] COMMAND" in shown
    groups = [line for line in shown.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert groups == ["Options:", "Find:", "Index:", "Page and programs:", "Models and machine:"]
    assert "...\n" not in shown.split("Find:")[1]
    assert run(monkeypatch) == 2
    assert capsys.readouterr().err == shown


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("query -k abc dog", "--limit: 'abc' is not an integer."),
        ("query -k 1.5 dog", "--limit: '1.5' is not an integer."),
        ("query -n 0 dog", "--limit: it must be at least 1, not 0."),
        ("query --min-z x dog", "--min-z: 'x' is not a number."),
        ("serve --port 99999", "--port: it must be at most 65535, not 99999."),
        ("tag --labels /none", "--labels: file '/none' does not exist."),
        ("ask a.wav", "QUESTION is missing."),
        ("tag", "--labels is missing."),
        ("list a b", "got unexpected extra argument(s) (a b)."),
        ("query --txt", "no such option: --txt (Possible options: --not-text, --target, --text)."),
        ("quary x", "no such command 'quary'. Did you mean 'query'?"),
    ],
)
def test_wrong_arguments_are_one_line_in_the_voice_of_all_errors(
    typed: str, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, *typed.split()) == 2
    command = "wave-search" if typed.startswith("quary") else f"wave-search {typed.split(maxsplit=1)[0]}"
    assert capsys.readouterr().err == f"error: {message} Options and examples: {command} --help\n"


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("ask nowhere.wav What? --choice a --choice b", "nowhere.wav: no such file."),
        ("ask {file} What? --choice a", "there must be two or more choices"),
        ("query dog --export nowhere/found.csv", "nowhere/found.csv: there is no folder nowhere."),
        ("query dog --device tpu", "'tpu' is not a device."),
        ("query dog --target audio,smell", 'there is no modality "smell".'),
        ("query dog --like x", '"x" is not the rank of a hit.'),
    ],
)
def test_what_can_be_checked_is_checked_before_a_model_is_loaded(
    typed: str, message: str, small_index: Path, called: Called, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wave_search.models.load", lambda *_: pytest.fail("the model is loaded"))
    words = typed.format(file=__file__).split()
    options = [] if words[0] == "ask" else ["--index", str(small_index)]
    run = called(*words, *options, cwd=small_index.parent)
    assert run.returncode == 2
    assert run.stderr.startswith(f"error: {message}")
