"""Options that shape the results of a query, and their output: stdout and export files."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wave_search.commands import clips
from wave_search.errors import UsageError
from wave_search.files import write_atomic
from wave_search.render.records import hit_record, to_json
from wave_search.render.text import hit_line
from wave_search.types import Hit

if TYPE_CHECKING:
    from wave_search.index import Index
    from wave_search.render.terminal import Terminal

Where = Annotated[
    str | None,
    typer.Option(metavar="SQL", help="Filter by a SQL condition: \"kind = 'video' AND duration_s < 60\"."),
]
WhereTimeout = Annotated[
    float, typer.Option("--where-timeout", min=0, metavar="SECONDS", help="Time limit of the SQL condition.")
]
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


def names(columns: str | None) -> tuple[str, ...]:
    """Split a comma-separated list of column names."""
    return tuple(name for name in (part.strip() for part in (columns or "").split(",")) if name)


def columns_for(export: Path | None) -> tuple[str, ...]:
    """Return the columns that an export format needs.

    Raises:
        UsageError: there is no such format.
    """
    from wave_search.render.export import format_of

    return () if export is None or export.suffix.lower() == clips.SUFFIX else format_of(export).columns


def write(export: Path, hits: Sequence[Hit], index: "Index") -> None:
    """Write hits of an index to a file in the format of its suffix.

    Raises:
        OSError: it cannot be written.
        WaveSearchError: the format needs a package that is missing.
    """
    from wave_search.render.export import NAME, excerpt_of, format_of

    if export.suffix.lower() == clips.SUFFIX:
        clips.write_clips(export, hits, index)
        return
    write_atomic(export, format_of(export).write([excerpt_of(hit) for hit in hits], NAME))


def check_output(*, json: bool, paths: bool) -> None:
    """Check that one form of output is chosen. Raises UsageError."""
    if json and paths:
        raise UsageError("--json and --paths cannot be combined")


def only(hit: Hit, columns: Iterable[str]) -> Hit:
    """Return the hit with only the given columns."""
    return replace(hit, columns={name: hit.columns[name] for name in columns})


def show(terminal: "Terminal", hits: Sequence[Hit], *, json: bool, paths: bool) -> None:
    """Write hits to stdout."""
    if paths:
        terminal.paths(dict.fromkeys(hit.path for hit in hits))
    elif json:
        terminal.lines(to_json(hit_record(hit)) for hit in hits)
    elif terminal.results_on_terminal:
        terminal.hits(hits)
    else:
        terminal.lines(hit_line(hit) for hit in hits)
