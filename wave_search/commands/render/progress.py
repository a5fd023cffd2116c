"""Progress bars for terminals. They show nothing on other streams."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.console import Group
from rich.live import Live
from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress
from rich.text import Text

from wave_search.commands.render.text import counted, printable, training_numbers

if TYPE_CHECKING:
    from rich.console import Console

    from wave_search.reports import Progress, Training

_STAGES = {
    "scan": "scanning",
    "embed": "embedding",
    "rerank": "reranking",
    "shards": "building shards",
    "done": "done",
}


class _Bar:
    """Stage, bar, counts, rate and remaining time, with the current file on a line below."""

    def __init__(self, console: Console, description: str) -> None:
        self._bars = RichProgress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[numbers]}", markup=False),
            TimeRemainingColumn(),
            console=console,
            expand=True,
        )
        self._task = self._bars.add_task(description, total=None, numbers="")
        self._current = Text(no_wrap=True, overflow="ellipsis", style="dim")
        self._live = Live(console=console, transient=True, get_renderable=self._shown)
        self.is_visible = console.is_terminal

    def _shown(self) -> Group:
        return Group(self._bars, self._current) if self._current else Group(self._bars)

    def start(self) -> None:
        if self.is_visible:
            self._live.start()

    def stop(self) -> None:
        self._live.stop()

    def restart(self, done: int = 0) -> None:
        """Restart the rate measurement, with `done` items completed before."""
        self._bars.reset(self._task, completed=done)

    def show(self, description: str, done: int, total: int, numbers: str, current: str = "") -> None:
        """Update the display; a total of 0 means unknown."""
        self._bars.update(self._task, description=description, total=total or None, completed=done, numbers=numbers)
        self._current.plain = current


class IndexProgress:
    """Progress of a run of `index`.

    Called with each `Progress`. The display ends with the run, or with the `with` block if it is used as one.
    """

    def __init__(self, console: Console) -> None:
        self._bar = _Bar(console, "loading the model")
        self._embedding_since: float | None = None

    def __enter__(self) -> IndexProgress:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def __call__(self, progress: Progress) -> None:
        """Update the display."""
        if not self._bar.is_visible:
            return
        if progress.stage == "done":
            self._bar.stop()
            return
        self._bar.start()
        if progress.stage == "embed" and self._embedding_since is None:
            self._embedding_since = time.monotonic()
            self._bar.restart()
        name = printable(progress.current.name) if progress.current else ""
        skipped = f"{progress.files_skipped:,} skipped, " if progress.files_skipped else ""
        self._bar.show(
            _STAGES[progress.stage],
            progress.files_done,
            progress.files_total,
            self._numbers(progress),
            f"  {skipped}{counted(progress.segments, 'segment')}  {name}",
        )

    def _numbers(self, progress: Progress) -> str:
        done = f"{progress.files_done:,}/{progress.files_total:,}" if progress.files_total else ""
        elapsed_s = time.monotonic() - self._embedding_since if self._embedding_since is not None else 0
        if elapsed_s < 1:
            return done
        return f"{done} {progress.files_done / elapsed_s:.1f} files/s, {progress.media_s / elapsed_s:.1f}x real time"


class TrainingProgress:
    """Progress of a run of `train`: rate, remaining time and loss. A context manager.

    Called with each `Training`. It shows nothing before the first call: only the first of several processes is called.
    """

    def __init__(self, console: Console) -> None:
        self._bar = _Bar(console, "loading")
        self._stage = ""
        self._began: tuple[float, int] = (0.0, 0)

    def __enter__(self) -> TrainingProgress:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def __call__(self, training: Training) -> None:
        """Update the display."""
        if training.stage != self._stage:
            # Steps that an earlier run completed must not count in the rate of a resumed stage.
            self._bar.start()
            self._stage, self._began = training.stage, (time.monotonic(), training.steps_done)
            self._bar.restart(training.steps_done)
        numbers = training_numbers(training, self._rate(training))
        self._bar.show(training.stage, training.steps_done, training.steps, numbers)

    def _rate(self, training: Training) -> float | None:
        since_s, first = self._began
        elapsed_s, done = time.monotonic() - since_s, training.steps_done - first
        return done / elapsed_s if done and elapsed_s > 0 else None
