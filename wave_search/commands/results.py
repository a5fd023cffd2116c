"""Options that shape results and their output."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from wave_search import types
from wave_search.commands.output import names
from wave_search.commands.usage import FILTER, OUTPUT, RANK

if TYPE_CHECKING:
    from wave_search.query.request import Targets

Target = Annotated[
    list[str] | None,
    typer.Option(
        metavar="LIST",
        help="Modalities to search: text,image,audio,video,av (default: any, all of them); video is the visual track "
        "alone, av both tracks.",
        rich_help_panel=FILTER,
        autocompletion=lambda: list(get_args(types.Target)),
    ),
]
Where = Annotated[
    str | None,
    typer.Option(
        metavar="SQL", help="Filter by a SQL condition: \"kind = 'video' AND duration_s < 60\".", rich_help_panel=FILTER
    ),
]
WhereTimeout = Annotated[
    float,
    typer.Option(
        "--where-timeout", min=0, metavar="SECONDS", help="Time limit of the SQL condition.", rich_help_panel=FILTER
    ),
]
Limit = Annotated[
    int,
    typer.Option("-k", "-n", "--limit", min=1, metavar="N", help="Maximum number of results.", rich_help_panel=FILTER),
]
Paths = Annotated[
    bool, typer.Option("--paths", help="Print only the distinct paths, best first.", rich_help_panel=OUTPUT)
]
JsonLines = Annotated[bool, typer.Option("--json", help="Print JSON Lines.", rich_help_panel=OUTPUT)]
Columns = Annotated[
    str | None,
    typer.Option(metavar="LIST", help="Also show these columns: fps,width,peak_start_s.", rich_help_panel=OUTPUT),
]
Segments = Annotated[
    bool,
    typer.Option(
        "--segments", help="List individual segments instead of merging adjacent ones.", rich_help_panel=OUTPUT
    ),
]
PerFile = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Maximum number of results per file.", rich_help_panel=FILTER)
]
Dedupe = Annotated[
    float | None,
    typer.Option(
        metavar="COSINE", help="Keep only the best of results at least this similar (0.98).", rich_help_panel=FILTER
    ),
]
Copies = Annotated[
    bool,
    typer.Option("--copies", help="List each of several files with the same content.", rich_help_panel=FILTER),
]
Thumbnails = Annotated[
    bool | None,
    typer.Option(
        "--thumbnails/--no-thumbnails",
        help="Show pictures and waveforms in the table (default: where the terminal is known to show pictures).",
        rich_help_panel=OUTPUT,
        show_default=False,
    ),
]
_RANKED: dict[str, Any] = {"min": 1, "metavar": RANK, "rich_help_panel": OUTPUT}
Open = Annotated[
    int | None,
    typer.Option("--open", help="Open a result (default: the best); with mpv, play only its range.", **_RANKED),
]
Reveal = Annotated[
    int | None, typer.Option("--reveal", help="Show a result (default: the best) in the file manager.", **_RANKED)
]
Export = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Write the results to a .csv, .jsonl, .m3u8, .otio, .edl, .fcpxml or .zip (of clips) file.",
        rich_help_panel=OUTPUT,
    ),
]


def target_of(given: Sequence[str] | None) -> "Targets":
    """Return what `--target` names, which may be repeated. Raises UsageError."""
    from wave_search.query import read_target

    wanted = ("any",) if given is None else names(",".join(given))
    return "any" if "any" in wanted else read_target(wanted)
