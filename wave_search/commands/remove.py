"""Remove files from an index."""

from typing import Annotated

import typer

import wave_search as ws
from wave_search.commands.exit_codes import DONE, FAILED, reported, terminal_of
from wave_search.commands.options import DEFAULT_INDEX, DryRun, IndexDir, Json, Quiet
from wave_search.render.records import to_json
from wave_search.render.text import counted


@reported
def remove(
    ctx: typer.Context,
    paths: Annotated[list[str], typer.Argument(metavar="PATH", help="Files and folders.")],
    index: IndexDir = DEFAULT_INDEX,
    *,
    dry_run: DryRun = False,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Remove files from the index; the files themselves are kept."""
    terminal = terminal_of(ctx, quiet)
    with ws.open(index) as opened:
        planned = opened.plan_remove(paths) if dry_run else []
        count = len(planned) if dry_run else opened.remove(paths)
    if json:
        terminal.lines([to_json({"removed": list(map(str, planned)) if dry_run else count})])
    if not count:
        terminal.error("none of the given paths is in the index")
        return FAILED
    if dry_run:
        if not json:
            terminal.paths(planned)
        terminal.message(f"dry run, nothing was changed: {counted(count, 'file')} to be removed from the index")
        return DONE
    terminal.message(f"removed {counted(count, 'file')} from the index")
    return DONE
