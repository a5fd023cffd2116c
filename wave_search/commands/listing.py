"""List the files of an index."""

from typing import Annotated

import typer

import wave_search as ws
from wave_search.commands import output, results
from wave_search.commands.exit_codes import reported, terminal_of
from wave_search.commands.options import DEFAULT_INDEX, IndexDir, Quiet
from wave_search.commands.usage import FILTER, OUTPUT, epilog

EPILOG = epilog(
    "A file is listed if the condition holds for one of its segments. Its status is 'indexed', 'damaged' (indexed only "
    "in part) or 'skipped'; what is no longer on the disk is marked as gone. Output: a table on a terminal, otherwise "
    "tab-separated status, kind, duration, bytes, path, cause.",
    "list --skipped",
    "list --where 'tag IS NOT NULL' --columns tag,tag_z",
)


@reported
def list_files(
    ctx: typer.Context,
    *,
    where: results.Where = None,
    where_timeout: results.WhereTimeout = 30.0,
    skipped: Annotated[
        bool,
        typer.Option(
            "--skipped", help="List only files that were skipped, or that are damaged.", rich_help_panel=FILTER
        ),
    ] = False,
    columns: Annotated[
        str | None,
        typer.Option(metavar="LIST", help="Also show these columns of files: fps,width,tag.", rich_help_panel=OUTPUT),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option("-n", "--limit", min=1, metavar="N", help="Maximum number of files.", rich_help_panel=FILTER),
    ] = None,
    json: results.JsonLines = False,
    paths: Annotated[bool, typer.Option("--paths", help="Print only the paths.", rich_help_panel=OUTPUT)] = False,
    index: IndexDir = DEFAULT_INDEX,
    quiet: Quiet = False,
) -> int:
    """List what is indexed, what was skipped and why."""
    output.check_output(json=json, paths=paths)
    terminal = terminal_of(ctx, quiet)
    with ws.open(index) as opened:
        files = opened.files(where, skipped=skipped, columns=output.names(columns), where_timeout_s=where_timeout)
        return output.show_files(terminal, files, limit, json=json, paths=paths)
