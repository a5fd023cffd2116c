"""Compact an index."""

from typing import TYPE_CHECKING, Annotated

import typer

import wave_search as ws
from wave_search.commands.exit_codes import DONE, reported, terminal_of
from wave_search.commands.options import DEFAULT_INDEX, DryRun, IndexDir, Json, Quiet, Recall
from wave_search.render.records import to_json
from wave_search.render.text import optimize_plan_sentences, optimized_sentences
from wave_search.wire import to_record

if TYPE_CHECKING:
    from wave_search.reports import OptimizePlan, OptimizeReport


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
    dry_run: DryRun = False,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Compact the index, rebuild its shards and remove old versions."""
    terminal = terminal_of(ctx, quiet)
    keep_s = ws.KEEP_VERSIONS_FOR_S if keep_versions_for is None else keep_versions_for
    done: OptimizePlan | OptimizeReport
    with ws.open(index) as opened, terminal.working("checking" if dry_run else "optimizing"):
        if dry_run:
            done = opened.plan_optimize(keep_versions_for_s=keep_s)
            sentences = optimize_plan_sentences(done)
        else:
            done = opened.optimize(keep_versions_for_s=keep_s, recall=recall)
            sentences = optimized_sentences(done)
    if json:
        terminal.lines([to_json(to_record(done))])
    for sentence in sentences:
        terminal.message(sentence)
    return DONE
