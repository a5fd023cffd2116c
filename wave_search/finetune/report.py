"""What a run of training did."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A row of training data that was not used."""

    file: str
    line: int
    """From 1."""
    cause: str


@dataclass(frozen=True, slots=True)
class Report:
    """The end of a run."""

    directory: Path
    """Of the run."""
    steps: int
    steps_done: int
    elapsed_s: float
    """Of this run; an interrupted one before it does not count."""
    interrupted: bool
    model: Path | None = None
    """Directory of the finished model; the recipe of wave-nano leaves checkpoints instead."""
    revision: str = ""
    """Of the finished model."""
    base: str = ""
    """The model that was fine-tuned, and its revision."""
    pairs: Mapping[str, int] = field(default_factory=dict)
    """Task -> pairs that were trained on."""
    validation_pairs: int = 0
    left_out: tuple[LeftOut, ...] = ()
    before: Mapping[str, float] = field(default_factory=dict)
    """Figures on the validation pairs, of the base model."""
    after: Mapping[str, float] = field(default_factory=dict)
