"""`wave-search query`, as a user runs it."""

from __future__ import annotations

import json
import os
import re
import subprocess
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from tests.terminal import Session

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Called, CommandLine

KEYS = [
    *("rank", "score", "z", "path", "modality", "start_s", "stop_s", "segment_id", "duration_s"),
    *("matched", "copies", "gone", "text"),
]


def test_a_sound_finds_itself_in_json(cli: CommandLine, small_library: Path, small_index: Path) -> None:
    run = cli("query", "--audio", small_library / "frog.flac", "--target", "audio", "--json", "--index", small_index)
    assert (run.returncode, run.stderr) == (0, "")
    hits = [json.loads(line) for line in run.stdout.splitlines()]
    assert [list(hit) for hit in hits] == [KEYS] * 6
    assert [hit["rank"] for hit in hits] == [1, 2, 3, 4, 5, 6]
    assert hits[0]["path"] == str(small_library / "frog.flac")
    assert hits[0]["score"] > 0.999
    assert {hit["modality"] for hit in hits} == {"audio"}


def test_words_and_files_need_no_options(cli: CommandLine, small_library: Path, small_index: Path) -> None:
    options = ["--json", "--index", str(small_index)]
    words = cli("query", "dog", "barking", *options, "-n", "2")
    assert words.returncode == 0, words.stderr
    assert words.stdout == cli("search", "--text", "dog barking", *options, "--limit", "2").stdout
    assert len(words.stdout.splitlines()) == 2
    file = cli("query", "frog.flac", *options, cwd=small_library)
    assert file.returncode == 0, file.stderr
    assert file.stdout == cli("query", "--similar", small_library / "frog.flac", *options).stdout


def test_every_name_survives_paths_and_json(cli: CommandLine, small_library: Path, small_index: Path) -> None:
    asked = ["query", "--text", "owl", "--target", "audio", "--index", str(small_index)]
    in_json = cli(*asked, "--json")
    names = {os.fsencode(json.loads(line)["path"]) for line in in_json.stdout.splitlines()}
    folder = os.fsencode(small_library)
    odd = {folder + b"/latin-\xe9.flac", folder + b"/new\nline.flac", folder + b"/[red]\x1b[31mred.flac"}
    assert odd <= names
    as_paths = cli(*asked, "--paths")
    assert os.fsencode(as_paths.stdout).splitlines() == [
        os.fsencode(json.loads(line)["path"])
        for line in in_json.stdout.splitlines()
        if "\\n" not in line.partition('"path"')[2]
    ]
    assert "new\\nline.flac: omitted because its name contains a newline; use --json" in as_paths.stderr


def test_a_table_in_a_pipe_is_plain_fields(cli: CommandLine, small_library: Path, small_index: Path) -> None:
    run = cli.having(WAVE_SEARCH_INDEX=str(small_index))(
        "--quiet", "query", "--text", "-", "-k", "8", input="what does the moon look like? \udcff\n"
    )
    assert run.returncode == 0
    assert run.stderr == ""
    rows = [line.split("\t") for line in run.stdout.splitlines()]
    assert {len(row) for row in rows} == {6}
    assert [row[0] for row in rows] == [str(rank) for rank in range(1, len(rows) + 1)]
    assert all(float(row[1]) >= float(below[1]) for row, below in pairwise(rows))
    assert "\x1b" not in run.stdout


def on_terminal(cli: CommandLine, *arguments: str, cwd: Path) -> str:
    with Session([cli.program, *arguments], cli.environment, cwd=str(cwd)) as session:
        output = session.read_to_end()
        assert session.wait() == 0, output
    return output


def test_the_table_on_a_terminal(cli: CommandLine, small_library: Path, small_index: Path) -> None:
    asked = ["query", "--audio", "dog-100032.flac", "--target", "audio", "--index", str(small_index)]
    output = on_terminal(cli, *asked, cwd=small_library)
    header, *_ = re.findall(r"#.*match.*z.*score.*modality.*time.*file", output)
    assert header
    assert re.search(r"\x1b\]8;[^;]*;file:///\S*/dog-100032\.flac\x1b\\dog-100032\.flac", output), "link"
    assert "0:00.0-0:05.0" in output
    assert "█" in output
    assert "searching" in output
    # Names are shown with their escapes spelt out, and are no markup.
    assert "[red]\\x1b[31mred.flac" in output
    assert "new\\nline.flac" in output
    assert "latin-\\xe9.flac" in output


