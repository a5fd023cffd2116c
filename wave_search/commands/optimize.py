"""Make an index smaller and faster again."""

from dataclasses import asdict
from typing import Annotated

import typer

import wave_search as ws
from wave_search.commands.exit_codes import DONE, reported, terminal_of
from wave_search.commands.options import DEFAULT_INDEX, IndexDir, Json, Quiet, Recall
from wave_search.commands.render import text as output


@reported
def optimize(
    ctx: typer.Context,
    *,
    index: IndexDir = DEFAULT_INDEX,
    keep_versions_for: Annotated[
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
        done = opened.optimize(
            keep_versions_for_s=ws.KEEP_VERSIONS_FOR_S if keep_versions_for is None else keep_versions_for,
            recall=recall,
        )
    if json:
        terminal.lines([output.to_json(asdict(done))])
    for sentence in output.optimized_sentences(done):
        terminal.say(sentence)
    return DONE
