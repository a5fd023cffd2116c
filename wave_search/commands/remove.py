"""Take files out of an index."""

from pathlib import Path
from typing import Annotated

import typer

import wave_search as ws
from wave_search.commands.exit_codes import DONE, FAILED, reported, terminal_of
from wave_search.commands.options import DEFAULT_INDEX, IndexDir, Quiet
from wave_search.commands.render import text as output


@reported
def remove(
    ctx: typer.Context,
    paths: Annotated[list[Path], typer.Argument(metavar="PATH", help="Files, and folders with all in them.")],
    index: IndexDir = DEFAULT_INDEX,
    quiet: Quiet = False,
) -> int:
    """Take files out of the index; the files themselves stay."""
    terminal = terminal_of(ctx, quiet)
    with ws.open(index) as opened:
        count = opened.remove(paths)
    if not count:
        terminal.error("no file of the index is at the given paths")
        return FAILED
    terminal.say(f"removed {output.counted(count, 'file')} from the index")
    return DONE
