"""`wave-search list`, and `wave-search query` without a term, as a user runs them."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Called, CommandLine


def test_all_files_are_listed_in_json(cli: CommandLine, small_library: Path, small_index: Path) -> None:
    run = cli("list", "--json", "--columns", "width", "--index", small_index)
    assert run.returncode == 0, run.stderr
    files = [json.loads(line) for line in run.stdout.splitlines()]
    paths = [os.fsencode(file["path"]) for file in files]
    assert paths == sorted(os.fsencode(path) for path in small_library.iterdir() if path.suffix != ".csv")
    by_name = {os.path.basename(file["path"]): file for file in files}  # noqa: PTH119 - not valid UTF-8
    assert by_name["moon.jpg"]["kind"] == "image"
    assert by_name["moon.jpg"]["width"] > 0
    assert by_name["sintel_snow.mp4"]["width"] > 0
    assert (by_name["cut.mp4"]["status"], by_name["cut.mp4"]["width"]) == ("skipped", None)
    assert run.stderr == "9 files: 8 indexed, 1 skipped\n"


def test_what_was_skipped_and_why(cli: CommandLine, small_library: Path, small_index: Path) -> None:
    run = cli("list", "--skipped", "--index", small_index)
    status, *_, path, cause = run.stdout.rstrip("\n").split("\t")
    assert (status, path) == ("skipped", str(small_library / "cut.mp4"))
    assert "no audio or video track" in cause


def test_a_query_with_nothing_but_a_condition_lists_files(
    cli: CommandLine, small_library: Path, small_index: Path
) -> None:
    condition = ["--where", "kind IN ('image', 'text') OR name = 'new\nline.flac'", "--index", str(small_index)]
    listed, asked = cli("list", *condition, "--paths"), cli("query", *condition, "--paths", "-k", "2")
    assert listed.stdout.splitlines() == [str(small_library / "moon.jpg"), str(small_library / "notes.txt")]
    assert "new\\nline.flac: omitted because its name contains a newline; use --json" in listed.stderr
    assert listed.stderr.endswith("3 files: 3 indexed\n")
    assert asked.stdout.splitlines() == [str(small_library / "moon.jpg")]
    assert asked.stderr.endswith("2 files: 2 indexed; there are more: raise the limit\n")


def test_what_only_a_search_can_do_is_refused_without_a_term(called: Called, small_index: Path) -> None:
    run = called("query", "--where", "kind = 'audio'", "--target", "audio", "--index", small_index)
    assert run.returncode == 2
    assert run.stderr == "error: --target needs something to search for. Add a term, such as --text 'a dog'.\n"


def test_no_file_ends_with_4(cli: CommandLine, small_index: Path) -> None:
    run = cli("list", "--where", "duration_s > 1000", "--index", small_index)
    assert (run.returncode, run.stdout, run.stderr) == (4, "", "no files\n")
