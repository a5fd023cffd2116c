"""The results of a query on their way to the user: stdout, export files, programs. Imported without typer.

What an answer needs is imported when it is needed, since the command is often done within a tenth of a second.
"""

from __future__ import annotations

import shlex
from collections import Counter
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

from wave_search.commands import last_hits
from wave_search.commands.exit_codes import DONE, NO_RESULT
from wave_search.errors import UsageError
from wave_search.files import is_gone, write_atomic
from wave_search.render.records import hit_record, listed_record, to_json
from wave_search.render.text import hit_line, listed_line, listed_sentence, skipped_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from wave_search.index import Index
    from wave_search.render.terminal import Terminal
    from wave_search.reports import Skipped
    from wave_search.types import Hit, ListedFile

CLIPS_SUFFIX = ".zip"


@dataclass(frozen=True, slots=True)
class Output:
    """How the results of a query are shown."""

    json: bool
    paths: bool
    columns: tuple[str, ...]
    export: str | None
    """Name of a file."""
    open: int | None
    """The rank of a result."""
    reveal: int | None
    """The rank of a result."""
    thumbnails: bool | None
    """None: where the terminal is known to show pictures."""
    limit: int
    min_z: float | None
    is_filtered: bool


@dataclass(frozen=True, slots=True)
class Found:
    """What a query has found."""

    hits: Sequence[Hit]
    lost: Sequence[Skipped]
    """Files that could not be embedded again, and those that are gone and would otherwise be among the hits."""
    created: str
    """When the index was created."""
    coverage: float | None
    """Share of the segments that are indexed with the instruction, from 0 to 1; None without an instruction."""


def keep(terminal: Terminal, found: Found, index: Path) -> None:
    """Keep hits for `--like`."""
    kept = last_hits.keep_hits(index, found.created, [hit.segment_id for hit in found.hits])
    if not kept and last_hits.kept_hits(index, found.created) is not None:
        file = last_hits.hits_file(index)
        terminal.warning(f"--like will refer to an earlier query: {file} cannot be written")


def show_found(terminal: Terminal, output: Output, found: Found) -> int:
    """Show hits as asked; return the exit code.

    Raises:
        OSError: they cannot be written.
        WaveSearchError: the best hit cannot be opened.
    """
    if found.coverage is not None and 0 < found.coverage < 1:
        terminal.warning(f"only {found.coverage:.0%} is indexed with this instruction, and only that was searched")
    gone = [file.path for file in found.lost if is_gone(file.path)]
    for file in found.lost:
        if file.path not in gone:
            terminal.warning(f"moved to the end: {skipped_line(file)}")
    if not found.hits:
        filtered = " for this filter" if output.is_filtered else ""
        if output.min_z is None:
            terminal.message(f"no results{filtered}")
        else:
            terminal.message(f"no results{filtered} with z >= {output.min_z:g}")
        return NO_RESULT
    shown = [only(hit, output.columns) for hit in found.hits]
    show_hits(terminal, shown, json=output.json, paths=output.paths, thumbnails=output.thumbnails)
    listed = {hit.path for hit in found.hits}
    behind = [path for path in gone if path not in listed]
    _hint_at_gone(terminal, [hit.path for hit in found.hits if hit.gone], behind)
    if output.open or output.reveal:
        from wave_search import desktop

        if output.open:
            hit = _ranked(found.hits, output.open)
            desktop.play(hit.path, hit.start_s, hit.stop_s)
        if output.reveal:
            desktop.reveal(_ranked(found.hits, output.reveal).path)
    return DONE


def _ranked(hits: Sequence[Hit], rank: int) -> Hit:
    if rank > len(hits):
        raise UsageError(f"there is no result {rank}, only {len(hits)}", "Use a lower rank, or a higher --limit.")
    hit = hits[rank - 1]
    if hit.gone:
        raise UsageError(f"result {rank} is gone: {hit.path}", "If it was moved, see `wave-search relocate --help`.")
    return hit


