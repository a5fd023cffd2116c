"""List the files of an index."""

from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

import wave_search as ws
from wave_search.commands import results
from wave_search.commands.exit_codes import DONE, NO_RESULT, reported, terminal_of
from wave_search.commands.options import DEFAULT_INDEX, IndexDir, Quiet
from wave_search.render.records import listed_record, to_json
from wave_search.render.text import listed_line, listed_sentence

if TYPE_CHECKING:
    from wave_search.render.terminal import Terminal

EPILOG = (
    "A file is listed if the condition holds for one of its segments. Its status is 'indexed', 'damaged' (indexed only "
    "in part) or 'skipped'; what is no longer on the disk is marked as gone. "
    "Output: a table on a terminal, otherwise tab-separated status, kind, duration, bytes, path, cause. "
    "Example:  wave-search list --where 'tag IS NOT NULL' --columns tag,tag_z"
)


@reported
def list_files(
    ctx: typer.Context,
    *,
    where: results.Where = None,
    where_timeout: results.WhereTimeout = 30.0,
    skipped: Annotated[
        bool, typer.Option("--skipped", help="List only files that were skipped, or that are damaged.")
    ] = False,
    columns: Annotated[
        str | None, typer.Option(metavar="LIST", help="Also show these columns of files: fps,width,tag.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option("-n", "--limit", min=1, metavar="N", help="Maximum number of files.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON Lines.")] = False,
    paths: Annotated[bool, typer.Option("--paths", help="Print only the paths.")] = False,
    index: IndexDir = DEFAULT_INDEX,
    quiet: Quiet = False,
) -> int:
    """List what is indexed, what was skipped and why."""
    results.check_output(json=json, paths=paths)
    terminal = terminal_of(ctx, quiet)
    with ws.open(index) as opened:
        files = opened.files(where, skipped=skipped, columns=results.names(columns), where_timeout_s=where_timeout)
        return show(terminal, files, limit, json=json, paths=paths)


def show(terminal: "Terminal", files: Iterator["ws.ListedFile"], limit: int | None, *, json: bool, paths: bool) -> int:
    """Write the first `limit` files to stdout, and their numbers to stderr; return the exit code."""
    counts: Counter[str] = Counter()
    shown = _counted(islice(files, limit), counts)
    if paths:
        terminal.paths(file.path for file in shown)
    elif json:
        terminal.lines(to_json(listed_record(file)) for file in shown)
    elif terminal.results_on_terminal:
        terminal.files(shown)
    else:
        terminal.lines(map(listed_line, shown))
    if not counts:
        terminal.message("no files")
        return NO_RESULT
    more = "; there are more: raise the limit" if limit is not None and next(files, None) is not None else ""
    terminal.message(listed_sentence(counts) + more)
    return DONE


def _counted(files: Iterator["ws.ListedFile"], counts: Counter[str]) -> Iterator["ws.ListedFile"]:
    for file in files:
        counts[file.status] += 1
        counts["gone"] += file.gone
        yield file
