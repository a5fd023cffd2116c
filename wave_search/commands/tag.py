"""Label files by their content."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

import wave_search as ws
from wave_search.commands import results
from wave_search.commands.exit_codes import DONE, reported, terminal_of
from wave_search.commands.options import DEFAULT_INDEX, Device, Dtype, IndexDir, IndexModel, Json, Quantization, Quiet
from wave_search.commands.usage import epilog
from wave_search.render.records import to_json
from wave_search.render.text import counted

EPILOG = epilog(
    "Each line of the file is a label, optionally followed by tab-separated synonyms: dog<TAB>a dog barks<TAB>puppy.",
    "tag --labels labels.txt --target audio",
    "query --text rain --where \"tag = 'dog'\"",
)


@reported
def tag(
    ctx: typer.Context,
    *,
    labels: Annotated[Path, typer.Option(metavar="FILE", exists=True, dir_okay=False, help="Labels, one per line.")],
    column: Annotated[str, typer.Option(metavar="NAME", help="Column to store the labels in.")] = "tag",
    target: results.Target = None,
    min_z: Annotated[float | None, typer.Option(metavar="Z", help="Minimum z of a label (default: 4).")] = None,
    top: Annotated[
        int, typer.Option(min=1, metavar="N", help="Maximum number of labels per file; a list if above 1.")
    ] = 1,
    index: IndexDir = DEFAULT_INDEX,
    model: IndexModel = "auto",
    device: Device = "auto",
    dtype: Dtype = "auto",
    quantization: Quantization = None,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Label all files by their content, as columns to filter by."""
    terminal = terminal_of(ctx, quiet)
    lines = labels.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    at_least: dict[str, Any] = {} if min_z is None else {"min_z": min_z}
    load = ws.LoadOptions(device=device, dtype=dtype, quantization=quantization)
    with (
        ws.open(index, model, load=load, may_download=terminal.may_download) as opened,
        terminal.working("labelling"),
    ):
        done = opened.tag(lines, target=results.target_of(target), column=column, top=top, **at_least)
    if json:
        terminal.lines([to_json(asdict(done))])
    else:
        terminal.rows((label, f"{count:,}") for label, count in done.files.items())
    terminal.message(f"{counted(done.unlabelled, 'file')} without a label")
    return DONE
