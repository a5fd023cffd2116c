"""Options shared by several commands."""

import os
from pathlib import Path
from typing import Annotated

import typer

from wave_search import commands, types

IndexDir = Annotated[
    Path, typer.Option("--index", envvar=commands.INDEX_VARIABLE, metavar="DIR", help="Directory of the index.")
]
Model = Annotated[
    str,
    typer.Option("--model", metavar="NAME|DIR|HUB_ID[@REV]", help="Model to use; see `wave-search models`."),
]
IndexModel = Annotated[
    str,
    typer.Option(
        "--model",
        metavar="NAME|DIR|HUB_ID[@REV]",
        help="Where to load the model of the index from; the name of the model permits downloading it.",
    ),
]
Device = Annotated[str, typer.Option("--device", metavar="auto|cpu|cuda[:N]|mps", help="Device to run the model on.")]
Dtype = Annotated[
    types.Dtype,
    typer.Option("--dtype", help="Precision of the computation; auto: that of the checkpoint."),
]
Quantization = Annotated[
    types.Quantization | None,
    typer.Option("--quantization", help="Quantize the weights; fixed when an index is created."),
]
TokenBudget = Annotated[
    int | None,
    typer.Option("--token-budget", min=1, metavar="N", help="Maximum number of tokens in a batch."),
]
Recall = Annotated[
    float | None,
    typer.Option("--recall", metavar="RECALL", help="Target recall@10 of the ANN shards (default: 0.95)."),
]
Workers = Annotated[int | None, typer.Option("--workers", min=1, metavar="N", help="Number of decoder processes.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print only warnings and errors to stderr.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DEFAULT_INDEX = Path(commands.DEFAULT_INDEX)


def words(typed: bytes | str) -> str:
    """Decode an argument or input as UTF-8, replacing invalid bytes, and strip surrounding whitespace."""
    return os.fsencode(typed).decode("utf-8", "replace").strip()
