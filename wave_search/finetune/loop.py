"""The loop of every stage: schedule, checkpoints that survive a kill, log."""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from wave_search.errors import WaveSearchError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from wave_search.finetune.distributed import Team

CHECKPOINT = "last.pt"
"""Name of the file, in the directory of a stage."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long, and how fast."""

    steps: int
    learning_rate: float
    warm_up_steps: int = 30
    weight_decay: float = 0.05
    checkpoint_every: int = 100
    bfloat16: bool = False
    """Multiply matrices in bfloat16, where the processor is faster so."""

    def rate(self, step: int) -> float:
        """Learning rate at a step: up in a line, down along a cosine."""
        if step < self.warm_up_steps:
            return self.learning_rate * (step + 1) / self.warm_up_steps
        done = (step - self.warm_up_steps) / max(1, self.steps - self.warm_up_steps)
        return self.learning_rate * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))


class Stage(Protocol):
    """One part of the training."""

    @property
    def trained(self) -> torch.nn.Module:
        """Everything that a checkpoint has to hold. Parameters that need no gradient stay as they are."""

    def loss(self, rng: np.random.Generator, step: int, /) -> tuple[torch.Tensor, dict[str, float]]:
        """Draw a batch and compute its loss, and figures for the log."""

    def validate(self) -> dict[str, float]:
        """Figures on what is not trained on."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where training stands."""

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
    stop: Callable[[], bool] = lambda: False,
    team: Team | None = None,
) -> int:
    """Train one stage to its end, from its last checkpoint if there is one.

    Every step draws its batch from a generator seeded with the seed and the step, so that a resumed run makes the
    steps that the interrupted one would have made.

    Args:
        stage: what to train.
        schedule: its steps and rates.
        directory: for the checkpoint.
        seed: of all chance.
        report: called after each step.
        stop: asked after each step; if any process is told to stop, all write a checkpoint and do.
        team: the processes that train together; None for this one alone.

    Returns:
        Steps that are done: all, unless it was told to stop.
    """
    directory.mkdir(parents=True, exist_ok=True)
    checkpoint = directory / CHECKPOINT
    optimizer = torch.optim.AdamW(_groups(stage.trained, schedule.weight_decay), betas=(0.9, 0.98))
    first = _resume(checkpoint, stage, optimizer)
    stage.trained.train()
    started = time.monotonic()
    for step in range(first, schedule.steps):
        for group in optimizer.param_groups:
            group["lr"] = schedule.rate(step)
        torch.manual_seed(seed * 1_000_003 + step)
        with torch.autocast("cpu", torch.bfloat16, enabled=schedule.bfloat16):
            loss, figures = stage.loss(np.random.default_rng((seed, step)), step)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if team is not None:
            team.sum_gradients(stage.trained.parameters())
        torch.nn.utils.clip_grad_norm_(stage.trained.parameters(), 1.0)
        optimizer.step()
        done = step + 1
        halted = _any(stop(), team) and done < schedule.steps
        if done % schedule.checkpoint_every == 0 or done == schedule.steps or halted:
            if team is None or team.rank == 0:
                _save(checkpoint, stage, optimizer, done)
            if not halted:
                figures |= _validated(stage)
        report(Progress(done, schedule.steps, figures, time.monotonic() - started))
        if halted:
            return done
    return schedule.steps


def _any(told: bool, team: Team | None) -> bool:
    """Whether any process is told to: all have to leave the loop at the same step, or some wait for ever."""
    return told if team is None else team.total(float(told)) > 0


def _validated(stage: Stage) -> dict[str, float]:
    stage.trained.eval()
    with torch.no_grad():
        figures = stage.validate()
    stage.trained.train()
    return figures


def _groups(module: torch.nn.Module, weight_decay: float) -> Iterator[dict[str, object]]:
    """Matrices decay; gains, biases and tables do not."""
    matrices = [p for p in module.parameters() if p.requires_grad and p.ndim > 1]
    others = [p for p in module.parameters() if p.requires_grad and p.ndim <= 1]
    yield {"params": matrices, "weight_decay": weight_decay}
    yield {"params": others, "weight_decay": 0.0}


def _save(path: Path, stage: Stage, optimizer: torch.optim.Optimizer, step: int) -> None:
    """Write a whole file beside, then rename: a kill leaves the earlier checkpoint."""
    temporary = path.with_suffix(".tmp")
    content = {"model": stage.trained.state_dict(), "optimizer": optimizer.state_dict(), "step": step}
    try:
        torch.save(content, temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except (OSError, RuntimeError) as error:  # torch has no class of its own for a full disk
        raise WaveSearchError(
            f"{path}: the checkpoint cannot be written ({error})",
            "Make room and run again; the one before it is whole.",
        ) from error


def _resume(path: Path, stage: Stage, optimizer: torch.optim.Optimizer) -> int:
    if not path.is_file():
        return 0
    content = torch.load(path, map_location="cpu", weights_only=True)
    stage.trained.load_state_dict(content["model"])
    optimizer.load_state_dict(content["optimizer"])
    return int(content["step"])
