"""The finished model: a checkpoint directory like any other, with its adapter and a model card."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from wave_search.models.wave.checkpoint import save_wave
from wave_search.models.wave.tokenizer import TOKENIZER_FILES

if TYPE_CHECKING:
    from pathlib import Path

    from wave_search.finetune.lora import Adapter
    from wave_search.finetune.report import Report
    from wave_search.finetune.settings import Settings
    from wave_search.models.wave.network import Wave


def begin(adapter: Adapter, directory: Path) -> Path:
    """Write the adapter, before it is merged, into a folder beside the one that the model is to have.

    Returns:
        The folder, for `finish`.
    """
    partial = directory.with_name(f"{directory.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # of a run that was killed here
    partial.mkdir(parents=True)
    adapter.save(partial / "adapter")
    return partial


def finish(wave: Wave, base: Path, text: str, partial: Path, directory: Path) -> None:
    """Write merged weights, configuration, tokenizer and card, and give the folder its name.

    Args:
        wave: the model with its adapter merged.
        base: directory of the model that was fine-tuned.
        text: of the model card.
        partial: what `begin` returned.
        directory: must not exist yet.
    """
    save_wave(wave, partial)
    for name in TOKENIZER_FILES:
        if (base / name).is_file():
            shutil.copyfile(base / name, partial / name)
    (partial / "README.md").write_text(text, encoding="utf-8")
    partial.rename(directory)


def card(report: Report, settings: Settings) -> str:
    """Write the model card, as Markdown."""
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
            "`adapter/`. Load it with `--model DIRECTORY`. An index of the base model has to be made again.",
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
            "What the data are and who may use them, what the model is for, and where it fails.",
            "",
        ]
    )
