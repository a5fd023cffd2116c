"""Label a library."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

import wave_search as ws
from wave_search.commands.exit_codes import DONE, reported, terminal_of
from wave_search.commands.options import DEFAULT_INDEX, Device, Dtype, IndexDir, Json, Quantization, Quiet
from wave_search.commands.query import Target
from wave_search.commands.render import text as output

EPILOG = (
    "A line of the file is a label, and after a tab other words for the same: dog<TAB>a dog barks<TAB>puppy. "
    "Example:  wave-search tag --labels labels.txt --target audio; "
    "wave-search query --text rain --where \"tag = 'dog'\""
)


@reported
def tag(
    ctx: typer.Context,
    *,
    labels: Annotated[Path, typer.Option(metavar="FILE", exists=True, dir_okay=False, help="The labels, one a line.")],
    column: Annotated[str, typer.Option(metavar="NAME", help="Where to write the labels.")] = "tag",
    target: Annotated[Target, typer.Option(help="What to go by: what is heard, seen, ...")] = "any",
    min_z: Annotated[
        float | None, typer.Option(metavar="Z", help="Give no label that scores less than this z (default: 4).")
    ] = None,
    top: Annotated[int, typer.Option(min=1, metavar="N", help="Up to N labels a file; from 2 on as a list.")] = 1,
    index: IndexDir = DEFAULT_INDEX,
    device: Device = "auto",
    dtype: Dtype = "auto",
    quantization: Quantization = None,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Label all files by what is in them, as columns to filter by."""
    terminal = terminal_of(ctx, quiet)
    lines = labels.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    at_least: dict[str, Any] = {} if min_z is None else {"min_z": min_z}
    with ws.open(index, device=device, dtype=dtype, quantization=quantization) as opened:
        terminal.notice(opened.model)
        with terminal.working("labelling"):
            done = opened.tag(lines, target=target, column=column, top=top, **at_least)
    if json:
        terminal.lines([output.to_json(asdict(done))])
    else:
        terminal.rows((output.printable(label), f"{count:,}") for label, count in done.files.items())
    terminal.say(f"{output.counted(done.unlabelled, 'file')} without a label")
    return DONE
