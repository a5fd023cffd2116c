"""What a fine-tuning is told: the table `[finetune]` of a TOML file."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wave_search.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

QUESTIONS = "questions"
"""Name of the task of questions with several answers. Others are named by what they pair, as in "text_audio"."""
_DEFAULT_EPOCHS = 1


@dataclass(frozen=True, slots=True)
class Lora:
    """Low-rank adaptation of the decoder. The defaults are those of WAVE's published training."""

    rank: int = 128
    alpha: int = 256
    """The adapter's output is scaled by alpha / rank."""
    dropout: float = 0.05
    targets: tuple[str, ...] = ("q_proj", "k_proj", "v_proj")
    """Linear layers of each of the decoder's layers."""

    def __post_init__(self) -> None:
        known = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
        _need(self.rank >= 1, "lora.rank", "1 or more")
        _need(self.alpha > 0, "lora.alpha", "more than 0")
        _need(0 <= self.dropout < 1, "lora.dropout", "from 0 to below 1")
        _need(bool(self.targets) and set(self.targets) <= set(known), "lora.targets", f"some of {', '.join(known)}")


@dataclass(frozen=True, slots=True)
class Settings:
    """One fine-tuning."""

    model: str
    """As for an index: a name, a directory, or an id of the hub."""
    directory: Path
    """For all that the run writes; the result is in `model` below it."""
    pairs: tuple[Path, ...]
    """Files of training data, JSON or CSV."""
    validation: tuple[Path, ...] = ()
    """The same, not trained on."""
    tasks: tuple[str, ...] = ()
    """Which of the tasks of the data to train on, such as "text_audio" or "questions". Empty: all."""
    epochs: float | None = None
    """How often each pair is used. Either this or `steps`; once, if neither is given."""
    steps: int | None = None
    batch: int = 8
    """Pairs of a step, all processes together. The others of a batch are what each pair is told from."""
    learning_rate: float = 2e-5
    temperature: float = 0.01
    """Cosines are divided by it."""
    checkpoint_every: int = 100
    """Steps between checkpoints; each is followed by a validation."""
    dtype: str = "auto"
    """Of the frozen weights: "auto" (as stored), "float32" or "bfloat16"."""
    seed: int = 0
    lora: Lora = field(default_factory=Lora)

    def __post_init__(self) -> None:
        _need(bool(self.pairs), "pairs", "at least one file")
        _need(self.epochs is None or self.steps is None, "epochs", "left out where steps is given")
        _need(self.epochs is None or self.epochs > 0, "epochs", "more than 0")
        _need(self.steps is None or self.steps >= 1, "steps", "1 or more")
        _need(self.batch >= 2, "batch", "2 or more")
        _need(self.learning_rate > 0, "learning_rate", "more than 0")
        _need(self.temperature > 0, "temperature", "more than 0")
        _need(self.checkpoint_every >= 1, "checkpoint_every", "1 or more")

    def steps_of(self, epoch_steps: int) -> int:
        """Steps of the whole run, if an epoch has `epoch_steps`."""
        return self.steps or max(1, round((self.epochs or _DEFAULT_EPOCHS) * epoch_steps))

    @classmethod
    def from_dict(cls, table: Mapping[str, Any]) -> Settings:
        """Read the table `[finetune]`.

        Raises:
            ValueError: something in it is missing, unknown or of no sense; the message names it.
        """
        values = _typed(cls, table, "")
        return cls(**values)


def _need(fulfilled: bool, name: str, wanted: str) -> None:
    if not fulfilled:
        raise ValueError(f"{name} must be {wanted}")


def _typed(cls: type[Any], table: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    known = {entry.name: entry for entry in fields(cls)}
    unknown = [name for name in table if name not in known]
    if unknown:
        raise ValueError(f"{prefix}{unknown[0]} is not known; known are {', '.join(known)}")
    missing = [
        name
        for name, entry in known.items()
        if name not in table and entry.default is MISSING and entry.default_factory is MISSING
    ]
    if missing:
        raise ValueError(f"{prefix}{missing[0]} is missing")
    return {name: _value(known[name].type, value, f"{prefix}{name}") for name, value in table.items()}


def _value(kind: Any, value: Any, name: str) -> Any:
    if kind == "Lora":
        if not isinstance(value, dict):
            raise ValueError("lora must be a table")
        return Lora(**_typed(Lora, value, "lora."))
    if kind in ("tuple[str, ...]", "tuple[Path, ...]"):
        values = [value] if isinstance(value, str) else value
        if not isinstance(values, list) or not all(isinstance(each, str) for each in values):
            raise ValueError(f"{name} must be a list of texts")
        return tuple(map(Path if "Path" in kind else str, values))
    wanted = next(
        (words, types)
        for words, types, kinds in (
            ("a text", (str,), ("str", "Path")),
            ("a whole number", (int,), ("int", "int | None")),
            ("a number", (int, float), ("float", "float | None")),
        )
        if kind in kinds
    )
    if not isinstance(value, wanted[1]) or isinstance(value, bool):
        raise ValueError(f"{name} must be {wanted[0]}, not {value!r}")
    return Path(str(value)) if kind == "Path" else value


def not_a_configuration(path: Path, cause: object) -> UsageError:
    """Make the error of a file that cannot be used."""
    return UsageError(f"{path}: not a training configuration ({cause})", "docs/finetuning.md describes what it holds.")
