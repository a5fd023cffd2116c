"""The command line: the application, its global options and its commands."""

import logging
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

import wave_search as ws
from wave_search.commands import (
    ask,
    doctor,
    duplicates,
    index,
    info,
    listing,
    mcp,
    metadata,
    models,
    optimize,
    query,
    relocate,
    remove,
    searches,
    serve,
    tag,
    train,
    verify,
    watch,
)
from wave_search.commands import eval as evaluation
from wave_search.commands.exit_codes import GlobalOptions, occupy_closed_streams
from wave_search.commands.options import Quiet
from wave_search.commands.usage import PROGRAM, Command, Group, asks_for_help, context_settings, epilog, error_message

_EPILOG = epilog(
    "Results go to stdout, everything else to stderr. Exit codes: 0 success, 1 failure, 2 usage error, 3 success but "
    "some files were newly skipped, 4 no results, 130 interrupted, 143 and 129 interrupted by SIGTERM and SIGHUP.",
    "index ~/Videos ~/Sounds",
    "query a dog barking",
    "query --audio dog.wav --target video",
)
_FIND, _INDEX, _PROGRAMS, _MODELS = "Find", "Index", "Page and programs", "Models and machine"

app = typer.Typer(
    help="Search audio, images, video and text by audio, images, video or text.",
    epilog=_EPILOG,
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help avoids importing rich, which would dominate the start-up time
    pretty_exceptions_enable=False,
    cls=Group,
    context_settings=context_settings(),
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"wave-search {ws.__version__}")
        raise typer.Exit


@app.callback()
def main_options(
    ctx: typer.Context,
    version: Annotated[  # noqa: ARG001 - its callback has already acted on it
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    quiet: Quiet = False,
    traceback: Annotated[
        bool, typer.Option("--traceback", envvar="WAVE_SEARCH_DEBUG", help="Print the traceback of an error.")
    ] = False,
) -> None:
    """Store the global options."""
    ctx.obj = GlobalOptions(quiet, traceback)


def _add(group: str, command: Callable[..., None], name: str | None = None, **settings: Any) -> None:
    app.command(name, cls=Command, rich_help_panel=group, **settings)(command)


_add(_FIND, query.query, "query", epilog=query.EPILOG)
_add(_FIND, query.query, "search", epilog=query.EPILOG, hidden=True)
_add(_FIND, listing.list_files, "list", epilog=listing.EPILOG)
app.add_typer(searches.app, name="searches", rich_help_panel=_FIND)
_add(_FIND, duplicates.duplicates, epilog=duplicates.EPILOG)
_add(_FIND, ask.ask, epilog=ask.EPILOG)
_add(_INDEX, index.index, epilog=index.EPILOG)
_add(_INDEX, watch.watch, epilog=watch.EPILOG)
_add(_INDEX, info.info)
_add(_INDEX, remove.remove)
_add(_INDEX, relocate.relocate, epilog=relocate.EPILOG)
_add(_INDEX, optimize.optimize)
_add(_INDEX, verify.verify)
_add(_INDEX, tag.tag, epilog=tag.EPILOG)
app.add_typer(metadata.app, name="metadata", rich_help_panel=_INDEX)
_add(_PROGRAMS, serve.serve, epilog=serve.EPILOG)
_add(_PROGRAMS, serve.serve, "ui", epilog=serve.EPILOG, hidden=True)
_add(_PROGRAMS, mcp.mcp, epilog=mcp.EPILOG)
_add(_MODELS, models.models)
_add(_MODELS, doctor.doctor, epilog=doctor.EPILOG)
_add(_MODELS, evaluation.evaluate, "eval", epilog=evaluation.EPILOG)
_add(_MODELS, train.train, epilog=train.EPILOG)


def main() -> None:
    """Run the command line."""
    # Log messages of libraries are for developers; stderr is for the user.
    logging.disable(logging.WARNING)
    occupy_closed_streams()
    try:
        code = app(prog_name=PROGRAM, standalone_mode=False)
    except typer.TyperException as error:  # wrong arguments, which may be file names from a pattern
        usage: Any = error
        code = usage.exit_code
        if asks_for_help(usage):
            sys.stderr.write(f"{usage.format_message()}\n")
        else:
            from wave_search.render.terminal import Terminal

            Terminal().error(error_message(usage))
    sys.exit(code)
