"""The training loop: schedule, checkpoints for resuming, log, and handling of Ctrl-C."""

from __future__ import annotations

import json
import math
import signal
import threading
import time
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self

import msgspec
import numpy as np
import torch

from wave_search.errors import WaveSearchError
from wave_search.files import write_atomic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path
    from types import FrameType

    from wave_search.finetune.distributed import ProcessGroup

CHECKPOINT = "last.pt"
"""Name of the checkpoint file in the directory of a stage."""
_LOG_EVERY = 20


class Schedule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Number of steps and learning rate schedule."""

    steps: int
    learning_rate: float
    warm_up_steps: int = 30
    weight_decay: float = 0.05
    checkpoint_every: int = 100
    bfloat16: bool = False
    """Compute matrix products in bfloat16, for processors that are faster with it."""

    def rate(self, step: int) -> float:
        """Return the learning rate at a step: linear warm-up, then cosine decay."""
        if step < self.warm_up_steps:
            return self.learning_rate * (step + 1) / self.warm_up_steps
        done = (step - self.warm_up_steps) / max(1, self.steps - self.warm_up_steps)
        return self.learning_rate * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))


class Stage(Protocol):
    """A model, its loss and its validation."""

    @property
    def trained(self) -> torch.nn.Module:
        """The module whose state is the checkpoint. Parameters that require no gradient are not trained."""

    def loss(self, rng: np.random.Generator, step: int, /) -> tuple[torch.Tensor, dict[str, float]]:
        """Draw the batch of a step, and return its loss and metrics for the log."""

    def validate(self) -> dict[str, float]:
        """Return metrics on held-out data."""


@dataclass(frozen=True, slots=True)
class Progress:
    """A completed step."""

    step: int
    steps: int
    figures: Mapping[str, float]
    elapsed_s: float


def run(
    stage: Stage,
    schedule: Schedule,
    directory: Path,
    seed: int,
    report: Callable[[Progress], None],
    *,
    group: ProcessGroup,
    stop: Callable[[], bool] = lambda: False,
) -> int:
    """Train one stage to its end, starting at its last checkpoint if there is one. Called by each process of the group.

    Every step draws its batch from a generator seeded with the seed and the step, so that a resumed run continues
    exactly as the interrupted one would have.

    Args:
        stage: stage to train.
        schedule: its steps and learning rates.
        directory: directory of the checkpoint.
        seed: seed of all random choices.
        report: called after each step.
        group: the processes that train together.
        stop: called after each step; if it returns true in any process, all save a checkpoint and stop.

    Returns:
        The number of completed steps, fewer than scheduled if the stage was stopped.
    """
    directory.mkdir(parents=True, exist_ok=True)
    checkpoint = directory / CHECKPOINT
    optimizer = torch.optim.AdamW(_groups(stage.trained, schedule.weight_decay), betas=(0.9, 0.98))
    first = _resume(checkpoint, stage, optimizer)
    stage.trained.train()
    started = time.monotonic()
    for step in range(first, schedule.steps):
        for parameters in optimizer.param_groups:
            parameters["lr"] = schedule.rate(step)
        torch.manual_seed(seed * 1_000_003 + step)
        with torch.autocast("cpu", torch.bfloat16, enabled=schedule.bfloat16):
            loss, figures = stage.loss(np.random.default_rng((seed, step)), step)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        group.sum_gradients(stage.trained.parameters())
        torch.nn.utils.clip_grad_norm_(stage.trained.parameters(), 1.0)
        optimizer.step()
        done = step + 1
        # All processes must leave the loop at the same step, or some would wait forever.
        halted = group.total(float(stop())) > 0 and done < schedule.steps
        if done % schedule.checkpoint_every == 0 or done == schedule.steps or halted:
            if group.rank == 0:
                _save(checkpoint, stage, optimizer, done)
            if not halted:
                figures |= _validated(stage)
        report(Progress(done, schedule.steps, figures, time.monotonic() - started))
        if halted:
            return done
    return schedule.steps


def _validated(stage: Stage) -> dict[str, float]:
    stage.trained.eval()
    with torch.no_grad():
        figures = stage.validate()
    stage.trained.train()
    return figures


def _groups(module: torch.nn.Module, weight_decay: float) -> Iterator[dict[str, object]]:
    """Return parameter groups that apply weight decay to matrices, but not to gains and biases."""
    matrices = [p for p in module.parameters() if p.requires_grad and p.ndim > 1]
    others = [p for p in module.parameters() if p.requires_grad and p.ndim <= 1]
    yield {"params": matrices, "weight_decay": weight_decay}
    yield {"params": others, "weight_decay": 0.0}


def _save(path: Path, stage: Stage, optimizer: torch.optim.Optimizer, step: int) -> None:
    content = {"model": stage.trained.state_dict(), "optimizer": optimizer.state_dict(), "step": step}
    try:
        write_atomic(path, lambda file: torch.save(content, file), durable=True)
    except (OSError, RuntimeError) as error:  # torch has no class of its own for a full disk
        raise WaveSearchError(
            f"{path}: the checkpoint cannot be written ({error})",
            "Free some space and run again; the previous checkpoint is intact.",
        ) from error


def _resume(path: Path, stage: Stage, optimizer: torch.optim.Optimizer) -> int:
    if not path.is_file():
        return 0
    content = torch.load(path, map_location="cpu", weights_only=True)
    stage.trained.load_state_dict(content["model"])
    optimizer.load_state_dict(content["optimizer"])
    return int(content["step"])


class Log:
    """Writes means over several steps to `log.jsonl`, and to TensorBoard if it is installed.

    Args:
        stage: name of the stage.
        directory: directory of the log files.
        status: called with a status line for each mean.
    """

    def __init__(self, stage: str, directory: Path, status: Callable[[str], None]) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._stage, self._status = stage, status
        self._file = (directory / "log.jsonl").open("a", encoding="utf-8")
        self._board = _board(directory)
        self._values: dict[str, list[float]] = defaultdict(list)

    def report(self, progress: Progress) -> None:
        """Add one step."""
        for name, value in progress.figures.items():
            self._values[name].append(value)
        if progress.step % _LOG_EVERY and progress.step != progress.steps:
            return
        means = {name: round(sum(values) / len(values), 4) for name, values in self._values.items()}
        self._values.clear()
        row = {"stage": self._stage, "step": progress.step, "elapsed_s": round(progress.elapsed_s), **means}
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()
        figures = ", ".join(f"{name} {value:g}" for name, value in means.items())
        self._status(f"{self._stage} {progress.step}/{progress.steps}, {row['elapsed_s']} s: {figures}")
        for name, value in means.items():
            if self._board is not None:
                self._board.add_scalar(f"{self._stage}/{name}", value, progress.step)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        if self._board is not None:
            self._board.close()


def _board(directory: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(directory))


class Interrupt:
    """Delays the first Ctrl-C to the end of a step; the second one ends the program immediately. A context manager.

    Calling it returns whether to stop.

    Args:
        status: called with the reply to Ctrl-C.
    """

    def __init__(self, status: Callable[[str], None]) -> None:
        self._status = status
        self._asked = False
        self._before: Any = None

    def __call__(self) -> bool:
        """Return whether Ctrl-C was pressed."""
        return self._asked

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self._asked = True
        self._restore()
        self._status("stopping after this step; Ctrl-C again to stop at once, at the last checkpoint")

    def _restore(self) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
            self._before = None
