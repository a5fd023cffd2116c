"""The bars of runs."""

from __future__ import annotations

import io

from rich.console import Console

from tests.terminal import unstyled
from wave_search.commands.render.progress import TrainingProgress
from wave_search.commands.render.text import training_numbers
from wave_search.reports import Training


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


def test_a_pipe_gets_no_bar() -> None:
    assert shown(terminal=False).strip() == ""


def test_slow_steps_are_told_by_their_length() -> None:
    training = Training("finetune", 1200, 60, {"loss": 0.5})
    assert training_numbers(training, 0.1) == "60/1,200  10.0 s each  loss 0.500"
    assert training_numbers(training, 2.5) == "60/1,200  2.50/s  loss 0.500"
    assert training_numbers(Training("loading", 0, 0), None) == ""
