"""What becomes of results, and columns of one's own, as a user has it."""

from __future__ import annotations

import json
import shutil
import zipfile
from typing import TYPE_CHECKING

import av
import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import CommandLine


@pytest.fixture
def own_index(small_index: Path, tmp_path: Path) -> Path:
    """A copy that may be changed."""
    return shutil.copytree(small_index, tmp_path / "index")


def test_metadata_from_import_to_removal(
    cli: CommandLine, small_library: Path, own_index: Path, tmp_path: Path
) -> None:
    here = cli.having(WAVE_SEARCH_INDEX=str(own_index))
    table = tmp_path / "table.csv"
    table.write_text("path,artist,year\nfrog.flac,Ann,2020\nnot there.wav,Bob,1\n")
    run = here("metadata", "import", table)
    assert (run.returncode, run.stdout) == (3, "")
    assert "artist (text), year (number) for 1 file\n" in run.stderr
    assert "warning: 1 path is not in the index: not there.wav" in run.stderr
    assert here("metadata", "list").stdout == "artist\ttext\t1 file\nyear\tnumber\t1 file\n"
    asked = ("query", "--text", "x", "-q", "--where", "year = 2020", "--columns", "artist,size_bytes", "--json")
    found = here(*asked)
    (hit,) = map(json.loads, found.stdout.splitlines())
    assert list(hit)[-2:] == ["artist", "size_bytes"]
    assert (hit["path"], hit["artist"]) == (str(small_library / "frog.flac"), "Ann")
    assert here(*asked[:-1]).stdout.rstrip("\n").endswith(f"\tAnn\t{hit['size_bytes']}")
    assert here("metadata", "remove", "year").returncode == 0
    gone = here(*asked)
    assert (gone.returncode, gone.stdout) == (2, "")
    assert 'error: there is no column "year". Use one of path, ' in gone.stderr


def test_a_library_is_labelled(cli: CommandLine, own_index: Path, tmp_path: Path) -> None:
    here = cli.having(WAVE_SEARCH_INDEX=str(own_index))
    (tmp_path / "labels.txt").write_text("# animals\ndog\ta dog barks\n\nfrog\n")
    asked = ("tag", "--labels", tmp_path / "labels.txt", "--target", "audio", "-q")
    run = here(*asked, "--min-z", "-9", "--json")
    assert run.returncode == 0, run.stderr
    report = json.loads(run.stdout)
    assert set(report["files"]) == {"dog", "frog"}
    dogs = here("query", "--text", "x", "-q", "--json", "-k", "99", "--where", "tag = 'dog' AND tag_z > -9")
    assert len({json.loads(line)["path"] for line in dogs.stdout.splitlines()}) == report["files"]["dog"]
    twice = tmp_path / "twice.txt"
    twice.write_text("dog\ndog\n")
    assert here("tag", "--labels", twice).returncode == 2


