"""`wave-search index` and the commands about an index, as a user runs them."""

from __future__ import annotations

import json
import re
import shutil
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.terminal import Session, unstyled

if TYPE_CHECKING:
    from tests.conftest import Called, CommandLine, Indexed

DEMO_MEDIA = Path(__file__).parents[2] / "demo" / "media"


def test_a_damaged_file_ends_the_run_with_3_and_a_reason(indexed: Indexed, small_library: Path) -> None:
    run, report = indexed.run, indexed.report
    assert run.returncode == 3
    assert run.stdout == ""
    assert "indexed 8 files" in run.stderr
    assert "wave-tiny is not trained" in run.stderr
    assert f"  {small_library / 'cut.mp4'}: " in run.stderr
    assert "\x1b" not in run.stderr
    assert (report["indexed"], report["ignored"], report["not_media"]) == (8, 0, {".csv": 1})
    assert "not media: 1 .csv" in run.stderr
    (skipped,) = report["skipped"]
    assert skipped["path"] == str(small_library / "cut.mp4")
    assert skipped["cause"]


def test_running_again_embeds_nothing(cli: CommandLine, small_library: Path, small_index: Path, tmp_path: Path) -> None:
    index = shutil.copytree(small_index, tmp_path / "index")
    run = cli("--quiet", "index", small_library, "--index", index, "--json")
    assert (run.returncode, run.stderr) == (0, "")
    report = json.loads(run.stdout)
    assert (report["indexed"], report["unchanged"]) == (0, 8)
    assert [skipped["known"] for skipped in report["skipped"]] == [True]


def test_files_that_earlier_runs_skipped_count_on_request(
    cli: CommandLine, small_library: Path, small_index: Path, tmp_path: Path
) -> None:
    index = shutil.copytree(small_index, tmp_path / "index")
    given = ["index", small_library, "--index", index]
    run, strict = cli(*given), cli(*given, "--strict", "--quiet")
    assert run.returncode == 0
    assert run.stderr.endswith(
        f"\n1 file skipped or damaged in earlier runs: see `wave-search list --skipped --index {index}`\n"
    )
    assert strict.returncode == 3
    assert strict.stderr.startswith(f"warning: skipped 1 file:\n  {small_library / 'cut.mp4'}: ")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--recall", "2"),
        ("--instruction", " "),
        ("--max-duration", "0"),
        ("--decoder-memory", "1e-6"),
        ("--report", "."),
    ],
)
def test_an_option_that_is_not_valid_creates_no_index(
    called: Called, small_library: Path, tmp_path: Path, option: str, value: str
) -> None:
    run = called("index", small_library, "--index", tmp_path / "index", option, value)
    assert run.returncode == (1 if option == "--report" else 2), run.stderr
    assert not (tmp_path / "index").exists()


@pytest.mark.parametrize(("option", "made", "given"), [("--segment", "10", "5"), ("--audio-track", "auto", "2")])
def test_pinned_settings_are_not_changed(
    called: Called, small_library: Path, small_index: Path, *, option: str, made: str, given: str
) -> None:
    run = called("index", small_library, "--index", small_index, option, given)
    assert run.returncode == 2
    assert run.stderr.startswith(f"error: {small_index} was made with {option} {made}, not {given}. Leave {option} out")


def test_pinned_settings_may_be_repeated_in_other_words(
    cli: CommandLine, small_library: Path, small_index: Path, tmp_path: Path
) -> None:
    index = shutil.copytree(small_index, tmp_path / "index")
    given = ["--index", index, "--segment", "10.0", "--modalities", "av, audio,video,text,image,audio"]
    given += ["--audio-track", "AUTO"]
    run = cli("index", small_library, *given, "--quiet")
    assert run.returncode == 0, run.stderr
    assert "note:" not in run.stderr, "--quiet works behind the command too"
    assert "indexed" not in run.stderr.replace("not indexed", "")


def test_info_for_people_and_for_scripts(cli: CommandLine, small_index: Path) -> None:
    for_people = cli("info", "--index", small_index)
    assert for_people.returncode == 0
    assert f"index\t{small_index}\n" in for_people.stdout
    described = json.loads(cli("info", "--index", small_index, "--json").stdout)
    assert described["model"]["name"] == "wave-tiny"
    assert described["segmentation"] == "10"
    assert described["files"] == 8
    assert described["skipped"] == 1
    assert described["partitions"]["audio"]["segments"] == 6


def test_a_narrow_terminal_cuts_no_value(cli: CommandLine, small_index: Path) -> None:
    with Session([cli.program, "info", "--index", small_index], cli.environment, columns=40) as session:
        output = session.read_to_end()
        assert session.wait() == 0, output
    assert str(small_index) in "".join(unstyled(output).replace("index", "", 1).split())
    with Session([cli.program, "verify", "--index", small_index], cli.environment) as session:
        assert not any(line.strip() == "" for line in unstyled(session.read_to_end()).splitlines()), "an empty table"


