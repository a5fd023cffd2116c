"""The log of a run of `index`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from wave_search.errors import UsageError, WaveSearchError
from wave_search.render.run_log import RunLog, logging_to
from wave_search.reports import IndexReport, Progress, Skipped, SlowFile, SlowRun

ODD = Path(os.fsdecode(b"/media/latin-\xe9.flac"))


def progress(stage: Any, done: int, current: Path | None = None) -> Progress:
    return Progress(stage, 10, done, 0, 0, 0.0, current)


def test_progress_is_recorded_with_each_stage_and_otherwise_now_and_then() -> None:
    lines: list[str] = []
    times = iter([100.0, 101.0, 105.0, 112.0, 112.5])
    log = RunLog(lines.append, 10.0, lambda: next(times))
    for step in (("scan", 0), ("scan", 1), ("embed", 2), ("embed", 3), ("done", 10)):
        log.progress(progress(*step))
    records = [json.loads(line) for line in lines]
    assert [(record["stage"], record["files_done"]) for record in records] == [("scan", 0), ("embed", 2), ("done", 10)]


def test_every_event_is_a_line_of_json_that_keeps_names_that_are_no_text() -> None:
    lines: list[str] = []
    log = RunLog(lines.append, 0.0)
    log.progress(progress("embed", 1, ODD))
    log.skipped(Skipped(ODD, "it is\nempty", "Copy it again."))
    log.slow(SlowFile(ODD, 7200.0, 720, 4000.0))
    log.slow(SlowRun(3, 5000.0))
    log.report(IndexReport(indexed=2, unreachable=(ODD,)))
    log.error(UsageError("no such folder", "Check the spelling."))
    log.error(ValueError("of a library"))
    log.error(KeyboardInterrupt())
    assert all(line.isascii() and "\n" not in line for line in lines)
    records = [json.loads(line) for line in lines]
    assert [record["event"] for record in records] == [
        *("progress", "skipped", "slow", "slow", "report", "error", "error", "report")
    ]
    assert all(record["time"].endswith("+00:00") for record in records)
    one, skipped, file, run, report, error, bug, interrupted = records
    assert os.fsencode(one["current"]) == os.fsencode(ODD)
    assert (skipped["path"], skipped["cause"], skipped["known"]) == (str(ODD), "it is\nempty", False)
    assert (file["segments"], "path" in run, run["files"]) == (720, False, 3)
    assert (report["indexed"], report["unreachable"]) == (2, [str(ODD)])
    assert (error["message"], error["remedy"]) == ("no such folder", "Check the spelling.")
    assert bug["message"] == "unexpected ValueError: of a library"
    assert interrupted["interrupted"] is True


def test_a_file_is_appended_to_and_has_the_error_that_ends_a_run(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with logging_to(path) as log:
        log.report(IndexReport())
    with pytest.raises(UsageError), logging_to(path):
        raise UsageError("no such folder")
    assert [json.loads(line)["event"] for line in path.read_text().splitlines()] == ["report", "error"]


def test_a_disk_that_is_full_is_an_error_with_a_remedy() -> None:
    with pytest.raises(WaveSearchError, match=r"/dev/full: the log cannot be written \(No space left"):  # noqa: SIM117
        with logging_to(Path("/dev/full")) as log:
            log.report(IndexReport())
