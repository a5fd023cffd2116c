"""Measure a model and an index on a data set."""

import os
from pathlib import Path
from typing import Annotated

import typer

import wave_search as ws
from wave_search.commands.exit_codes import DONE, INTERRUPTED, PARTLY, reported, terminal_of
from wave_search.commands.options import Device, Dim, Dtype, Json, Model, Quantization, Quiet, Workers, of_family
from wave_search.commands.usage import epilog
from wave_search.render.records import to_json

EPILOG = epilog(
    "A DATASET is a folder with corpus, queries and qrels (MTEB, BEIR), a CSV with the columns "
    "query,modality,target,relevant, WAVE's JSON, or data of a --task. See docs/guide/evaluation.md.",
    "eval pairs.csv --model wave-nano",
)


def default_cache() -> Path:
    """Return the folder for embeddings of evaluations."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wave-search" / "eval"


@reported
def evaluate(
    ctx: typer.Context,
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="A file or folder.")],
    *,
    model: Model = "auto",
    task: Annotated[
        str | None,
        typer.Option(metavar="NAME|FILE", help="Read a published data set (docs/design/reproduce-paper.md)."),
    ] = None,
    media: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Base folder of relative paths (default: that of the data set)."),
    ] = None,
    split: Annotated[str, typer.Option(metavar="NAME", help="Split of the data set.")] = "test",
    instruction: Annotated[str | None, typer.Option(metavar="TEXT", help="Replace the prompt of all media.")] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Use only the first N queries, on the whole corpus.")
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for embeddings (default: in ~/.cache).")
    ] = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
    quantization: Quantization = None,
    dim: Dim = None,
    workers: Workers = None,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Measure the quality of a model on a data set, and the loss caused by an index."""
    terminal = terminal_of(ctx, quiet)
    cache = cache or default_cache()
    try:
        with terminal.progress() as progress:
            found = ws.evaluate(
                dataset,
                model,
                options=ws.EvaluationOptions(task, media, split, instruction, limit),
                cache=cache,
                load=ws.LoadOptions(device=device, dtype=dtype, quantization=quantization, family=of_family(dim)),
                workers=workers,
                progress=progress,
            )
    except KeyboardInterrupt:
        terminal.error(f"interrupted: the embeddings are kept in {cache}. Run the same command to resume")
        return INTERRUPTED
    terminal.notice(found.model)
    if json:
        terminal.lines([to_json(found.as_record())])
    else:
        terminal.evaluation(found)
    terminal.evaluation_report(found)
    return DONE if found.complete else PARTLY
