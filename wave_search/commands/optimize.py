"""Compact an index."""

from dataclasses import asdict
from typing import Annotated

import typer

import wave_search as ws
from wave_search.commands.exit_codes import DONE, reported, terminal_of
from wave_search.commands.options import DEFAULT_INDEX, IndexDir, Json, Quiet, Recall
from wave_search.render.records import to_json
from wave_search.render.text import optimized_sentences


@reported
def optimize(
    ctx: typer.Context,
    *,
    index: IndexDir = DEFAULT_INDEX,
    keep_versions_for: Annotated[
        float | None,
        typer.Option(min=0, metavar="SECONDS", help="Keep replaced versions readable for this long (default: 3600)."),
    ] = None,
    recall: Recall = None,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Compact the index, rebuild its shards and remove old versions."""
    terminal = terminal_of(ctx, quiet)
    with ws.open(index) as opened, terminal.working("optimizing"):
        done = opened.optimize(
            keep_versions_for_s=ws.KEEP_VERSIONS_FOR_S if keep_versions_for is None else keep_versions_for,
            recall=recall,
        )
    if json:
        terminal.lines([to_json(asdict(done))])
    for sentence in optimized_sentences(done):
        terminal.message(sentence)
    return DONE
