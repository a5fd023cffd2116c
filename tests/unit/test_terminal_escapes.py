"""Whatever is written to a terminal: names and texts from files never control it."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from wave_search import cli
from wave_search.commands.exit_codes import GlobalOptions, reported
from wave_search.errors import BrokenMediaError, ModelDownloadError, UsageError
from wave_search.evaluation import BadRow, DirectionReport, Evaluation, Figure, Place, Task, Unusable
from wave_search.models import ModelSpec
from wave_search.query import Answer, IndexInfo, PartitionInfo
from wave_search.render.progress import IndexProgress, LoggedProgress, TrainingProgress
from wave_search.render.records import hit_record, to_json
from wave_search.render.terminal import Terminal
from wave_search.render.text import (
    answer_row,
    group_rows,
    hit_line,
    info_rows,
    listed_line,
    problem_row,
    skipped_line,
    slow_line,
)
from wave_search.reports import IndexReport, Progress, Skipped, SlowFile, Training
from wave_search.store import FolderChoices, Problem
from wave_search.types import DuplicateGroup, DuplicateMember, Hit, ListedFile, Modality, Sampling

EVIL = "owned\x1b]0;title\x07\x9b31m\x08\x7f\u202e\u2066"
"""The title of the window, a colour, a step back, and text from right to left."""
RAW = ("\x1b]0;", "\x07", "\x9b", "\x08", "\x7f", "\u202e", "\u2066")
PATH = Path(f"/{EVIL}.wav")
SKIPPED = Skipped(PATH, EVIL, EVIL)
HIT = Hit(1, 0.5, 4.0, PATH, Modality.AUDIO, 0.0, 1.0, 7, 1.0, "audio", text=EVIL, columns={EVIL: EVIL, "tags": [EVIL]})
LISTED: Any = ListedFile(PATH, "damaged", EVIL, EVIL, False, EVIL, 1.0, 1, {EVIL: EVIL})
SPEC: Any = ModelSpec(
    EVIL,
    EVIL,
    8,
    (Modality.AUDIO,),
    Sampling(
        "uniform",
        {
            "frame_interval_s": 1,
            "max_frames": 8,
            "pixel_multiple": 28,
            "min_pixels": 784,
            "max_pixels": 9999,
            "max_image_pixels": 9999,
        },
        16_000,
    ),
    {},
    {EVIL: EVIL},
    EVIL,
    EVIL,
)
TUNING: Any = SimpleNamespace(recall=1.0, tail=1.0, refine_k=9, is_exact=False, query=Modality.TEXT, measured=EVIL)
INFO: Any = IndexInfo(
    PATH,
    1,
    EVIL,
    EVIL,
    SPEC,
    EVIL,
    EVIL,
    1,
    (),
    (EVIL,),
    (PATH,),
    (FolderChoices(EVIL, (EVIL,), 60.0),),
    1,
    1,
    (SKIPPED,),
    1,
    1.0,
    (PartitionInfo(Modality.AUDIO, EVIL, 5, 5, (TUNING,)),),
    9,
)
FIGURE = Figure(EVIL, 0.5, 0.4, 0.6)
DIRECTION = DirectionReport(Modality.TEXT, Modality.AUDIO, 1, 1, (FIGURE,), (FIGURE,), FIGURE)
EVALUATION: Any = Evaluation(
    PATH,
    EVIL,
    Task(name=EVIL, title=EVIL, source=EVIL, notes=(EVIL,)),
    SPEC,
    "auto",
    EVIL,
    {EVIL: (EVIL,)},
    (DIRECTION,),
    (),
    (BadRow(Place(PATH, 1), EVIL),),
    (Unusable(EVIL, EVIL, EVIL),),
    0,
    1,
    0,
    1.0,
    1.0,
)
REPORT = IndexReport(skipped=(SKIPPED,), unreachable=(PATH,), not_media={EVIL: 1})
RENDERERS: dict[str, Callable[[Terminal], object]] = {
    "table of hits": lambda it: it.hits([HIT]),
    "lines of hits": lambda it: it.lines([hit_line(HIT)]),
    "JSON": lambda it: it.lines([to_json(hit_record(HIT))]),
    "paths": lambda it: it.paths([PATH]),
    "table of files": lambda it: it.files([LISTED]),
    "lines of files": lambda it: it.lines([listed_line(LISTED)]),
    "any lines": lambda it: it.lines([f"{EVIL}\t{EVIL}"]),
    "duplicates": lambda it: it.rows(
        group_rows(1, DuplicateGroup("similar", Modality.AUDIO, 1.0, (DuplicateMember(PATH, 0.0, 1.0, 1),)))
    ),
    "info": lambda it: it.rows(info_rows(INFO)),
    "answers": lambda it: it.rows([answer_row(Answer(1, EVIL, 0.5))]),
    "problems": lambda it: it.rows([problem_row(Problem(EVIL, EVIL))]),
    "any rows": lambda it: it.rows([(EVIL, EVIL)]),
    "report of a run": lambda it: it.report(REPORT),
    "slow file": lambda it: it.warning(slow_line(SlowFile(PATH, 9e4, 9_000, 9e3))),
    "skipped file": lambda it: it.warning(skipped_line(SKIPPED)),
    "figures": lambda it: it.evaluation(EVALUATION),
    "evaluation": lambda it: it.evaluation_report(EVALUATION),
    "notice of a model": lambda it: it.notice(SPEC),
    "messages": lambda it: [print_(EVIL) for print_ in (it.message, it.note, it.warning, it.error)],
    "many skipped files": lambda it: it.report(IndexReport(skipped=(SKIPPED,) * 51)),
    "bars of a run": lambda it: bars(IndexProgress, Progress("embed", 9, 1, 0, 5, 9.0, PATH, 0.5, 1, 9)),
    "log of a run": lambda it: logged(it, Progress("embed", 9, 1, 0, 5, 9.0, PATH, 0.5, 1, 9)),
    "bars of a training": lambda it: bars(TrainingProgress, Training(EVIL, 2, 1)),
    "an error with a remedy": lambda it: ended(UsageError(EVIL, EVIL)),
    "an error of a file": lambda it: ended(BrokenMediaError(PATH, EVIL, EVIL)),
    "an error of the system": lambda it: ended(OSError(2, EVIL, str(PATH))),
    "a model that is not there": lambda it: ended(ModelDownloadError(EVIL)),
    "a fault": lambda it: ended(RuntimeError(EVIL)),
    "a traceback": lambda it: ended(RuntimeError(EVIL), traceback=True),
}
"""All that prints what may come from a file, by what it prints."""


def bars(make: Callable[[Console], Any], progress: Progress | Training) -> None:
    console = Console(file=sys.stderr, force_terminal=True, markup=False)
    with make(console) as shown:
        shown(progress)


def logged(terminal: Terminal, progress: Progress) -> None:
    minutes = itertools.count(0, 61)
    LoggedProgress(terminal.message, lambda: next(minutes))(progress)


def ended(error: Exception, *, traceback: bool = False) -> None:
    @reported
    def command(_: object) -> int:
        raise error

    with pytest.raises(SystemExit):
        command(SimpleNamespace(obj=GlobalOptions(quiet=False, traceback=traceback), params={}))


@pytest.mark.parametrize("on_terminal", [False, True])
@pytest.mark.parametrize("what", RENDERERS)
def test_nothing_from_a_file_controls_the_terminal(
    what: str, on_terminal: bool, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", str(int(on_terminal)))
    monkeypatch.setenv("COLUMNS", "200")
    RENDERERS[what](Terminal())
    written = "".join(part.decode() for part in capfdbinary.readouterr())
    assert "owned" in written
    assert not [raw for raw in RAW if raw in written and not (what == "paths" and not on_terminal)]


def test_wrong_arguments_do_not_control_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["wave-search", "info", EVIL])
    with pytest.raises(SystemExit, match="2"):
        cli.main()
    written = capsys.readouterr().err
    assert "unexpected extra argument" in written
    assert not [raw for raw in RAW if raw in written]
