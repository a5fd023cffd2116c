"""Measure a model and an index on a set of data."""

import os
from pathlib import Path
from typing import Annotated

import typer

import wave_search as ws
from wave_search.commands.exit_codes import DONE, INTERRUPTED, PARTLY, reported, terminal_of
from wave_search.commands.options import Device, Dtype, Json, Model, Quantization, Quiet, Workers
from wave_search.commands.render.records import to_json
from wave_search.commands.render.text import printable

EPILOG = (
    "A DATASET is a folder with corpus, queries and qrels (MTEB, BEIR), a CSV with the columns "
    "query,modality,target,relevant, WAVE's JSON, or what a --task reads. See docs/evaluation.md. "
    "Example:  wave-search eval pairs.csv --model wave-nano"
)


def _default_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wave-search" / "eval"


@reported
def evaluate(
    ctx: typer.Context,
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="A file or folder.")],
    *,
    model: Model = "auto",
    task: Annotated[
        str | None, typer.Option(metavar="NAME|FILE", help="Read a published set of data, see docs/reproduce-paper.md.")
    ] = None,
    media: Annotated[
        Path | None, typer.Option(metavar="DIR", help="What paths are relative to (default: the data set's folder).")
    ] = None,
    split: Annotated[str, typer.Option(metavar="NAME", help="Which part of the data set.")] = "test",
    instruction: Annotated[str | None, typer.Option(metavar="TEXT", help="The prompt of all media.")] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Only the first N queries; they search everything.")
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where embeddings are kept (default: in ~/.cache).")
    ] = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
    quantization: Quantization = None,
    workers: Workers = None,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Measure what a model finds, and what an index loses of it."""
    terminal = terminal_of(ctx, quiet)
    cache = cache or _default_cache()
    try:
        with terminal.progress() as progress:
            found = ws.evaluate(
                dataset,
                model,
                task=task,
                media=media,
                split=split,
                instruction=instruction,
                limit=limit,
                cache=cache,
                load=ws.LoadOptions(device=device, dtype=dtype, quantization=quantization),
                workers=workers,
                progress=progress,
            )
    except KeyboardInterrupt:
        kept = printable(cache)
        terminal.error(f"interrupted: what was embedded is kept in {kept}. Run the same command to go on")
        return INTERRUPTED
    terminal.notice(found.model)
    if json:
        terminal.lines([to_json(found.as_record())])
    else:
        terminal.evaluation(found)
    terminal.evaluation_report(found)
    return DONE if found.complete else PARTLY
