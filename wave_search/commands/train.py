"""Fine-tune a model."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wave_search.commands.exit_codes import DONE, INTERRUPTED, PARTLY, reported, terminal_of
from wave_search.commands.options import Device, Json, Quiet
from wave_search.finetune import train as run_training
from wave_search.render.records import to_json
from wave_search.render.text import counted

if TYPE_CHECKING:
    from wave_search.finetune import Report

EPILOG = (
    "docs/guide/fine-tuning.md describes CONFIG. A run that was interrupted or killed resumes when it is started "
    "again. Exit code 3: done, but some rows of the data were left out."
)


@reported
def train(
    ctx: typer.Context,
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="A TOML file with the settings.")],
    *,
    device: Device = "auto",
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Fine-tune a model on your own pairs."""
    terminal = terminal_of(ctx, quiet)
    try:
        with terminal.training() as progress:
            report = run_training(config, device=device, progress=progress, status=terminal.message)
    except KeyboardInterrupt:
        terminal.error("interrupted: checkpoints are kept. Run the same command to resume")
        return INTERRUPTED
    if report is None:  # another process reports
        return DONE
    if json:
        terminal.lines([to_json(_record(report))])
    for sentence in _sentences(report):
        terminal.message(sentence)
    if report.left_out:
        lines = [f"{row.place.path}, {row.place}: {row.cause}" for row in report.left_out]
        terminal.warning(f"left out {counted(len(lines), 'row')}:", lines, rest="--json lists all")
    if report.interrupted:
        terminal.error(
            f"interrupted after {report.steps_done:,} of {report.steps:,} steps, which are kept in {report.directory}. "
            "Run the same command to resume"
        )
        return INTERRUPTED
    return PARTLY if report.left_out else DONE


def _record(report: "Report") -> dict[str, Any]:
    record = asdict(report)
    record["directory"] = str(report.directory)
    record["left_out"] = [
        {"path": str(row.place.path), "place": str(row.place), "cause": row.cause} for row in report.left_out
    ]
    record["model"] = None if report.model is None else str(report.model)
    return record


def _sentences(report: "Report") -> Iterator[str]:
    if report.interrupted:
        return
    pairs = f" on {counted(sum(report.pairs.values()), 'pair')}" if report.pairs else ""
    yield f"trained {counted(report.steps, 'step')}{pairs} in {report.elapsed_s:.1f} s"
    for name, value in report.after.items():
        before = f" (before: {report.before[name]:.3f})" if name in report.before else ""
        yield f"  {name}: {value:.3f}{before}"
    yield f"the model is in {report.model}: use it as --model"
