"""Options that several commands share."""

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

IndexDir = Annotated[
    Path, typer.Option("--index", envvar="WAVE_SEARCH_INDEX", metavar="DIR", help="Where the index lives.")
]
Model = Annotated[
    str,
    typer.Option("--model", metavar="NAME|DIR|HUB_ID[@REV]", help="The model; `wave-search models` lists known ones."),
]
Device = Annotated[str, typer.Option("--device", metavar="auto|cpu|cuda[:N]", help="Where the model runs.")]
Dtype = Annotated[
    Literal["auto", "float32", "bfloat16"],
    typer.Option("--dtype", help="Precision that the model computes in; auto as it is stored."),
]
Quantization = Annotated[
    Literal["8bit", "4bit", "int8", "fp8"] | None,
    typer.Option("--quantization", help="Smaller weights for the model; an index keeps to its own."),
]
TokenBudget = Annotated[
    int | None,
    typer.Option("--token-budget", min=1, metavar="N", help="Tokens that the model takes at once."),
]
Recall = Annotated[
    float | None,
    typer.Option("--recall", metavar="SHARE", help="Of the true best 10, how many shards have to find (0.95)."),
]
Workers = Annotated[int | None, typer.Option("--workers", min=1, metavar="N", help="Decoder processes.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, notes and reports on stderr.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DEFAULT_INDEX = Path(".wave-search")


def words(typed: bytes | str) -> str:
    """What was typed as text: a terminal or a pipe may deliver anything, a model reads text."""
    return os.fsencode(typed).decode("utf-8", "replace").strip()
