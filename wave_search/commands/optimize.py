"""Make an index smaller and faster again."""

from dataclasses import asdict
from typing import Annotated

import typer

import wave_search as ws
from wave_search import output
from wave_search.commands.options import DEFAULT_INDEX, IndexDir, Json, Quiet, Recall
from wave_search.exits import DONE, reported, terminal_of


@reported
def optimize(
    ctx: typer.Context,
    *,
    index: IndexDir = DEFAULT_INDEX,
    grace: Annotated[
        float | None,
        typer.Option(min=0, metavar="SECONDS", help="Keep versions replaced since then, for who reads them (3600)."),
    ] = None,
    recall: Recall = None,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Free space, mend and speed up the index; needs no model."""
    terminal = terminal_of(ctx, quiet)
    with ws.open(index) as opened, terminal.working("optimizing"):
        done = opened.optimize(grace_s=ws.GRACE_S if grace is None else grace, recall=recall)
    if json:
        terminal.lines([output.to_json(asdict(done))])
    for sentence in output.optimized_sentences(done):
        terminal.say(sentence)
    return DONE
