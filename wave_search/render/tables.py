"""Tables of hits and of listed files that can be read at any width of the terminal.

From 100 columns on, a row is one line. On narrower terminals, and where further columns leave no room, the path has a
line of its own below the figures, and the further columns follow it. A path that does not fit is shortened in the
middle, so that the name of the file stays.
"""

from __future__ import annotations

import os
import textwrap
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from rich.bar import Bar
from rich.cells import cell_len
from rich.padding import Padding
from rich.segment import Segment
from rich.style import Style
from rich.table import Table
from rich.text import Text

from wave_search.render.text import bytes_text, cell, matched_text, printable, reason, span, status, time_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from rich.console import Console, ConsoleOptions, JustifyMethod, RenderableType, RenderResult

    from wave_search.types import Hit, ListedFile

_WIDE = 100
"""Terminals from this width on show a row on one line, if it fits."""
_MIN_PATH = 40
"""Columns of the terminal that a path needs in such a line."""
_GAP = 2
"""Spaces between columns, and in front of lines below a row."""
_FULL_BAR_Z = 5.0
"""The z at which the bar of a hit is full. A higher z in the table extends the scale."""
_BAR_WIDTH = 8
_UNLIMITED = 10_000
"""Columns of a terminal, to measure what a table takes."""
_EXCERPT_CHARS = 100
_NAME_SHARE = 0.75
"""Of a shortened path, the most that the name of the file takes; less for a short name, but at least half."""


@dataclass(frozen=True, slots=True)
class _Column:
    name: str
    justify: JustifyMethod = "left"
    min_width: int | None = None
    """So that the batches of a long list have the same columns."""
    can_go: bool = False
    """Whether it is left out where the terminal is too narrow for all columns."""


@dataclass(frozen=True, slots=True)
class _Row:
    figures: tuple[RenderableType, ...]
    path: Path
    mark: str
    """Shown behind the path."""
    is_gone: bool
    """Whether the path is no link."""
    note: str
    """Shown below the path."""
    columns: tuple[str, ...]
    """Values of the further columns."""
    picture: RenderableType | None = None
    """Shown below all else."""


_OF_HITS = (
    _Column("#", "right"),
    _Column("match", can_go=True),
    _Column("z", "right"),
    _Column("score", "right", can_go=True),
    _Column("modality"),
    _Column("time"),
)
_OF_FILES = (
    _Column("status", min_width=7),
    _Column("kind", min_width=5),
    _Column("duration", "right", min_width=9),
    _Column("size", "right", min_width=10),
)


def hit_table(
    hits: Sequence[Hit], console: Console, pictures: Mapping[int, RenderableType] = MappingProxyType({})
) -> FittedTable:
    """Return hits as a table for a console, with a picture below those that have one, by rank."""
    full = max(_FULL_BAR_Z, *(hit.z for hit in hits))
    is_unicode = console.encoding.startswith("utf")
    rows = [
        _Row(
            (
                str(hit.rank),
                _bar(hit.z / full, is_unicode=is_unicode),
                f"{hit.z:.2f}",
                f"{hit.score:.3f}",
                matched_text(hit),
                span(hit.start_s, hit.stop_s),
            ),
            hit.path,
            _mark(hit),
            hit.gone,
            textwrap.shorten(printable(" ".join((hit.text or "").split())), _EXCERPT_CHARS, placeholder=" ..."),
            tuple(map(cell, hit.columns.values())),
            pictures.get(hit.rank),
        )
        for hit in hits
    ]
    return FittedTable(_OF_HITS, rows, list(hits[0].columns))


def _mark(hit: Hit) -> str:
    copies = [f"{hit.copies} copies"] if hit.copies > 1 else []
    return f"({', '.join(['gone'] * hit.gone + copies)})" if hit.gone or copies else ""


def _bar(filled: float, *, is_unicode: bool) -> Bar | str:
    if is_unicode:
        return Bar(size=1, begin=0, end=max(filled, 0), width=_BAR_WIDTH, color="green")
    return "#" * round(_BAR_WIDTH * max(filled, 0))


def listed_table(files: Sequence[ListedFile], *, with_header: bool) -> FittedTable:
    """Return listed files as a table; a long list is several tables, of which only the first has a header."""
    rows = [
        _Row(
            (
                Text(status(file), style="" if status(file) == "indexed" else "yellow"),
                printable(file.kind or "-"),
                time_text(file.duration_s),
                bytes_text(file.size_bytes),
            ),
            file.path,
            "",
            file.gone,
            reason(file),
            tuple(map(cell, file.columns.values())),
        )
        for file in files
    ]
    return FittedTable(_OF_FILES, rows, list(files[0].columns), with_header=with_header)


