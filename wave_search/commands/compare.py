"""What another model changes."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import wave_search as ws
from wave_search.commands.eval import default_cache
from wave_search.commands.exit_codes import DONE, PARTLY, reported, terminal_of
from wave_search.commands.options import DEFAULT_INDEX, Device, IndexDir, Json, Quiet, words
from wave_search.commands.usage import OUTPUT, SEARCH, epilog
from wave_search.errors import UsageError
from wave_search.render.records import to_json
from wave_search.wire import to_record

if TYPE_CHECKING:
    from wave_search.evaluation import Evaluation
    from wave_search.render.terminal import Terminal

EPILOG = epilog(
    "The overlap is the share of the first K files of both indexes that are the same. With --dataset, both models "
    "are measured on data with known answers, as by `wave-search eval`.",
    "compare .wave-search.old 'a dog' 'rain on a roof'",
)


@reported
def compare(
    ctx: typer.Context,
    other: Annotated[Path, typer.Argument(metavar="OTHER", help="Directory of another index of the same files.")],
    texts: Annotated[list[str] | None, typer.Argument(metavar="TEXT", help="Queries.")] = None,
    *,
    index: IndexDir = DEFAULT_INDEX,
    queries: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Read queries from FILE, one a line.", rich_help_panel=SEARCH)
    ] = None,
    target: Annotated[
        str, typer.Option(metavar="MODALITY", help="Modality to search for.", rich_help_panel=SEARCH)
    ] = "any",
    limit: Annotated[
        int, typer.Option("--limit", "-k", "-n", min=1, metavar="K", help="Files of each.", rich_help_panel=OUTPUT)
    ] = 10,
    dataset: Annotated[
        Path | None, typer.Option(metavar="DATASET", help="Also measure both models on a data set.")
    ] = None,
    media: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Base folder of relative paths in the data set.")
    ] = None,
    device: Device = "auto",
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Compare what two indexes of the same files find, such as those of two models."""
    terminal = terminal_of(ctx, quiet)
    asked = [words(text) for text in (*(texts or ()), *_lines(queries))]
    if not asked and dataset is None:
        raise UsageError("there is nothing to compare with", "Name texts, --queries FILE or --dataset DATASET.")
    load = ws.LoadOptions(device=device)
    with ws.open(index, load=load) as ours, ws.open(other, load=load) as theirs:
        compared = ws.compare(ours, theirs, asked, k=limit, target=target) if asked else None
        specs = ours.model, theirs.model
    measured = [] if dataset is None else [_measured(terminal, dataset, media, spec, device) for spec in specs]
    if json:
        record = {"compared": compared and to_record(compared), "evaluations": [one.as_record() for one in measured]}
        terminal.lines([to_json(record)])
    else:
        if compared is not None:
            terminal.comparison(compared)
        for one in measured:
            terminal.message(f"{one.model.name}:")
            terminal.evaluation(one)
    return DONE if all(one.complete for one in measured) else PARTLY


def _lines(file: Path | None) -> list[bytes]:
    return [] if file is None else [line for line in file.read_bytes().splitlines() if line.strip()]


def _measured(terminal: "Terminal", dataset: Path, media: Path | None, spec: ws.ModelSpec, device: str) -> "Evaluation":
    load = ws.LoadOptions(device=device, quantization=spec.quantization, family=spec.options)
    with terminal.progress() as progress:
        return ws.evaluate(
            dataset,
            spec.name,
            options=ws.EvaluationOptions(media=media),
            cache=default_cache(),
            load=load,
            progress=progress,
        )
