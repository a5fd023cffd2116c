"""Say what is in an index."""

import typer

import wave_search as ws
from wave_search.commands.exit_codes import DONE, reported, terminal_of
from wave_search.commands.options import DEFAULT_INDEX, IndexDir, Json, Quiet
from wave_search.commands.render import text as output


@reported
def info(ctx: typer.Context, index: IndexDir = DEFAULT_INDEX, json: Json = False, quiet: Quiet = False) -> int:
    """Say what is in the index."""
    terminal = terminal_of(ctx, quiet)
    with ws.open(index) as opened:
        described = opened.info()
    if json:
        terminal.lines([output.to_json(output.info_record(described))])
    else:
        terminal.rows(output.info_rows(described))
    return DONE