def _hint_at_gone(terminal: Terminal, last: Sequence[Path], behind: Sequence[Path]) -> None:
    """Say what to do about files that were moved or deleted since they were indexed.

    Args:
        terminal: to write to.
        last: those of the last results.
        behind: those that would be of results if they were there.
    """
    gone = [*dict.fromkeys((*last, *behind))]
    if not gone:
        return
    missing = gone[0]
    while is_gone(missing.parent):
        missing = missing.parent
    files = "1 matching file is" if len(gone) == 1 else f"{len(gone):,} matching files are"
    place = "" if not behind else " (raise the limit for it)" if len(gone) == 1 else " (raise the limit for all)"
    old = shlex.quote(str(missing))
    terminal.note(
        f"{files} gone{place}. If {missing} was moved, run `wave-search relocate {old} NEW`; "
        f"if it was deleted, `wave-search remove {old}`"
    )


def names(columns: str | None) -> tuple[str, ...]:
    """Split a comma-separated list of column names."""
    return tuple(name for name in (part.strip() for part in (columns or "").split(",")) if name)


def columns_for(export: Path | None) -> tuple[str, ...]:
    """Return the columns that an export format needs.

    Raises:
        UsageError: there is no such format.
    """
    if export is None or is_of_clips(export):
        return ()
    from wave_search.render.export import format_of

    return format_of(export).columns


def is_of_clips(export: Path) -> bool:
    """Return whether an export contains clips, which are cut from the files of the index."""
    return export.suffix.lower() == CLIPS_SUFFIX


def write(export: Path, hits: Sequence[Hit], index: Index | None) -> None:
    """Write hits of an index to a file in the format of its suffix.

    Args:
        export: the file.
        hits: hits of the index.
        index: is needed for clips only.

    Raises:
        OSError: it cannot be written.
        WaveSearchError: the format needs a package that is missing.
    """
    if index is not None and is_of_clips(export):
        from wave_search.commands.clips import write_clips

        write_clips(export, hits, index)
        return
    from wave_search.render.export import NAME, excerpt_of, format_of

    write_atomic(export, format_of(export).write([excerpt_of(hit) for hit in hits], NAME))


def check_output(*, json: bool, paths: bool) -> None:
    """Check that one form of output is chosen. Raises UsageError."""
    if json and paths:
        raise UsageError("--json and --paths cannot be combined")


def only(hit: Hit, columns: Iterable[str]) -> Hit:
    """Return the hit with only the given columns."""
    return replace(hit, columns={name: hit.columns[name] for name in columns})


def show_hits(
    terminal: Terminal, hits: Sequence[Hit], *, json: bool, paths: bool, thumbnails: bool | None = None
) -> None:
    """Write hits to stdout. Raises UsageError if thumbnails are wanted and cannot be drawn."""
    if paths:
        terminal.paths(dict.fromkeys(hit.path for hit in hits))
    elif json:
        terminal.lines(to_json(hit_record(hit)) for hit in hits)
    elif terminal.results_on_terminal:
        drawn = None
        if terminal.shows_pictures if thumbnails is None else thumbnails:
            from wave_search.commands.thumbnails import draw

            with terminal.working("drawing"):
                drawn = draw(hits)
        terminal.hits(hits, drawn)
    else:
        terminal.lines(hit_line(hit) for hit in hits)


def show_files(terminal: Terminal, files: Iterator[ListedFile], limit: int | None, *, json: bool, paths: bool) -> int:
    """Write the first `limit` files to stdout, and their numbers to stderr; return the exit code."""
    counts: Counter[str] = Counter()
    shown = _counted(islice(files, limit), counts)
    if paths:
        terminal.paths(file.path for file in shown)
    elif json:
        terminal.lines(to_json(listed_record(file)) for file in shown)
    elif terminal.results_on_terminal:
        terminal.files(shown)
    else:
        terminal.lines(map(listed_line, shown))
    if not counts:
        terminal.message("no files")
        return NO_RESULT
    more = "; there are more: raise the limit" if limit is not None and next(files, None) is not None else ""
    terminal.message(listed_sentence(counts) + more)
    return DONE


def _counted(files: Iterator[ListedFile], counts: Counter[str]) -> Iterator[ListedFile]:
    for file in files:
        counts[file.status] += 1
        counts["gone"] += file.gone
        yield file
