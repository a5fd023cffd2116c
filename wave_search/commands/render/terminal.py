"""What a person sees: tables on stdout; progress, warnings and reports on stderr."""

from __future__ import annotations

import errno
import os
import sys
import textwrap
from contextlib import AbstractContextManager, nullcontext
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TextIO

from rich.bar import Bar
from rich.console import Console
from rich.style import Style
from rich.table import Table
from rich.text import Text

from wave_search.commands.render import evaluation
from wave_search.commands.render import text as output
from wave_search.commands.render.progress import IndexProgress, TrainingProgress

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from wave_search.evaluation import Evaluation
    from wave_search.reports import IndexReport, TrainingCallback
    from wave_search.types import Hit, ModelSpec

_FULL_BAR_Z = 5.0
"""A hit this far above the background fills its bar; a better one stretches the scale of its table."""
_BAR_WIDTH = 8
_SKIPPED_SHOWN = 50
_EXCERPT_CHARS = 100


class StdoutClosedError(Exception):
    """Whoever read the results has gone, as `head` does."""


class Terminal:
    """The two streams of one run."""

    def __init__(self, *, quiet: bool = False) -> None:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:  # the value of a stream that a shell has closed
                stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr] # text files on real streams
        self.quiet = quiet
        self._out = plain_console()
        self._err = plain_console(stderr=True)

    @property
    def results_on_terminal(self) -> bool:
        """Whether a person reads stdout."""
        return self._out.is_terminal

    def write(self, data: str | bytes) -> None:
        """Write results to stdout at once.

        Raises:
            StdoutClosedError: nobody reads any more.
            OSError: stdout is closed, or the disk behind it is full.
        """
        if sys.stdout is None:
            raise OSError(errno.EBADF, "it is closed", "stdout")
        try:
            sys.stdout.flush()
            sys.stdout.buffer.write(data if isinstance(data, bytes) else data.encode(_encoding(), "backslashreplace"))
            sys.stdout.buffer.flush()
        except OSError as error:
            _let_go(sys.stdout)
            if isinstance(error, BrokenPipeError):
                raise StdoutClosedError from None
            raise OSError(error.errno, error.strerror, "stdout") from None

    def lines(self, lines: Iterable[str]) -> None:
        """Write results to stdout, one a line."""
        self.write("".join(f"{line}\n" for line in lines))

    def error(self, message: str) -> None:
        """Say what went wrong."""
        self._say("error: ", "bold red", message)

    def warning(self, message: str) -> None:
        """Say what to look at although the run goes on."""
        self._say("warning: ", "bold yellow", message)

    def note(self, message: str) -> None:
        """Say what is good to know, unless told to be quiet."""
        if not self.quiet:
            self._say("note: ", "bold cyan", message)

    def notice(self, model: ModelSpec) -> None:
        """Pass on what a user must be told about the model."""
        if model.notice:
            self.note(model.notice)

    def say(self, message: str) -> None:
        """Report on stderr, unless told to be quiet."""
        if not self.quiet:
            self._say("", "", message)

    def _say(self, label: str, style: str, message: str) -> None:
        try:
            self._err.print(Text.assemble((label, style), message), soft_wrap=True)
        except OSError:  # a full disk; there is no other place to say it
            _let_go(sys.stderr)

    def working(self, what: str) -> AbstractContextManager[Any]:
        """Show on a terminal that something slow goes on."""
        return nullcontext() if self.quiet or not self._err.is_terminal else self._err.status(Text(what))

    def progress(self) -> IndexProgress | nullcontext[None]:
        """Show the progress of a run of `index` on a terminal."""
        return nullcontext() if self.quiet else IndexProgress(self._err)

    def training(self) -> AbstractContextManager[TrainingCallback]:
        """Show the progress of a run of `train` on a terminal."""
        return nullcontext(lambda _: None) if self.quiet else TrainingProgress(self._err)

    def report(self, report: IndexReport) -> None:
        """Report what a run of `index` did, and what it could not do."""
        for sentence in output.report_sentences(report):
            self.say(sentence)
        for folder in report.unreachable:
            name = output.printable(folder)
            self.warning(
                f"{name}: gone or empty, as an unmounted disk is; its files stay in the index. "
                f"If they are gone for good: wave-search remove {name}"
            )
        if report.skipped:
            self.warning(f"skipped {output.counted(len(report.skipped), 'file')}:")
        for skipped in report.skipped[:_SKIPPED_SHOWN]:
            self._say("", "", f"  {output.skipped_line(skipped)}")
        if len(report.skipped) > _SKIPPED_SHOWN:
            self._say("", "", f"  and {len(report.skipped) - _SKIPPED_SHOWN:,} more: --report FILE lists all")

    def hits(self, hits: Sequence[Hit]) -> None:
        """Write hits as a table for a person."""
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in ("#", "match", "z", "score"):
            table.add_column(name, justify="left" if name == "match" else "right", no_wrap=True)
        table.add_column("kind", no_wrap=True)
        table.add_column("time", no_wrap=True)
        table.add_column("file", overflow="fold")
        for name in hits[0].columns:
            table.add_column(output.printable(name), overflow="fold")
        full = max(_FULL_BAR_Z, *(hit.z for hit in hits))
        for hit in hits:
            table.add_row(
                str(hit.rank),
                self._bar(hit.z / full),
                f"{hit.z:.2f}",
                f"{hit.score:.3f}",
                hit.modality.value,
                output.span(hit.start_s, hit.stop_s),
                _linked(hit),
                *(Text(output.cell(value)) for value in hit.columns.values()),
            )
        self._write_table(table)

    def _bar(self, filled: float) -> Bar | str:
        if self._out.encoding.startswith("utf"):
            return Bar(size=1, begin=0, end=max(filled, 0), width=_BAR_WIDTH, color="green")
        return "#" * round(_BAR_WIDTH * max(filled, 0))

    def rows(self, rows: Iterable[tuple[str, ...]]) -> None:
        """Write names and values: aligned for a person, tab-separated for a pipe."""
        if not self.results_on_terminal:
            self.lines("\t".join(row) for row in rows)
            return
        table = Table(box=None, pad_edge=False, show_header=False)
        for row in rows:
            table.add_row(Text(row[0], style="bold"), *(Text(cell) for cell in row[1:]))
        self._write_table(table)

    def evaluation(self, found: Evaluation) -> None:
        """Write the figures of an evaluation: a table for a person, tab-separated for a pipe."""
        rows = list(evaluation.rows(found))
        if not self.results_on_terminal:
            self.lines("\t".join(row) for row in rows)
            return
        for what, group in groupby(rows, key=itemgetter(0)):
            table = Table(box=None, pad_edge=False, header_style="bold", title=what, title_justify="left")
            for name in evaluation.HEADER[1:]:
                table.add_column(name, no_wrap=True)
            for _, *cells in group:
                table.add_row(*cells)
            self._write_table(table)

    def evaluation_report(self, found: Evaluation) -> None:
        """Report how the figures of an evaluation were made, and what could not be used."""
        for sentence in evaluation.sentences(found):
            self.say(sentence)
        faults = list(evaluation.faults(found))
        if faults:
            self.warning(f"{output.counted(len(faults), 'row or file', 'rows and files')} could not be used:")
        for fault in faults[:_SKIPPED_SHOWN]:
            self._say("", "", f"  {fault}")
        if len(faults) > _SKIPPED_SHOWN:
            self._say("", "", f"  and {len(faults) - _SKIPPED_SHOWN:,} more: --json lists all")

    def _write_table(self, table: Table) -> None:
        with self._out.capture() as captured:
            self._out.print(table)
        self.write(captured.get())


def plain_console(*, stderr: bool = False) -> Console:
    """A console that shows names as they are: they are no markup."""
    return Console(stderr=stderr, markup=False, highlight=False, emoji=False)


def _linked(hit: Hit) -> Text:
    """Name a file so that a click opens it; a text shows its words below."""
    path = hit.path
    try:
        shown = path.relative_to(os.getcwd())  # noqa: PTH109 - a name that is only shown
    except (ValueError, OSError):
        shown = path
    linked = Text(output.printable(shown), style=Style(link=path.as_uri()))
    if hit.text:
        excerpt = textwrap.shorten(output.printable(" ".join(hit.text.split())), _EXCERPT_CHARS, placeholder=" ...")
        return Text("\n").join([linked, Text(excerpt, style="dim")])
    return linked


def _let_go(stream: TextIO) -> None:
    # Python flushes its streams once more when it exits, and would complain.
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _encoding() -> str:
    return sys.stdout.encoding or "utf-8"