def test_verify_tells_good_from_bad(cli: CommandLine, small_index: Path, tmp_path: Path) -> None:
    good = cli("verify", "--index", small_index)
    assert (good.returncode, good.stdout, good.stderr) == (0, "", "no problems found\n")
    index = shutil.copytree(small_index, tmp_path / "index")
    largest = max((path for path in index.rglob("*.lance") if path.is_file()), key=lambda path: path.stat().st_size)
    largest.unlink()
    bad = cli("verify", "--index", index, "--json")
    assert bad.returncode == 1
    assert json.loads(bad.stdout.splitlines()[0])
    assert "Traceback" not in bad.stderr


def test_optimize(cli: CommandLine, small_index: Path, small_library: Path, tmp_path: Path) -> None:
    index = shutil.copytree(small_index, tmp_path / "index")
    cli("remove", small_library / "frog.flac", "--index", index)
    for_people = cli("optimize", "--index", index)
    assert (for_people.returncode, for_people.stdout) == (0, "")
    assert re.fullmatch(
        r"index size: .* before, .* after; took .* s\n.* replaced versions stay readable .*\n", for_people.stderr
    )
    report = json.loads(cli("optimize", "--index", index, "--keep-versions-for", "0", "--json").stdout)
    assert report["before_bytes"] > report["after_bytes"] > 0
    assert report["rebuilt"] == []
    assert cli("verify", "--index", index).stderr == "no problems found\n"
    assert json.loads(cli("info", "--index", index, "--json").stdout)["partitions"]["audio"]["segments"] == 5


def test_remove(cli: CommandLine, small_library: Path, small_index: Path, tmp_path: Path) -> None:
    index = shutil.copytree(small_index, tmp_path / "index")
    assert cli("remove", small_library / "frog.flac", "--index", index).stderr == "removed 1 file from the index\n"
    assert json.loads(cli("info", "--index", index, "--json").stdout)["partitions"]["audio"]["segments"] == 5
    again = cli("remove", small_library / "frog.flac", "--index", index)
    assert (again.returncode, again.stderr) == (1, "error: none of the given paths is in the index\n")
    assert (small_library / "frog.flac").exists()


def test_models_are_listed(cli: CommandLine) -> None:
    lines = cli("models").stdout.splitlines()
    assert {line.split("\t")[0] for line in lines} >= {"auto", "wave-nano", "wave-tiny", "WAVE-7B"}
    assert {json.loads(line)["name"] for line in cli("models", "--json").stdout.splitlines()} >= {"wave-tiny"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["index"],
        ["index", "/no/such/folder"],
        ["index", ".", "--segment", "soon"],
        ["index", ".", "--modalities", "smell"],
        ["index", ".", "--min-shard-rows", "0"],
        ["no-such-command"],
        ["--no-such-option"],
    ],
)
def test_wrong_use_ends_with_2(called: Called, arguments: list[str], tmp_path: Path) -> None:
    run = called(*arguments, cwd=tmp_path)
    assert run.returncode == 2, run.stderr
    assert run.stdout == ""
    assert "rror: " in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize("command", ["info", "verify", "query"])
def test_without_an_index_the_remedy_is_named(called: Called, command: str, tmp_path: Path) -> None:
    asked = ["--text", "dog"] if command == "query" else []
    run = called(command, *asked, cwd=tmp_path)
    assert run.returncode == 1
    assert run.stderr.startswith("error: ")
    assert "wave-search index" in run.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_report_that_cannot_be_written_is_known_before_the_work(cli: CommandLine, tmp_path: Path) -> None:
    run = cli("index", DEMO_MEDIA, "--index", tmp_path / "index", "--report", tmp_path / "no" / "report.json")
    assert run.returncode == 1
    assert run.stderr == f"error: {tmp_path}/no/report.json: No such file or directory\n"
    assert not (tmp_path / "index").exists()


def test_an_unknown_model_is_an_error_with_a_remedy(called: Called, small_library: Path, tmp_path: Path) -> None:
    run = called("index", small_library, "--index", tmp_path / "index", "--model", "wave-huge")
    assert run.returncode == 1
    assert run.stderr.startswith("error: wave-huge: ")


def test_ctrl_c_keeps_what_is_done(cli: CommandLine, tmp_path: Path) -> None:
    index, sounds = tmp_path / "index", tmp_path / "sounds"
    sounds.mkdir()
    sources = sorted((DEMO_MEDIA / "sounds").glob("*.flac"))[:24]  # enough to be in time
    files = [shutil.copy(path, sounds) for path in sources]
    arguments = ["index", str(sounds), "--index", str(index), "--model", "wave-tiny", "--workers", "1"]
    with Session([cli.program, *arguments], cli.environment) as session:
        session.read_until("embedding")
        session.signal(signal.SIGINT)
        output = unstyled(session.read_to_end())
        assert session.wait() == 130
    assert f"error: interrupted: completed work is kept in {index}. Run the same command to resume" in output
    assert "Traceback" not in output

    assert cli("verify", "--index", index).returncode == 0
    with Session([cli.program, *arguments, "--report", str(tmp_path / "report")], cli.environment) as session:
        output = unstyled(session.read_to_end())
        assert session.wait() == 0
    report = json.loads((tmp_path / "report").read_text())
    assert report["indexed"] + report["unchanged"] == len(files)
    assert f"indexed {report['indexed']} files" in output
    assert re.search(rf"embedding.* \d+/{len(files)} ", output), "progress"
    assert output.count("\x1b[?25l") == output.count("\x1b[?25h"), "the cursor is back"
