"""The command line: the application, its global options and its commands."""

import io
import logging
import sys
from importlib import import_module
from typing import Annotated, Any

import typer

import wave_search as ws
from wave_search.commands.exit_codes import GlobalOptions, occupy_closed_streams
from wave_search.commands.options import Quiet
from wave_search.render.text import printable

_COMMANDS = {
    "index": "index:index",
    "watch": "watch:watch",
    "query": "query:query",
    "search": "query:query",
    "serve": "serve:serve",
    "ui": "serve:serve",
    "mcp": "mcp:mcp",
    "ask": "ask:ask",
    "tag": "tag:tag",
    "duplicates": "duplicates:duplicates",
    "list": "listing:list_files",
    "metadata": "metadata:app",
    "searches": "searches:app",
    "info": "info:info",
    "verify": "verify:verify",
    "optimize": "optimize:optimize",
    "remove": "remove:remove",
    "relocate": "relocate:relocate",
    "models": "models:models",
    "eval": "eval:evaluate",
    "train": "train:train",
}
"""Command -> its module in `wave_search.commands`, and its function or its application of further commands there."""
_ALIASES = {"search", "ui"}
_EPILOG = """\b
Examples:
  wave-search index ~/Videos ~/Sounds
  wave-search query --audio dog.wav --target video

Results go to stdout, everything else to stderr. Exit codes: 0 success, 1 failure, 2 usage error, 3 success but some
files were newly skipped, 4 no results, 130 interrupted, 143 and 129 interrupted by SIGTERM and SIGHUP."""


class _PandasOfPyarrow:
    """A finder of modules that hides pandas while pyarrow is imported, which would import it: a quarter of a second.

    Not in the library: to a pyarrow that has not found pandas, a series of pandas is any sequence until `to_pandas`.
    """

    @staticmethod
    def find_spec(name: str, _path: object = None, _target: object = None) -> None:
        """Return nothing, for the next finder to look. Raises ModuleNotFoundError for pandas, to pyarrow."""
        if name == "pandas":
            module = sys.modules.get("pyarrow.dataset")
            if module is not None and not hasattr(module, "dataset"):  # its import has begun, and not ended
                raise ModuleNotFoundError("hidden from pyarrow", name=name)


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
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(main_options)
    for name in (only,) if only in _COMMANDS else _COMMANDS:
        home, _, attribute = _COMMANDS[name].partition(":")
        module = import_module(f"wave_search.commands.{home}")
        command = getattr(module, attribute)
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name)
        else:
            app.command(name, epilog=getattr(module, "EPILOG", None), hidden=name in _ALIASES)(command)
    return app


def main() -> None:
    """Run the command line."""
    # Log messages of libraries are for developers; stderr is for the user.
    logging.disable(logging.WARNING)
    occupy_closed_streams()
    sys.meta_path.insert(0, _PandasOfPyarrow)
    app = application(next((one for one in sys.argv[1:] if not one.startswith("-")), None))
    try:
        code = app(standalone_mode=False)
    except typer.TyperException as error:  # wrong arguments, which may be file names from a pattern
        usage: Any = error
        usage.show(shown := io.StringIO())
        sys.stderr.write("\n".join(map(printable, shown.getvalue().split("\n"))))
        code = usage.exit_code
    sys.exit(code)
