"""List the models."""

import typer

import wave_search as ws
from wave_search.commands.exit_codes import DONE, reported, terminal_of
from wave_search.commands.options import Json, Quiet
from wave_search.render.records import to_json


@reported
def models(ctx: typer.Context, json: Json = False, quiet: Quiet = False) -> int:
    """List the models available by name."""
    terminal = terminal_of(ctx, quiet)
    known = ws.known_models()
    if json:
        terminal.lines(to_json({"name": name, "description": what}) for name, what in known.items())
    else:
        terminal.rows(known.items())
    return DONE
