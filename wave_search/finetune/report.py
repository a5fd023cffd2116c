"""The results of a run: its report, and the model directory with its adapter and a model card."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from wave_search.evaluation.datasets.rows import BadRow
    from wave_search.finetune.lora import Adapter
    from wave_search.finetune.settings import Settings
    from wave_search.models.wave.network import Wave


@dataclass(frozen=True, slots=True)
class Report:
    """The state of a run at its end or at an interruption."""

    directory: Path
    """Number of steps of the whole run."""
    steps: int
    steps_done: int
    elapsed_s: float
    """Duration since this start; earlier, interrupted ones do not count."""
    interrupted: bool
    base: str
    """The base model and its revision."""
    model: Path | None = None
    """Directory of the finished model; None after an interruption."""
    revision: str = ""
    """Revision of the finished model."""
    pairs: Mapping[str, int] = field(default_factory=dict)
    """Task -> number of training pairs."""
    validation_pairs: int = 0
    left_out: tuple[BadRow, ...] = ()
    """Unusable rows of the data."""
    before: Mapping[str, float] = field(default_factory=dict)
    """Metrics of the base model on the validation pairs."""
    after: Mapping[str, float] = field(default_factory=dict)
    """Metrics of the finished model on the validation pairs."""


def save_adapter(adapter: Adapter, directory: Path) -> Path:
    """Write the adapter, before it is merged, to a temporary directory beside that of the model.

    Returns:
        The directory, for `save_model`.
    """
    partial = directory.with_name(f"{directory.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # left by a run that was killed here
    partial.mkdir(parents=True)
    adapter.save(partial / "adapter")
    return partial


def save_model(wave: Wave, base: Path, text: str, partial: Path, directory: Path) -> None:
    """Write merged weights, configuration, tokenizer and model card, and rename the directory.

    Args:
        wave: the model with its adapter merged.
        base: directory of the model that was fine-tuned.
        text: of the model card.
        partial: the result of `save_adapter`.
        directory: directory of the model; must not exist.
    """
    from wave_search.models.wave.checkpoint import save_wave
    from wave_search.models.wave.tokenizer import TOKENIZER_FILES

    save_wave(wave, partial)
    for name in TOKENIZER_FILES:
        if (base / name).is_file():
            shutil.copyfile(base / name, partial / name)
    (partial / "README.md").write_text(text, encoding="utf-8")
    partial.rename(directory)


def model_card(report: Report, settings: Settings) -> str:
    """Return the model card as Markdown."""
    lora = settings.lora
    figures = [
        f"| {name} | {report.before[name]:.3f} | {value:.3f} |"
        if name in report.before
        else f"| {name} | | {value:.3f} |"
        for name, value in report.after.items()
    ]
    table = ["| figure | base | fine-tuned |", "| --- | --- | --- |", *figures] if figures else ["No validation pairs."]
    return "\n".join(
        [
            f"# {settings.directory.name}",
            "",
            f"Fine-tuned with wave-search from {report.base}. The weights are merged; the LoRA adapter alone is in",
            "`adapter/`. Load it with `--model DIRECTORY`. It needs an index of its own, not one of the base model.",
            "",
            "## Training",
            "",
            *(f"- {name}: {count:,} pairs" for name, count in report.pairs.items()),
            f"- {len(report.left_out):,} rows left out",
            f"- {report.steps:,} steps of {settings.batch} pairs, learning rate {settings.learning_rate:g}, "
            f"temperature {settings.temperature:g}, seed {settings.seed}",
            f"- LoRA of rank {lora.rank}, alpha {lora.alpha:g}, dropout {lora.dropout:g} on {', '.join(lora.targets)}",
            "",
            f"## Figures on {report.validation_pairs:,} validation pairs",
            "",
            *table,
            "",
            "## To be added",
            "",
            "The data and their licence, the purpose of the model, and its limits.",
            "",
        ]
    )
