"""Another model for an index."""

from typing import Annotated

import typer

import wave_search as ws
from wave_search.commands.exit_codes import DONE, INTERRUPTED, PARTLY, reported, terminal_of
from wave_search.commands.indexing import DecoderMemory, decoder_bytes, pulled
from wave_search.commands.options import (
    DEFAULT_INDEX,
    Device,
    Dim,
    Dtype,
    IndexDir,
    Json,
    Quantization,
    Quiet,
    TokenBudget,
    Workers,
    of_family,
)
from wave_search.commands.usage import epilog
from wave_search.errors import UsageError
from wave_search.render.records import to_json
from wave_search.render.text import counted, skipped_line, slow_line
from wave_search.wire import to_record

EPILOG = epilog(
    "The new index is built beside the old one, DIR.new, and takes its place when it is complete: with its folders, "
    "exclusions, metadata, tags, saved searches and alerts. Ctrl-C keeps what is done; the same command continues.",
    "migrate --model WAVE-7B",
)


@reported
def migrate(
    ctx: typer.Context,
    *,
    model: Annotated[
        str,
        typer.Option(
            "--model", metavar="NAME|DIR|HUB_ID[@REV]", help="Model of the new index; see `wave-search models`."
        ),
    ],
    index: IndexDir = DEFAULT_INDEX,
    keep_old: Annotated[bool, typer.Option("--keep-old", help="Keep the old index, as DIR.old.")] = False,
    drop_unreachable: Annotated[
        bool, typer.Option("--drop-unreachable", help="Leave out folders that are missing or empty now.")
    ] = False,
    device: Device = "auto",
    dtype: Dtype = "auto",
    quantization: Quantization = None,
    dim: Dim = None,
    workers: Workers = None,
    decoder_memory: DecoderMemory = None,
    token_budget: TokenBudget = None,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Index all files again with another model, and replace the index when that is complete."""
    from wave_search.alerts import follow_index
    from wave_search.serve import local_socket

    terminal = terminal_of(ctx, quiet)
    if (address := local_socket.address(index)) is not None:
        raise UsageError(f"{index} is served at {address}", "End the server first: `wave-search serve --stop`.")
    with ws.open(index):  # before gigabytes are downloaded
        pass
    pulled(model, terminal)
    with terminal.progress() as progress:
        try:
            done = ws.migrate(
                index,
                model,
                load=ws.LoadOptions(
                    device=device,
                    dtype=dtype,
                    quantization=quantization,
                    token_budget=token_budget,
                    family=of_family(dim),
                ),
                workers=workers,
                decoder_memory_bytes=decoder_bytes(decoder_memory),
                keep_old=keep_old,
                drop_unreachable=drop_unreachable,
                progress=progress,
                warn=lambda slow: terminal.warning(slow_line(slow)),
            )
        except ws.Interrupted as interrupted:
            terminal.report(interrupted.report)
            terminal.error(f"interrupted: {index} is as it was. Run the same command to continue")
            return INTERRUPTED
    with ws.open(index) as migrated:
        follow_index(migrated)
    if json:
        terminal.lines([to_json(to_record(done))])
    terminal.report(done.indexed)
    terminal.message(f"{index} is an index of {done.model} now, no longer of {done.replaced}")
    if done.old is not None:
        what = "the old one is in" if keep_old else "what else was in the folder is in"
        terminal.message(f"{what} {done.old}")
    if done.lost_modalities:
        terminal.warning(f"{done.model} does not embed {', '.join(done.lost_modalities)}, which the old index had")
    for instruction in done.lost_instructions:
        terminal.warning(f"{done.model} takes no instructions: {instruction!r} is gone")
    if done.lost:
        lines = [*map(skipped_line, done.lost)]
        terminal.warning(f"{counted(len(lines), 'file')} no longer in the index:", lines, rest="--json lists all")
    return PARTLY if done.lost or done.lost_modalities or done.lost_instructions else DONE
