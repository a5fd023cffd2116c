"""Where a run's figures go: whoever listens, a JSON-lines file, and TensorBoard if it is installed."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

    from wave_search.finetune.loop import Progress

_EVERY = 20


class Log:
    """Means over some steps, so that the noise of single batches does not hide the trend.

    Args:
        stage: what is trained.
        directory: for the files.
        say: takes a line now and then.
    """

    def __init__(self, stage: str, directory: Path, say: Callable[[str], None]) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._stage, self._say = stage, say
        self._file = (directory / "log.jsonl").open("a", encoding="utf-8")
        self._board = _board(directory)
        self._values: dict[str, list[float]] = defaultdict(list)

    def report(self, progress: Progress) -> None:
        """Take in one step."""
        for name, value in progress.figures.items():
            self._values[name].append(value)
        if progress.step % _EVERY and progress.step != progress.steps:
            return
        means = {name: round(sum(values) / len(values), 4) for name, values in self._values.items()}
        self._values.clear()
        row = {"stage": self._stage, "step": progress.step, "elapsed_s": round(progress.elapsed_s), **means}
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()
        figures = ", ".join(f"{name} {value:g}" for name, value in means.items())
        self._say(f"{self._stage} {progress.step}/{progress.steps}, {row['elapsed_s']} s: {figures}")
        for name, value in means.items():
            if self._board is not None:
                self._board.add_scalar(f"{self._stage}/{name}", value, progress.step)

    def __enter__(self) -> Log:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if self._board is not None:
            self._board.close()


def _board(directory: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(directory))
