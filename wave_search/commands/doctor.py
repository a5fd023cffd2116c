"""Examine the machine."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

import wave_search as ws
from wave_search.commands.exit_codes import DONE, FAILED, reported, terminal_of
from wave_search.commands.options import DEFAULT_INDEX, IndexDir, Json, Quiet
from wave_search.commands.usage import epilog
from wave_search.render.records import to_json
from wave_search.render.text import counted

if TYPE_CHECKING:
    from wave_search.doctor import Finding

EPILOG = epilog(
    "Each finding is ok, slow (it works, but not well), absent (an optional part) or missing (a needed one), with what "
    "to do about it. Loads torch, but no model. Exit code 1: something that is needed is missing.",
    "doctor",
    "doctor --json",
)


def _rows(findings: Iterable["Finding"], *, is_wide: bool) -> Iterator[tuple[str, ...]]:
    for one in findings:
        row = one.topic, one.state, one.name, one.value
        yield (*row, one.remedy) if is_wide else row
        if one.remedy and not is_wide:
            yield "", "", "", one.remedy


def _server(index: Path) -> "Finding":
    from wave_search.doctor import Finding
    from wave_search.serve import local_socket

    where = local_socket.address(index)
    if where is None:
        remedy = "Run `wave-search serve --background`."
        return Finding("index", "server", "none: each query loads libraries and the model first", "slow", remedy)
    return Finding("index", "server", f"{where} answers queries")


@reported
def doctor(ctx: typer.Context, index: IndexDir = DEFAULT_INDEX, json: Json = False, quiet: Quiet = False) -> int:
    """Show versions, devices, decoders, models and space, and what is missing or slow."""
    from wave_search.doctor import examine

    terminal = terminal_of(ctx, quiet)
    with terminal.working("examining"):
        named = index if ws.exists(index) else None
        found = [*examine(named), *([] if named is None else [_server(named)])]
    findings = [replace(one, remedy=terminal.completed(one.remedy)) for one in found]
    if json:
        terminal.lines(to_json(asdict(one)) for one in findings)
    else:
        terminal.rows(_rows(findings, is_wide=not terminal.results_on_terminal))
    missing, slow = (sum(one.state == state for one in findings) for state in ("missing", "slow"))
    if missing:
        verb = "is" if missing == 1 else "are"
        terminal.error(f"{counted(missing, 'needed part')} {verb} missing. Do what the lines with 'missing' name")
        return FAILED
    terminal.message("all that is needed is there" + (f"; {counted(slow, 'finding')} on speed" if slow else ""))
    return DONE
