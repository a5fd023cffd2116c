"""Options that shape results and their output."""

from pathlib import Path
from typing import Annotated

import typer

Where = Annotated[
    str | None,
    typer.Option(metavar="SQL", help="Filter by a SQL condition: \"kind = 'video' AND duration_s < 60\"."),
]
WhereTimeout = Annotated[
    float, typer.Option("--where-timeout", min=0, metavar="SECONDS", help="Time limit of the SQL condition.")
]
Limit = Annotated[int, typer.Option("-k", "-n", "--limit", min=1, metavar="N", help="Maximum number of results.")]
Paths = Annotated[bool, typer.Option("--paths", help="Print only the distinct paths, best first.")]
Columns = Annotated[str | None, typer.Option(metavar="LIST", help="Also show these columns: fps,width,peak_start_s.")]
Segments = Annotated[
    bool, typer.Option("--segments", help="List individual segments instead of merging adjacent ones.")
]
PerFile = Annotated[int | None, typer.Option(min=1, metavar="N", help="Maximum number of results per file.")]
Dedupe = Annotated[
    float | None,
    typer.Option(metavar="COSINE", help="Keep only the best of results at least this similar (0.98)."),
]
Open = Annotated[bool, typer.Option("--open", help="Open the best result; with mpv, play only its range.")]
Reveal = Annotated[bool, typer.Option("--reveal", help="Show the best result in the file manager.")]
Export = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Write the results to a .csv, .jsonl, .m3u8, .otio, .edl, .fcpxml or .zip (of clips) file."
    ),
]
