"""List duplicates."""

from typing import Annotated

import typer

import wave_search as ws
from wave_search.commands.exit_codes import DONE, reported, terminal_of
from wave_search.commands.options import DEFAULT_INDEX, IndexDir, Json, Quiet
from wave_search.commands.usage import epilog
from wave_search.render.records import group_record, to_json
from wave_search.render.text import counted, group_rows

EPILOG = epilog(
    "Output: group number, cosine, modality, time, path.",
    "duplicates --threshold 0.95",
)


@reported
def duplicates(
    ctx: typer.Context,
    threshold: Annotated[
        float, typer.Option(metavar="COSINE", help="Minimum similarity of segments from different files.")
    ] = 0.98,
    index: IndexDir = DEFAULT_INDEX,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """List identical files and near-duplicate segments."""
    terminal = terminal_of(ctx, quiet)
    with ws.open(index) as opened, terminal.working("comparing"):
        groups = opened.duplicates(threshold)
    if json:
        terminal.lines(to_json(group_record(group)) for group in groups)
    else:
        terminal.rows(row for number, group in enumerate(groups, start=1) for row in group_rows(number, group))
    terminal.message(counted(len(groups), "group") if groups else "no duplicates found")
    return DONE
