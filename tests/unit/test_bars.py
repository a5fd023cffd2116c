"""The bars of runs."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from tests.terminal import unstyled
from wave_search.render import progress as progress_module
from wave_search.render.progress import DownloadProgress, IndexProgress, LoggedProgress, TrainingProgress
from wave_search.render.text import training_numbers
from wave_search.reports import Progress, Training


def shown(terminal: bool) -> str:
    stream = io.StringIO()
    with TrainingProgress(Console(file=stream, force_terminal=terminal, width=100)) as progress:
        progress(Training("loading", 0, 0))
        progress(Training("finetune", 40, 9, {"loss": 1.25}))
        progress(Training("finetune", 40, 10, {"loss": 1.125}))
    return unstyled(stream.getvalue())


def test_the_bar_says_how_far_and_how_well() -> None:
    assert "finetune" in shown(terminal=True)
    assert "10/40" in shown(terminal=True)
    assert "loss 1.125" in shown(terminal=True)


def test_a_download_is_a_bar_on_a_terminal_and_otherwise_a_line_a_minute() -> None:
    lines: list[str] = []
    stream = io.StringIO()
    with DownloadProgress(Console(file=stream, force_terminal=True, width=100), "WAVE-7B", lines.append) as progress:
        progress(3 << 30, 18 << 30)
    assert "3.0 GiB of 18.0 GiB" in unstyled(stream.getvalue())
    assert not lines
    times_s = iter((0, 59, 61, 61, 90))  # the first one is when it begins
    with DownloadProgress(Console(file=io.StringIO()), "WAVE-7B", lines.append, lambda: next(times_s)) as progress:
        progress(1 << 30, 18 << 30)
        progress(2 << 30, 18 << 30)
        progress(3 << 30, 18 << 30)
    assert [line[21:] for line in lines] == ["WAVE-7B  2.0 GiB of 18.0 GiB"]


def test_the_rates_of_a_run_are_shown_after_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = [0.0]
    monkeypatch.setattr(progress_module, "time", SimpleNamespace(monotonic=lambda: now_s[0]))
    outputs = []
    for elapsed_s in (0.5, 2.0):
        stream = io.StringIO()
        now_s[0] = 0.0
        with IndexProgress(Console(file=stream, force_terminal=True, width=100)) as progress:
            progress(Progress("embed", 10, 0, 0, 0, 0.0))
            now_s[0] = elapsed_s
            progress(Progress("embed", 10, 4, 0, 4, 60.0))
        outputs.append(unstyled(stream.getvalue()))
    assert "4/10" in outputs[0]
    assert "files/s" not in outputs[0]
    assert "4/10 2.0 files/s, 30.0x real time" in outputs[1]


def test_a_pipe_gets_no_bar() -> None:
    assert shown(terminal=False).strip() == ""


def test_a_log_gets_a_line_a_minute() -> None:
    lines: list[str] = []
    times_s = iter((0, 1, 59, 61, 90, 121, 200, 300))  # the first one is when it begins
    with LoggedProgress(lines.append, lambda: next(times_s)) as progress:
        for done, media_s in ((0, 0.0), (1000, 20.0), (1002, 60.0), (1003, 80.0), (1005, 90.0)):
            progress(Progress("embed", 1100, done, 2, 0, media_s))
        for stage in ("shards", "done"):
            progress(Progress(stage, 1100, 1100, 2, 0, 100.0))
    assert [line[19:] for line in lines] == [
        "  embedding  1,002/1,100 16.7 files/s, 1.0x real time, 2 skipped",
        "  embedding  1,005/1,100 8.4 files/s, 0.8x real time, 2 skipped, about 31:40 left",  # 20 s for each of 95
        "  building shards  1,100/1,100 5.5 files/s, 0.5x real time, 2 skipped",
    ]
    assert all(datetime.strptime(line[:19], "%Y-%m-%d %H:%M:%S") for line in lines)


def test_slow_steps_are_told_by_their_length() -> None:
    training = Training("finetune", 1200, 60, {"loss": 0.5})
    assert training_numbers(training, 0.1) == "60/1,200  10.0 s each  loss 0.500"
    assert training_numbers(training, 2.5) == "60/1,200  2.50/s  loss 0.500"
    assert training_numbers(Training("loading", 0, 0), None) == ""


LONG = Progress("embed", 1, 0, 0, 590, 590.0, Path("silent.flac"), 0.01, 590, 59_000)


def test_the_bar_moves_within_a_long_file(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = [0.0]
    monkeypatch.setattr(progress_module, "time", SimpleNamespace(monotonic=lambda: now_s[0]))
    stream = io.StringIO()
    with IndexProgress(Console(file=stream, force_terminal=True, width=80)) as progress:
        progress(Progress("embed", 1, 0, 0, 0, 0.0))
        now_s[0] = 118.0
        progress(LONG)
    lines = unstyled(stream.getvalue()).splitlines()
    assert any("0/1 5.0 segments/s, 5.0x real time" in line for line in lines)
    assert any("590 segments  590/59,000 of silent.flac" in line for line in lines)


def test_a_log_counts_the_segments_of_a_long_file() -> None:
    lines: list[str] = []
    times_s = iter((0, 0, 60, 120))
    with LoggedProgress(lines.append, lambda: next(times_s)) as progress:
        progress(Progress("embed", 1, 0, 0, 0, 0.0))
        progress(LONG)
        progress(replace(LONG, segments=1180, media_s=1180.0, files_begun=0.02, current_segments=1180))
    assert [line[19:] for line in lines] == [
        "  embedding  0/1 9.8 segments/s, 9.8x real time, 590/59,000 of silent.flac",
        "  embedding  0/1 9.8 segments/s, 9.8x real time, about 1:38:00 left, 1,180/59,000 of silent.flac",
    ]
