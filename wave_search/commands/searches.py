"""List, run, rename and remove saved searches, and set their alerts."""

from typing import Annotated

import typer

import wave_search as ws
from wave_search.commands import last_hits, output, results
from wave_search.commands.exit_codes import DONE, NO_RESULT, reported, terminal_of
from wave_search.commands.options import DEFAULT_INDEX, Device, Dtype, IndexDir, IndexModel, Json, Quantization, Quiet
from wave_search.commands.usage import Command, Group, context_settings, epilog
from wave_search.errors import UsageError
from wave_search.render.records import search_record, to_json
from wave_search.render.text import search_words

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the search.")]

app = typer.Typer(
    help="Manage the searches that wave-search query --save keeps with an index, and their alerts.",
    no_args_is_help=True,
    rich_markup_mode=None,
    cls=Group,
    context_settings=context_settings(),
)


@app.command("list", cls=Command)
@reported
def list_(ctx: typer.Context, index: IndexDir = DEFAULT_INDEX, json: Json = False, quiet: Quiet = False) -> int:
    """List the saved searches, with where their alerts lead."""
    from wave_search.alerts import AlertBook

    terminal = terminal_of(ctx, quiet)
    with ws.open(index) as opened:
        searches = opened.saved_searches()
    targets = {alert.search.casefold(): str(alert.target) for alert in AlertBook(index).alerts()}
    if json:
        terminal.lines(to_json(search_record(one, targets.get(one.name.casefold()))) for one in searches)
    else:
        terminal.rows((one.name, search_words(one), targets.get(one.name.casefold(), "")) for one in searches)
    return DONE if searches else NO_RESULT


@app.command(cls=Command)
@reported
def run(
    ctx: typer.Context,
    name: Name,
    *,
    k: results.Limit = 10,
    columns: results.Columns = None,
    json: results.JsonLines = False,
    paths: results.Paths = False,
    index: IndexDir = DEFAULT_INDEX,
    model: IndexModel = "auto",
    device: Device = "auto",
    dtype: Dtype = "auto",
    quantization: Quantization = None,
    quiet: Quiet = False,
) -> int:
    """Search as when the search was saved."""
    output.check_output(json=json, paths=paths)
    terminal = terminal_of(ctx, quiet)
    load = ws.LoadOptions(device=device, dtype=dtype, quantization=quantization)
    with ws.open(index, model, load=load, may_download=terminal.may_download) as opened:
        request = opened.saved_request(name, k=k, columns=output.names(columns))
        with terminal.working("searching"):
            hits = opened.search(request)
        last_hits.keep_hits(opened.path, opened.created, [hit.segment_id for hit in hits])
    if not hits:
        terminal.message("no results")
        return NO_RESULT
    output.show_hits(terminal, hits, json=json, paths=paths)
    return DONE


@app.command(cls=Command)
@reported
def rename(
    ctx: typer.Context,
    name: Name,
    to: Annotated[str, typer.Argument(metavar="NEW", help="Its new name.")],
    index: IndexDir = DEFAULT_INDEX,
    quiet: Quiet = False,
) -> int:
    """Rename a search. Its alert stays."""
    from wave_search.alerts import AlertBook

    with ws.open(index) as opened:
        opened.rename_search(name, to)
    AlertBook(index).rename(name, to)
    terminal_of(ctx, quiet).message(f'"{name}" is now "{to}"')
    return DONE


@app.command(cls=Command)
@reported
def remove(
    ctx: typer.Context,
    names: Annotated[list[str], typer.Argument(metavar="NAME", help="Names of searches.")],
    index: IndexDir = DEFAULT_INDEX,
    quiet: Quiet = False,
) -> int:
    """Remove searches, and their alerts."""
    from wave_search.alerts import AlertBook

    with ws.open(index) as opened:
        for name in names:
            opened.remove_search(name)
            AlertBook(index).remove(name)
    terminal_of(ctx, quiet).message(f"removed {', '.join(names)}")
    return DONE


@app.command(
    cls=Command,
    epilog=epilog(
        "",
        "searches alert dogs --webhook https://example.org/hook",
        "searches alert dogs -- notify-send 'A dog'",
    ),
)
@reported
def alert(
    ctx: typer.Context,
    name: Name,
    command: Annotated[
        list[str] | None,
        typer.Argument(metavar="COMMAND [ARG]...", help="Program that reads new matches as JSON from stdin."),
    ] = None,
    *,
    webhook: Annotated[
        str | None, typer.Option(metavar="URL", help="Address to which new matches are posted as JSON.")
    ] = None,
    off: Annotated[bool, typer.Option("--off", help="End the alert.")] = False,
    index: IndexDir = DEFAULT_INDEX,
    quiet: Quiet = False,
) -> int:
    """Deliver what a search finds among new segments, after each run of wave-search index."""
    from wave_search.alerts import AlertBook, parse_command, parse_webhook, set_alert

    if [bool(command), webhook is not None, off].count(True) != 1:
        raise UsageError("an alert needs either a command, --webhook or --off", "Give one of them.")
    terminal, book = terminal_of(ctx, quiet), AlertBook(index)
    if off:
        if not book.remove(name):
            raise UsageError(f'"{name}" has no alert', "List the alerts that there are: `wave-search searches list`.")
        terminal.message(f'"{name}" has no alert any more')
        return DONE
    target = parse_webhook(webhook) if webhook is not None else parse_command(command or ())
    with ws.open(index) as opened:
        name = set_alert(opened, name, target)
    terminal.message(f'new matches of "{name}" are delivered to {target}')
    return DONE