@pytest.mark.parametrize("suffix", ["jsonl", "otio"])
def test_results_are_written_to_a_file(cli: CommandLine, small_index: Path, tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"hits.{suffix}"
    file.write_text("old")
    run = cli("query", "--text", "x", "-q", "--json", "--index", small_index, "--export", file)
    assert run.returncode == 0, run.stderr
    assert "fps" not in run.stdout
    assert "frog.flac" in file.read_text()
    assert list(tmp_path.iterdir()) == [file]
    if suffix == "jsonl":
        assert file.read_text() == run.stdout


def test_results_are_cut_into_clips(cli: CommandLine, small_index: Path, tmp_path: Path) -> None:
    file = tmp_path / "hits.zip"
    run = cli("query", "--text", "x", "-q", "--json", "-k", "99", "--index", small_index, "--export", file)
    assert run.returncode == 0, run.stderr
    hits = [json.loads(line) for line in run.stdout.splitlines()]
    assert [path.name for path in tmp_path.iterdir()] == ["hits.zip"]
    with zipfile.ZipFile(file) as archive:
        packed = {int(name[:3]): name for name in archive.namelist() if name != "skipped.txt"}
        assert set(packed) == {hit["rank"] for hit in hits if hit["modality"] != "text"}
        frog = next(hit for hit in hits if hit["path"].endswith("frog.flac"))
        assert packed[frog["rank"]].startswith(f"{frog['rank']:03d} frog 0-")
        with archive.open(packed[frog["rank"]]) as clip, av.open(clip) as container:
            assert float(container.duration / 1e6) == pytest.approx(frog["stop_s"] - frog["start_s"], abs=0.2)


def test_an_unknown_format_is_wrong_use_before_anything_is_done(
    cli: CommandLine, small_index: Path, tmp_path: Path
) -> None:
    run = cli("query", "--text", "x", "--index", small_index, "--export", tmp_path / "hits.xlsx")
    assert (run.returncode, run.stdout) == (2, "")
    assert "Use one of .csv, .jsonl, .m3u8, .otio, .edl, .fcpxml, .zip" in run.stderr


def test_the_best_result_is_opened(cli: CommandLine, small_library: Path, small_index: Path, tmp_path: Path) -> None:
    player = tmp_path / "mpv"
    player.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/played\necho noise\n')
    player.chmod(0o755)
    asked = ["query", "--similar", small_library / "frog.flac", "--target", "audio", "-q", "--index", small_index]
    run = cli.having(PATH=f"{tmp_path}:/usr/bin:/bin")(*asked, "--open", "--paths")
    assert run.returncode == 0, run.stderr
    assert "noise" not in run.stdout
    start, stop, *_, path = (tmp_path / "played").read_text().splitlines()
    assert (start, path) == ("--start=0.0", run.stdout.splitlines()[0])
    assert stop.startswith("--end=")
    player.write_text("#!/bin/sh\nexit 7\n")
    failed = cli.having(PATH=f"{tmp_path}:/usr/bin:/bin")(*asked, "--open")
    assert failed.returncode == 1
    assert "mpv exited with code 7" in failed.stderr
    none = cli.having(PATH=str(small_library))(*asked, "--open")
    assert none.returncode == 1
    assert "no program to open a result was found. Install mpv" in none.stderr
    assert none.stdout, "results are listed all the same"


def test_without_a_player_the_desktop_opens_the_best_result(
    cli: CommandLine, small_library: Path, small_index: Path, tmp_path: Path
) -> None:
    opener = tmp_path / "xdg-open"
    opener.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/opened\necho noise\n')
    opener.chmod(0o755)
    asked = ["query", "--similar", small_library / "frog.flac", "--target", "audio", "-q", "--index", small_index]
    second = cli.having(PATH=str(tmp_path))(*asked, "--open", "2", "--json", "-k", "2")
    paths = [json.loads(line)["path"] for line in second.stdout.splitlines()]
    assert (tmp_path / "opened").read_text() == f"{paths[1]}\n", second.stderr
    beyond = cli.having(PATH=str(tmp_path))(*asked, "--open", "9", "-k", "2")
    assert beyond.returncode == 2
    assert "there is no result 9, only" in beyond.stderr
    run = cli.having(PATH=str(tmp_path))(
        "query", "--open", small_library / "frog.flac", *asked[3:], "--paths", "-k", "1"
    )
    assert (run.returncode, run.stdout.startswith(f"{small_library}/")) == (0, True), run.stderr
    assert (tmp_path / "opened").read_text() == run.stdout, "the file and nothing else"
    opener.write_text("#!/bin/sh\nexit 4\n")
    failed = cli.having(PATH=str(tmp_path))(*asked, "--open")
    assert failed.returncode == 1
    assert "xdg-open exited with code 4" in failed.stderr


def test_the_best_result_is_shown_in_the_file_manager(
    cli: CommandLine, small_library: Path, small_index: Path, tmp_path: Path
) -> None:
    opener = tmp_path / "xdg-open"
    opener.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/shown\n')
    opener.chmod(0o755)
    asked = ["query", "--similar", small_library / "frog.flac", "--target", "audio", "-q", "--index", small_index]
    run = cli.having(PATH=str(tmp_path))(*asked, "--reveal", "--paths", "-k", "1")
    assert (run.returncode, (tmp_path / "shown").read_text()) == (0, f"{small_library}\n"), run.stderr
    opener.unlink()
    failed = cli.having(PATH=str(tmp_path))(*asked, "--reveal")
    assert failed.returncode == 1
    assert "no file manager could be opened. Install xdg-utils, or copy the path instead." in failed.stderr


def test_single_segments_and_few_of_a_file(cli: CommandLine, small_index: Path) -> None:
    asked = ("query", "--text", "x", "-q", "--json", "-k", "99", "--index", small_index)
    files = [json.loads(line)["path"] for line in cli(*asked, "--per-file", "1").stdout.splitlines()]
    assert len(files) == len(set(files))
    segments = cli(*asked, "--segments", "--columns", "segments,peak_start_s").stdout.splitlines()
    assert {json.loads(line)["segments"] for line in segments} == {1}
    assert all(json.loads(line)["peak_start_s"] == json.loads(line)["start_s"] for line in segments)
