"""Remove files from an index."""

from typing import Annotated

import typer

import wave_search as ws
from wave_search.commands.exit_codes import DONE, FAILED, reported, terminal_of
from wave_search.commands.options import DEFAULT_INDEX, IndexDir, Quiet
from wave_search.render.text import counted


@reported
def remove(
    ctx: typer.Context,
    paths: Annotated[list[str], typer.Argument(metavar="PATH", help="Files and folders.")],
    index: IndexDir = DEFAULT_INDEX,
    quiet: Quiet = False,
) -> int:
    """Remove files from the index; the files themselves are kept."""
    terminal = terminal_of(ctx, quiet)
    with ws.open(index) as opened:
        count = opened.remove(paths)
    if not count:
        terminal.error("none of the given paths is in the index")
        return FAILED
    terminal.message(f"removed {counted(count, 'file')} from the index")
    return DONE
