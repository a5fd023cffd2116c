"""List the models, and download and remove them."""

from typing import Annotated

import typer

import wave_search as ws
from wave_search.commands.exit_codes import DONE, reported, terminal_of
from wave_search.commands.options import Json, Quiet
from wave_search.commands.usage import Command, Group, context_settings, epilog
from wave_search.errors import ModelNotFoundError
from wave_search.render.records import model_record, to_json
from wave_search.render.text import bytes_text, model_cells

Name = Annotated[
    str, typer.Argument(metavar="NAME|HUB_ID[@REV]", help="Name of a model, or its id on the Hugging Face hub.")
]

app = typer.Typer(
    help="List the models with what each needs, and whether it runs here; download and remove them.",
    epilog=epilog("", "models", "models pull WAVE-7B"),
    invoke_without_command=True,
    rich_markup_mode=None,
    cls=Group,
    context_settings=context_settings(),
)


@app.callback()
def models(ctx: typer.Context, json: Json = False, quiet: Quiet = False) -> None:
    """List the models unless there is a command."""
    if ctx.invoked_subcommand is None:
        _listed(ctx, json=json, quiet=quiet)


@reported
def _listed(ctx: typer.Context, *, json: bool, quiet: bool) -> int:
    terminal, listed = terminal_of(ctx, quiet), ws.list_models()
    ours = {one.model.name for one in listed}
    others = {name: line for name, line in ws.known_models().items() if name not in ours}
    if json:
        terminal.lines(to_json({"name": name, "description": line}) for name, line in others.items())
        terminal.lines(to_json(model_record(one)) for one in listed)
    else:
        auto, *packaged = ((name, "", "", "", "", line) for name, line in others.items())
        terminal.rows([auto, *map(model_cells, listed), *packaged])
    return DONE


@app.command(cls=Command, epilog=epilog("", "models pull WAVE-7B"))
@reported
def pull(ctx: typer.Context, name: Name, quiet: Quiet = False) -> int:
    """Download a model, or the rest of it, and check the digest of each of its files."""
    terminal = terminal_of(ctx, quiet)
    with terminal.downloading(name) as progress:
        directory = ws.pull_model(name, progress)
    terminal.message(f"{name} is complete: {directory}")
    return DONE


@app.command(cls=Command)
@reported
def remove(ctx: typer.Context, name: Name, quiet: Quiet = False) -> int:
    """Delete the downloaded files of a model."""
    terminal_of(ctx, quiet).message(f"removed {name}: {bytes_text(ws.remove_model(name))} are free again")
    return DONE


@app.command(cls=Command)
@reported
def path(ctx: typer.Context, name: Name) -> int:
    """Print the folder of the files of a model."""
    directory = ws.model_directory(name)
    if directory is None:
        raise ModelNotFoundError(f"the model {name} is not on this machine", f"Run: wave-search models pull {name}")
    terminal_of(ctx).paths([directory])
    return DONE