class FittedTable:
    """A table with a path in each row, as a renderable of rich.

    Args:
        figures: the short columns in front of the path.
        rows: at least one.
        names: of the further columns.
        with_header: whether the first line has the names of the columns.
    """

    def __init__(
        self, figures: Sequence[_Column], rows: Sequence[_Row], names: Sequence[str], *, with_header: bool = True
    ) -> None:
        self._figures = figures
        self._rows = rows
        self._names = [printable(name) for name in names]
        self._with_header = with_header

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render the table at the width of the console."""
        table, kept = self._fitting(console, options)
        further = (max(map(cell_len, values)) for values in zip(self._names, *(row.columns for row in self._rows)))  # noqa: B905 - no names, no columns
        taken = console.measure(table, options=options).maximum + sum(_GAP + width for width in further)
        room = options.max_width - taken - _GAP
        longest = max(cell_len(self._label(row)) for row in self._rows)
        is_plain = all(row.picture is None for row in self._rows)
        if is_plain and options.max_width >= _WIDE and room >= min(longest, _MIN_PATH):
            yield self._on_one_line(kept, room, options)
            return
        lines = iter(console.render_lines(table, options, pad=False))
        if self._with_header:
            yield from next(lines)
            yield Segment.line()
        for line, row in zip(lines, self._rows, strict=True):
            yield from line
            yield Segment.line()
            for below in self._below(row, options):
                yield Padding(below, (0, 0, 0, _GAP), expand=False)
            if isinstance(row.picture, Text):
                yield Padding(row.picture, (0, 0, 0, _GAP), expand=False)
            elif row.picture is not None:  # not indented: its own control codes place it
                yield row.picture

    def _fitting(self, console: Console, options: ConsoleOptions) -> tuple[Table, Sequence[int]]:
        """Return a table of the figures, and which of them it has: as many as the width allows."""
        kept = [*range(len(self._figures))]
        gone = (number for number in kept.copy() if self._figures[number].can_go)
        while True:
            table = self._table(kept)
            for row in self._rows:
                table.add_row(*(row.figures[number] for number in kept))
            unlimited = options.update(width=_UNLIMITED)
            if console.measure(table, options=unlimited).maximum <= options.max_width:
                return table, kept
            if (number := next(gone, None)) is None:
                return table, kept
            kept.remove(number)

    def _table(self, kept: Sequence[int]) -> Table:
        table = Table(box=None, pad_edge=False, header_style="bold", show_header=self._with_header)
        for column in (self._figures[number] for number in kept):
            table.add_column(column.name, justify=column.justify, min_width=column.min_width, no_wrap=True)
        return table

    def _on_one_line(self, kept: Sequence[int], room: int, options: ConsoleOptions) -> Table:
        table = self._table(kept)
        table.add_column("file", overflow="fold")
        for name in self._names:
            table.add_column(name, no_wrap=True)
        for row in self._rows:
            path = self._path(row, room, options)
            shown = Text("\n").join([path, Text(row.note, style="dim")]) if row.note else path
            table.add_row(*(row.figures[number] for number in kept), shown, *map(Text, row.columns))
        return table

    def _below(self, row: _Row, options: ConsoleOptions) -> Iterable[Text]:
        yield self._path(row, options.max_width - _GAP, options)
        if row.note:
            yield Text(row.note, style="dim")
        if row.columns:
            pairs = zip(self._names, row.columns, strict=True)
            yield Text(", ").join(Text.assemble((f"{name}: ", "dim"), value) for name, value in pairs)

    def _label(self, row: _Row) -> str:
        return f"{_shown(row.path)} {row.mark}".rstrip()

    def _path(self, row: _Row, room: int, options: ConsoleOptions) -> Text:
        link = Style(link=row.path.as_uri() if row.path.is_absolute() and not row.is_gone else None)
        path = shortened(_shown(row.path), room - (cell_len(row.mark) + 1 if row.mark else 0), options.encoding)
        return Text.assemble((path, link), " " if row.mark else "", (row.mark, "yellow"), no_wrap=True)


def _shown(path: Path) -> str:
    """Return a path relative to the current folder, if it is below it."""
    try:
        return printable(path.relative_to(os.getcwd()))  # noqa: PTH109 - a name that is only shown
    except (ValueError, OSError):
        return printable(path)


def shortened(path: str, width: int, encoding: str = "utf-8") -> str:
    """Shorten a path in the middle to some columns of a terminal. The end of its name stays, and all of it if it fits.

    Args:
        path: the path, without control characters.
        width: number of columns; wide characters, as of Chinese, take two.
        encoding: of the terminal.
    """
    if cell_len(path) <= width:
        return path
    dots = "…" if encoding.startswith("utf") else "..."
    room = max(0, width - cell_len(dots))
    name = cell_len(path[path.rfind("/") :])
    tail = _fitting(path[::-1], max(room // 2, min(name, int(room * _NAME_SHARE))))[::-1]
    return f"{_fitting(path, room - cell_len(tail))}{dots}{tail}"


def _fitting(text: str, width: int) -> str:
    """Return the beginning of a text that fits into some columns."""
    used = 0
    for position, char in enumerate(text):
        used += cell_len(char)
        if used > width:
            return text[:position]
    return text
