"""Verify an index."""

from dataclasses import asdict

import typer

import wave_search as ws
from wave_search.commands.exit_codes import DONE, FAILED, reported, terminal_of
from wave_search.commands.options import DEFAULT_INDEX, IndexDir, Json, Quiet
from wave_search.render.records import to_json
from wave_search.render.text import counted, problem_row


@reported
def verify(ctx: typer.Context, index: IndexDir = DEFAULT_INDEX, json: Json = False, quiet: Quiet = False) -> int:
    """Verify that the index is complete and undamaged; exit 1 if not."""
    terminal = terminal_of(ctx, quiet)
    with terminal.working("checking"):
        found = ws.verify(index)
    if json:
        terminal.lines(to_json(asdict(problem)) for problem in found)
    else:
        terminal.rows(tuple(map(terminal.completed, problem_row(problem))) for problem in found)
    problems = sum(not problem.orphan for problem in found)
    terminal.message(counted(problems, "problem") if problems else "no problems found")
    return FAILED if problems else DONE
