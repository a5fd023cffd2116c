"""Progress: bars on terminals, which show nothing on other streams, and lines for logs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.console import Group
from rich.live import Live
from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress
from rich.text import Text

from wave_search.render.text import (
    bytes_text,
    clock,
    counted,
    current_text,
    printable,
    progress_numbers,
    stamped,
    training_numbers,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from wave_search.reports import Progress, Training

_LINE_EVERY_S = 60.0
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

    def show(self, description: str, done: float, total: int, numbers: str, current: str = "") -> None:
        """Update the display; a total of 0 means unknown."""
        description, numbers, self._current.plain = map(printable, (description, numbers, current))
        self._bars.update(self._task, description=description, total=total or None, completed=done, numbers=numbers)


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
        skipped = f"{progress.files_skipped:,} skipped, " if progress.files_skipped else ""
        self._bar.show(
            _STAGES[progress.stage],
            progress.files_done + progress.files_begun,
            progress.files_total,
            progress_numbers(progress, self._elapsed_s()),
            f"  {skipped}{counted(progress.segments, 'segment')}  {current_text(progress)}",
        )

    def _elapsed_s(self) -> float:
        return time.monotonic() - self._embedding_since if self._embedding_since is not None else 0.0


class LoggedProgress:
    """Progress of a run of `index` as a line a minute, with the time, for a stream that is not a terminal.

    Called with each `Progress`, and a context manager like `IndexProgress`.

    Args:
        write: prints a line.
        now_s: returns the time in seconds, from any moment on.
    """

    def __init__(self, write: Callable[[str], None], now_s: Callable[[], float] = time.monotonic) -> None:
        self._write = write
        self._now_s = now_s
        self._written_s = now_s()
        self._embedding_since: float | None = None
        self._files_before: float | None = None
        """Files and parts of files done at the last line: the rate since then does not count unchanged files."""

    def __enter__(self) -> LoggedProgress:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __call__(self, progress: Progress) -> None:
        """Print a line if a minute has passed since the last one."""
        now_s = self._now_s()
        if progress.stage == "embed" and self._embedding_since is None:
            self._embedding_since = now_s
        if progress.stage == "done" or now_s - self._written_s < _LINE_EVERY_S:
            return
        elapsed_s = 0.0 if self._embedding_since is None else now_s - self._embedding_since
        skipped = f", {progress.files_skipped:,} skipped" if progress.files_skipped else ""
        left = ""
        is_embedding = progress.stage == "embed"
        files_done = progress.files_done + progress.files_begun
        if is_embedding and self._files_before is not None and files_done > self._files_before:
            s_per_file = (now_s - self._written_s) / (files_done - self._files_before)
            left = f", about {clock(s_per_file * (progress.files_total - files_done)).partition('.')[0]} left"
        self._written_s = now_s
        self._files_before = files_done if is_embedding else None
        current = f", {current_text(progress)}" if progress.current_segments_total > 1 else ""
        numbers = f"{progress_numbers(progress, elapsed_s)}{skipped}{left}{current}"
        self._write(stamped(f"{_STAGES[progress.stage]}  {numbers}").rstrip())


class DownloadProgress:
    """Progress of a download: a bar on a terminal, otherwise a line a minute. A context manager.

    Called with the number of bytes that are here, and of all bytes.

    Args:
        console: where the bar is shown.
        name: what is downloaded.
        write: prints a line.
        now_s: returns the time in seconds, from any moment on.
    """

    def __init__(
        self, console: Console, name: str, write: Callable[[str], None], now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._bar = _Bar(console, name)
        self._name, self._write, self._now_s = name, write, now_s
        self._written_s = now_s()

    def __enter__(self) -> DownloadProgress:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def __call__(self, done: int, total: int) -> None:
        """Update the bar, or print a line if a minute has passed since the last one."""
        numbers = f"{bytes_text(done)} of {bytes_text(total)}"
        if self._bar.is_visible:
            self._bar.show(self._name, done, total, numbers)
        elif self._now_s() - self._written_s >= _LINE_EVERY_S:
            self._written_s = self._now_s()
            self._write(stamped(f"{self._name}  {numbers}"))


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
