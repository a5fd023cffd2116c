"""What a person sees of a run of training."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from wave_search import output

if TYPE_CHECKING:
    from types import TracebackType

    from rich.console import Console

    from wave_search.reports import Training


class TrainingProgress:
    """A bar with rate, time left and loss, on a terminal; elsewhere it shows nothing. A context manager.

    Called with each `Training`; shows nothing before the first, since processes beside the first are called with none.
    """

    def __init__(self, console: Console) -> None:
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[numbers]}", markup=False),
            TimeRemainingColumn(),
            console=console,
            expand=True,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bars.add_task("loading", total=None, numbers="")
        self._stage = ""
        self._began: tuple[float, int] = (0.0, 0)

    def __enter__(self) -> TrainingProgress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def __call__(self, training: Training) -> None:
        """Show where the run stands."""
        if training.stage != self._stage:
            # A resumed stage does not begin at 0, and what was done before says nothing about the rate.
            self._bars.start()
            self._stage, self._began = training.stage, (time.monotonic(), training.steps_done)
            self._bars.reset(self._task, start=True, completed=training.steps_done)
        self._bars.update(
            self._task,
            description=training.stage,
            total=training.steps or None,
            completed=training.steps_done,
            numbers=output.training_numbers(training, self._rate(training)),
        )

    def _rate(self, training: Training) -> float | None:
        since_s, first = self._began
        elapsed_s, done = time.monotonic() - since_s, training.steps_done - first
        return done / elapsed_s if done and elapsed_s > 0 else None
