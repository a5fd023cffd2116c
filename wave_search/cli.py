"""The command line: the application, its global options, and its commands."""

import logging
from typing import Annotated

import typer

import wave_search as ws
from wave_search.commands import (
    ask,
    duplicates,
    index,
    info,
    metadata,
    models,
    optimize,
    query,
    remove,
    tag,
    train,
    verify,
)
from wave_search.commands import eval as evaluation
from wave_search.commands.exit_codes import GlobalOptions, occupy_closed_streams
from wave_search.commands.options import Quiet

_EPILOG = """\b
Start:
  wave-search index ~/Videos ~/Sounds
  wave-search query --audio dog.wav --target video

Results go to stdout, all else to stderr. Exit codes: 0 done, 1 failed, 2 usage, 3 done but some files were skipped,
4 no result, 130 interrupted."""

app = typer.Typer(
    help="Search sound, pictures, video and text by sound, pictures, video or text.",
    epilog=_EPILOG,
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help needs no rich, and is there at once
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
        bool, typer.Option("--traceback", envvar="WAVE_SEARCH_DEBUG", help="Show where an error arose, for a report.")
    ] = False,
) -> None:
    """Keep the options that hold for any command."""
    ctx.obj = GlobalOptions(quiet, traceback)


app.command(epilog=index.EPILOG)(index.index)
app.command(epilog=query.EPILOG)(query.query)
app.command(epilog=ask.EPILOG)(ask.ask)
app.command(epilog=tag.EPILOG)(tag.tag)
app.command(epilog=duplicates.EPILOG)(duplicates.duplicates)
app.add_typer(metadata.app, name="metadata")
app.command()(info.info)
app.command()(verify.verify)
app.command()(optimize.optimize)
app.command()(remove.remove)
app.command()(models.models)
app.command("eval", epilog=evaluation.EPILOG)(evaluation.evaluate)
app.command(epilog=train.EPILOG)(train.train)


def main() -> None:
    """Run the command line."""
    # Libraries log what concerns their developers; stderr is for what concerns the user.
    logging.disable(logging.WARNING)
    occupy_closed_streams()
    app()
