"""Describe an index."""

import typer

import wave_search as ws
from wave_search.commands.exit_codes import DONE, reported, terminal_of
from wave_search.commands.options import DEFAULT_INDEX, IndexDir, Json, Quiet
from wave_search.render.records import info_record, to_json
from wave_search.render.text import info_rows


@reported
def info(ctx: typer.Context, index: IndexDir = DEFAULT_INDEX, json: Json = False, quiet: Quiet = False) -> int:
    """Show what the index contains."""
    terminal = terminal_of(ctx, quiet)
    with ws.open(index) as opened:
        described = opened.info()
    if json:
        terminal.lines([to_json(info_record(described))])
    else:
        terminal.rows(info_rows(described))
    return DONE
