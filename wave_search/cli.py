"""The command line: the application, its global options and its commands."""

import logging
import sys
from importlib import import_module
from typing import Annotated, Any

import typer

import wave_search as ws
from wave_search.commands.exit_codes import GlobalOptions, occupy_closed_streams
from wave_search.commands.options import Quiet
from wave_search.commands.usage import PROGRAM, Command, Group, asks_for_help, context_settings, epilog, error_message

_FIND, _INDEX, _PROGRAMS, _MODELS = "Find", "Index", "Page and programs", "Models and machine"
_COMMANDS = {
    "query": (_FIND, "query:query"),
    "search": (_FIND, "query:query"),
    "list": (_FIND, "listing:list_files"),
    "searches": (_FIND, "searches:app"),
    "duplicates": (_FIND, "duplicates:duplicates"),
    "ask": (_FIND, "ask:ask"),
    "index": (_INDEX, "index:index"),
    "watch": (_INDEX, "watch:watch"),
    "info": (_INDEX, "info:info"),
    "remove": (_INDEX, "remove:remove"),
    "relocate": (_INDEX, "relocate:relocate"),
    "migrate": (_INDEX, "migrate:migrate"),
    "optimize": (_INDEX, "optimize:optimize"),
    "verify": (_INDEX, "verify:verify"),
    "tag": (_INDEX, "tag:tag"),
    "metadata": (_INDEX, "metadata:app"),
    "serve": (_PROGRAMS, "serve:serve"),
    "ui": (_PROGRAMS, "serve:serve"),
    "mcp": (_PROGRAMS, "mcp:mcp"),
    "models": (_MODELS, "models:app"),
    "doctor": (_MODELS, "doctor:doctor"),
    "compare": (_MODELS, "compare:compare"),
    "eval": (_MODELS, "eval:evaluate"),
    "train": (_MODELS, "train:train"),
}
"""Command -> its group, and its module in `wave_search.commands` with its function, or its application of commands."""
_ALIASES = {"search", "ui"}
_EPILOG = epilog(
    "Results go to stdout, everything else to stderr. Exit codes: 0 success, 1 failure, 2 usage error, 3 success but "
    "some files were newly skipped, 4 no results, 130 interrupted, 143 and 129 interrupted by SIGTERM and SIGHUP.",
    "index ~/Videos ~/Sounds",
    "query a dog barking",
    "query --audio dog.wav --target video",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"wave-search {ws.__version__}")
        raise typer.Exit


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


def application(only: str | None = None) -> typer.Typer:
    """Return the application.

    Args:
        only: the one command that it has to know; None for all. Each takes time to import.
    """
    app = typer.Typer(
        help="Search audio, images, video and text by audio, images, video or text.",
        epilog=_EPILOG,
        no_args_is_help=True,
        rich_markup_mode=None,  # plain help avoids importing rich, which would dominate the start-up time
        pretty_exceptions_enable=False,
        cls=Group,
        context_settings=context_settings(),
    )
    app.callback()(main_options)
    for name in (only,) if only in _COMMANDS else _COMMANDS:
        group, place = _COMMANDS[name]
        home, _, attribute = place.partition(":")
        module = import_module(f"wave_search.commands.{home}")
        command = getattr(module, attribute)
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name, rich_help_panel=group)
        else:
            made = app.command(
                name,
                cls=Command,
                epilog=getattr(module, "EPILOG", None),
                hidden=name in _ALIASES,
                rich_help_panel=group,
            )
            made(command)
    return app


def main() -> None:
    """Run the command line."""
    # Log messages of libraries are for developers; stderr is for the user.
    logging.disable(logging.WARNING)
    occupy_closed_streams()
    app = application(next((one for one in sys.argv[1:] if not one.startswith("-")), None))
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
