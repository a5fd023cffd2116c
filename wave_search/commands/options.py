"""Options shared by several commands."""

import os
from pathlib import Path
from typing import Annotated

import typer

from wave_search import commands, types
from wave_search.commands.usage import MODEL, OUTPUT, SPEED

IndexDir = Annotated[
    Path, typer.Option("--index", envvar=commands.INDEX_VARIABLE, metavar="DIR", help="Directory of the index.")
]
Model = Annotated[
    str,
    typer.Option(
        "--model",
        metavar="NAME|DIR|HUB_ID[@REV]",
        help="Model to use; see `wave-search models`.",
        rich_help_panel=MODEL,
    ),
]
IndexModel = Annotated[
    str,
    typer.Option(
        "--model",
        metavar="NAME|DIR|HUB_ID[@REV]",
        help="Where to load the model of the index from; the name of the model permits downloading it.",
        rich_help_panel=MODEL,
    ),
]
Device = Annotated[
    str,
    typer.Option(
        "--device", metavar="auto|cpu|cuda[:N]|mps", help="Device to run the model on.", rich_help_panel=MODEL
    ),
]
Dtype = Annotated[
    types.Dtype,
    typer.Option("--dtype", help="Precision of the computation; auto: that of the checkpoint.", rich_help_panel=MODEL),
]
Quantization = Annotated[
    types.Quantization | None,
    typer.Option("--quantization", help="Quantize the weights; fixed when an index is created.", rich_help_panel=MODEL),
]
Dim = Annotated[
    int | None,
    typer.Option(
        "--dim",
        min=1,
        metavar="N",
        help="Keep the first N dimensions, of models made for it; fixed when an index is created.",
        rich_help_panel=MODEL,
    ),
]
TokenBudget = Annotated[
    int | None,
    typer.Option(
        "--token-budget", min=1, metavar="N", help="Maximum number of tokens in a batch.", rich_help_panel=SPEED
    ),
]
Recall = Annotated[
    float | None,
    typer.Option(
        "--recall", metavar="RECALL", help="Target recall@10 of the ANN shards (default: 0.95).", rich_help_panel=SPEED
    ),
]
Workers = Annotated[
    int | None,
    typer.Option("--workers", min=1, metavar="N", help="Number of decoder processes.", rich_help_panel=SPEED),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print only warnings and errors to stderr.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.", rich_help_panel=OUTPUT)]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Print what would be done, and change nothing.", rich_help_panel=OUTPUT)
]
DEFAULT_INDEX = Path(commands.DEFAULT_INDEX)


def of_family(dim: int | None) -> dict[str, str]:
    """Return the options of the model's family, for `LoadOptions`."""
    return {} if dim is None else {"dim": str(dim)}


def words(typed: bytes | str) -> str:
    """Decode an argument or input as UTF-8, replacing invalid bytes, and strip surrounding whitespace."""
    return os.fsencode(typed).decode("utf-8", "replace").strip()
