"""Import, list and remove metadata columns."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

import wave_search as ws
from wave_search.commands.exit_codes import DONE, PARTLY, reported, terminal_of
from wave_search.commands.options import DEFAULT_INDEX, IndexDir, Json, Quiet
from wave_search.commands.usage import Command, Group, context_settings, epilog
from wave_search.render.records import to_json
from wave_search.render.text import counted

_SHOWN = 5

app = typer.Typer(
    help="Manage metadata columns for use in --where and --columns.",
    no_args_is_help=True,
    rich_markup_mode=None,
    cls=Group,
    context_settings=context_settings(),
)


@app.command("import", cls=Command, epilog=epilog("", "metadata import songs.csv"))
@reported
def import_(
    ctx: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", exists=True, dir_okay=False, help='CSV or JSON Lines file with a column "path".'
        ),
    ],
    index: IndexDir = DEFAULT_INDEX,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Import columns from a table, joined by path."""
    terminal = terminal_of(ctx, quiet)
    with ws.open(index) as opened:
        done = opened.import_metadata(file)
    if json:
        terminal.lines([to_json(asdict(done))])
    columns = ", ".join(f"{name} ({column})" for name, column in done.columns.items()) or "no column"
    terminal.message(f"{columns} for {counted(done.files, 'file')}")
    if done.malformed:
        terminal.warning(f"{counted(done.malformed_rows, 'row is', 'rows are')} left out: {_some(done.malformed)}")
    if done.unknown:
        count = counted(done.unknown_rows, "path is", "paths are")
        terminal.warning(f"{count} not in the index: {_some(done.unknown)}")
    return PARTLY if done.malformed or done.unknown else DONE


def _some(items: Sequence[str]) -> str:
    more = ", ..." if len(items) > _SHOWN else ""
    return f"{', '.join(items[:_SHOWN])}{more}"


@app.command("list", cls=Command)
@reported
def list_(ctx: typer.Context, index: IndexDir = DEFAULT_INDEX, json: Json = False, quiet: Quiet = False) -> int:
    """List the columns with their types and numbers of values."""
    terminal = terminal_of(ctx, quiet)
    with ws.open(index) as opened:
        columns = opened.metadata()
    if json:
        terminal.lines(to_json(asdict(column)) for column in columns)
    else:
        terminal.rows((column.name, column.type, counted(column.filled, "file")) for column in columns)
    return DONE


@app.command(cls=Command)
@reported
def remove(
    ctx: typer.Context,
    columns: Annotated[list[str], typer.Argument(metavar="COLUMN", help="Columns to remove.")],
    index: IndexDir = DEFAULT_INDEX,
    quiet: Quiet = False,
) -> int:
    """Remove columns and their values."""
    terminal = terminal_of(ctx, quiet)
    with ws.open(index) as opened:
        opened.remove_metadata(columns)
    terminal.message(f"removed {counted(len(columns), 'column')}")
    return DONE
