"""The command line: the application, its global options and its commands."""

import io
import logging
import sys
from typing import Annotated, Any

import typer

import wave_search as ws
from wave_search.commands import (
    ask,
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
from wave_search.render.text import printable

_EPILOG = """\b
Examples:
  wave-search index ~/Videos ~/Sounds
  wave-search query --audio dog.wav --target video

Results go to stdout, everything else to stderr. Exit codes: 0 success, 1 failure, 2 usage error, 3 success but some
files were newly skipped, 4 no results, 130 interrupted, 143 and 129 interrupted by SIGTERM and SIGHUP."""

app = typer.Typer(
    help="Search audio, images, video and text by audio, images, video or text.",
    epilog=_EPILOG,
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help avoids importing rich, which would dominate the start-up time
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
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


app.command(epilog=index.EPILOG)(index.index)
app.command(epilog=watch.EPILOG)(watch.watch)
app.command("query", epilog=query.EPILOG)(query.query)
app.command("search", epilog=query.EPILOG, hidden=True)(query.query)
app.command(epilog=serve.EPILOG)(serve.serve)
app.command("ui", epilog=serve.EPILOG, hidden=True)(serve.serve)
app.command(epilog=mcp.EPILOG)(mcp.mcp)
app.command(epilog=ask.EPILOG)(ask.ask)
app.command(epilog=tag.EPILOG)(tag.tag)
app.command(epilog=duplicates.EPILOG)(duplicates.duplicates)
app.command("list", epilog=listing.EPILOG)(listing.list_files)
app.add_typer(metadata.app, name="metadata")
app.add_typer(searches.app, name="searches")
app.command()(info.info)
app.command()(verify.verify)
app.command()(optimize.optimize)
app.command()(remove.remove)
app.command(epilog=relocate.EPILOG)(relocate.relocate)
app.command()(models.models)
app.command("eval", epilog=evaluation.EPILOG)(evaluation.evaluate)
app.command(epilog=train.EPILOG)(train.train)


def main() -> None:
    """Run the command line."""
    # Log messages of libraries are for developers; stderr is for the user.
    logging.disable(logging.WARNING)
    occupy_closed_streams()
    try:
        code = app(standalone_mode=False)
    except typer.TyperException as error:  # wrong arguments, which may be file names from a pattern
        usage: Any = error
        usage.show(shown := io.StringIO())
        sys.stderr.write("\n".join(map(printable, shown.getvalue().split("\n"))))
        code = usage.exit_code
    sys.exit(code)
