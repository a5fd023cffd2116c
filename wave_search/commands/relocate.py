"""Follow media that were moved."""

import shlex
from typing import Annotated

import typer

import wave_search as ws
from wave_search.commands.exit_codes import DONE, PARTLY, reported, terminal_of
from wave_search.commands.options import DEFAULT_INDEX, IndexDir, Json, Quiet
from wave_search.commands.usage import epilog
from wave_search.render.records import to_json
from wave_search.render.text import counted, skipped_line
from wave_search.wire import to_record

EPILOG = epilog(
    "Nothing is embedded again. A file is moved if at NEW is a file of its size and time of modification; of those "
    "with another time, a sample is compared by content, and the next `wave-search index NEW` reads the others.",
    "relocate /mnt/old-disk/Videos ~/Videos",
)


@reported
def relocate(
    ctx: typer.Context,
    old: Annotated[str, typer.Argument(metavar="OLD", help="Folder or file where it was.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="Where it is now.")],
    *,
    index: IndexDir = DEFAULT_INDEX,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Rewrite the paths of a media folder that was moved."""
    terminal = terminal_of(ctx, quiet)
    with ws.open(index) as opened:
        done = opened.relocate(old, new)
    if json:
        terminal.lines([to_json(to_record(done))])
    unread = (
        f"; {done.unread:,} with another time, which the next `wave-search index {shlex.quote(new)}` reads"
        if done.unread
        else ""
    )
    terminal.message(f"moved {counted(done.moved, 'file')}{unread}")
    if done.left:
        lines = [*map(skipped_line, done.left)]
        terminal.warning(f"{counted(len(lines), 'file')} left at the old place:", lines, rest="--json lists all")
    return PARTLY if done.left else DONE
