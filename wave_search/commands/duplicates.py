"""List duplicates."""

from typing import Annotated

import typer

import wave_search as ws
from wave_search.commands.exit_codes import DONE, reported, terminal_of
from wave_search.commands.options import DEFAULT_INDEX, IndexDir, Json, Quiet
from wave_search.commands.render import text as output

EPILOG = "Output: number of the group, cosine, kind, time, path. Example:  wave-search duplicates --threshold 0.95"


@reported
def duplicates(
    ctx: typer.Context,
    threshold: Annotated[
        float, typer.Option(metavar="COSINE", help="How alike segments of different files must be.")
    ] = 0.98,
    index: IndexDir = DEFAULT_INDEX,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """List files of the same bytes, and segments nearly the same."""
    terminal = terminal_of(ctx, quiet)
    with ws.open(index) as opened, terminal.working("comparing"):
        groups = opened.duplicates(threshold)
    if json:
        terminal.lines(output.to_json(output.group_record(group)) for group in groups)
    else:
        terminal.rows(row for number, group in enumerate(groups, start=1) for row in output.group_rows(number, group))
    terminal.say(output.counted(len(groups), "group") if groups else "no duplicates")
    return DONE