def test_no_color(cli: CommandLine, tmp_path: Path) -> None:
    def shown(**environment: str) -> str:
        with Session([cli.program, "info"], {**cli.environment, **environment}, cwd=str(tmp_path)) as session:
            return session.read_to_end()

    colour = re.compile(r"\x1b\[[0-9;]*\b3[0-7][0-9;]*m")
    assert colour.search(shown())
    assert not colour.search(shown(NO_COLOR="1"))


def test_no_result_ends_with_4(cli: CommandLine, small_index: Path) -> None:
    run = cli("query", "--text", "dog", "--min-z", "1000", "--json", "--index", small_index)
    assert run.returncode == 4
    assert run.stdout == ""
    assert run.stderr.endswith("no results with z >= 1000\n")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--not-text", "dog"],
        ["--text", "dog^0"],
        ["--text", "dog", "--json", "--paths"],
        ["--text", "dog", "--target", "smell"],
        ["--text", "dog", "-k", "0"],
        ["--text", "dog", "--min-z", "nan"],
        ["--text", "   "],
        ["--audio", "no-such.flac"],
        ["--audio", "frog.flac@5-2"],
    ],
)
def test_wrong_use_ends_with_2(called: Called, arguments: list[str], small_library: Path, small_index: Path) -> None:
    run = called("query", *arguments, "--index", small_index, cwd=small_library)
    assert run.returncode == 2, run.stderr
    assert run.stdout == ""
    assert "rror: " in run.stderr
    assert "Traceback" not in run.stderr


def test_a_damaged_query_is_an_error_without_a_traceback(
    cli: CommandLine, small_library: Path, small_index: Path
) -> None:
    run = cli("query", "--video", small_library / "cut.mp4", "--index", small_index)
    assert run.returncode == 1
    assert f"error: {small_library / 'cut.mp4'}: " in run.stderr
    assert "Traceback" not in run.stderr


def test_a_reader_that_has_gone_is_no_error(cli: CommandLine, small_index: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    run = cli("info", "--index", small_index, capture_output=False, stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert (run.returncode, run.stderr) == (141, "")


def with_streams(cli: CommandLine, streams: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run by a shell, which can close streams."""
    command = ["sh", "-c", f'exec "$0" "$@" {streams}', cli.program, *arguments]
    return subprocess.run(command, check=False, env=cli.environment, capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize(
    ("streams", "cause"), [(">&-", "it is closed"), (">/dev/full", "No space left on device"), ("2>&- >&-", "")]
)
def test_results_that_cannot_be_written_are_an_error(
    cli: CommandLine, small_index: Path, streams: str, cause: str
) -> None:
    run = with_streams(cli, streams, "query", "--text", "dog", "--index", small_index, "-q")
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr == (f"error: stdout: {cause}\n" if cause else "")


@pytest.mark.parametrize("streams", ["2>&-", "2>/dev/full"])
def test_messages_that_cannot_be_written_are_no_error(
    cli: CommandLine, small_index: Path, tmp_path: Path, streams: str
) -> None:
    found = with_streams(cli, streams, "query", "--text", "dog", "--index", small_index, "--json")
    assert found.returncode == 0
    assert all(json.loads(line) for line in found.stdout.splitlines())
    wrong = with_streams(cli, streams, "query", "--text", " ", "--index", small_index)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    wrong = with_streams(cli.cold(), streams, "info", "--index", tmp_path)
    assert (wrong.returncode, wrong.stdout) == (1, "")


def test_a_closed_stdin_has_no_words(cli: CommandLine, small_index: Path) -> None:
    run = with_streams(cli, "<&-", "query", "--text", "-", "--index", small_index, "-q")
    assert (run.returncode, run.stderr) == (2, "error: the text is empty\n")
