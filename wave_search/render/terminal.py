"""Terminal output: results on stdout; progress, warnings and reports on stderr.

Names, texts and messages may come from anyone. They are escaped where they are written, whoever made them, so that none
controls the terminal.
"""

from __future__ import annotations

import errno
import os
import re
import shlex
import sys
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from itertools import groupby, islice
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

from wave_search.render.text import counted, fitting_paths, printable, report_sentences, skipped_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from rich.console import Console, RenderableType

    from wave_search.comparison import Comparison
    from wave_search.evaluation import Evaluation
    from wave_search.models import ModelSpec
    from wave_search.render.progress import IndexProgress, LoggedProgress
    from wave_search.reports import IndexReport, TrainingCallback
    from wave_search.types import Hit, ListedFile

_ITEMS_SHOWN = 50
_SAY_WHAT_A_TERMINAL_IS = ("FORCE_COLOR", "TTY_COMPATIBLE")
"""Variables by which users tell rich whether a stream is a terminal."""
_BATCH = 500
"""Lines and rows that are written at once."""
_SUGGESTED = re.compile(
    r"`(?P<command>wave-search (?!(?:ask|eval|models|train)\b)[a-z](?![^`]* --(?:help|index)\b)[^`]*)`"
)
"""A command of an index that does not name it."""
Item = TypeVar("Item")


class StdoutClosedError(Exception):
    """The reader of stdout has closed the pipe, as `head` does."""


class Terminal:
    """The output streams of one command.

    Whatever is written elsewhere than to a terminal does without rich, whose import takes longer than a search.

    Args:
        quiet: print only warnings and errors.
        index: the index of the command, if commands need to be told: those that messages suggest name it.
    """

    def __init__(self, *, quiet: bool = False, index: Path | None = None) -> None:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:  # None if the shell has closed the stream
                stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr] # text files on real streams
        self.quiet = quiet
        self._option = "" if index is None else f" --index {shlex.quote(os.fspath(index))}"
        self._live: AbstractContextManager[Any] = nullcontext()

    @cached_property
    def _out(self) -> Console:
        return plain_console()

    @cached_property
    def _err(self) -> Console:
        return plain_console(stderr=True)

    @cached_property
    def results_on_terminal(self) -> bool:
        """Whether stdout is a terminal."""
        return _may_be_terminal(sys.stdout) and self._out.is_terminal

    @cached_property
    def _messages_on_terminal(self) -> bool:
        return _may_be_terminal(sys.stderr) and self._err.is_terminal

    def write(self, data: str | bytes) -> None:
        """Write results to stdout and flush.

        Raises:
            StdoutClosedError: the reader has closed the pipe.
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
        """Write lines of results to stdout, a batch at a time. Only tabs, between fields, are left unescaped."""
        for batch in _batched(lines):
            self.write("".join("\t".join(map(printable, line.split("\t"))) + "\n" for line in batch))

    def paths(self, paths: Iterable[Path]) -> None:
        """Write paths to stdout: escaped on a terminal, otherwise as lines of bytes, without those that do not fit."""
        if self.results_on_terminal:
            self.lines(map(printable, paths))
            return
        for batch in _batched(paths):
            fit, unfit = fitting_paths(batch)
            for path in unfit:
                self.warning(f"{path}: omitted because its name contains a newline; use --json")
            self.write(b"".join(path + b"\n" for path in fit))

    def error(self, message: str) -> None:
        """Print an error to stderr."""
        self._print("error: ", "bold red", message)

    def warning(self, message: str, items: Sequence[str] = (), *, rest: str = "") -> None:
        """Print a warning to stderr, and what it is about as indented lines; `rest` is where to find all of many."""
        self._print("warning: ", "bold yellow", message)
        for item in items[:_ITEMS_SHOWN]:
            self._print("", "", f"  {item}")
        if len(items) > _ITEMS_SHOWN:
            self._print("", "", f"  and {len(items) - _ITEMS_SHOWN:,} more: {rest}")

    def note(self, message: str) -> None:
        """Print a note to stderr, unless quiet."""
        if not self.quiet:
            self._print("note: ", "bold cyan", message)

    def notice(self, model: ModelSpec) -> None:
        """Print the notice of the model, if it has one."""
        if model.notice:
            self.note(model.notice)

    def message(self, message: str) -> None:
        """Print a message to stderr, unless quiet."""
        if not self.quiet:
            self._print("", "", message)

    def traceback(self, text: str) -> None:
        """Print a traceback to stderr."""
        for line in text.split("\n"):
            self._print("", "", line)

    def completed(self, message: str) -> str:
        """Return a message whose suggested commands, in backticks, name the index of this command."""
        return _SUGGESTED.sub(lambda found: f"`{found['command']}{self._option}`", message)

    def _print(self, label: str, style: str, message: str) -> None:
        message = self.completed(message)
        try:
            if not self._messages_on_terminal:
                sys.stderr.write(f"{label}{printable(message)}\n")
                sys.stderr.flush()
                return
            from rich.text import Text

            self._err.print(Text.assemble((label, style), printable(message)), soft_wrap=True)
        except OSError:  # a full disk: there is no other place to report it
            _let_go(sys.stderr)

    def working(self, what: str) -> AbstractContextManager[Any]:
        """Show a spinner on a terminal during slow work."""
        if not self.quiet and self._messages_on_terminal:
            from rich.text import Text

            self._live = self._err.status(Text(what))
        return self._live

    def progress(self) -> IndexProgress | LoggedProgress | nullcontext[None]:
        """Show the progress of a run of `index`: bars on a terminal, otherwise a line a minute."""
        from wave_search.render.progress import IndexProgress, LoggedProgress

        if self.quiet:
            return nullcontext()
        if not self._messages_on_terminal:
            return LoggedProgress(self.message)
        self._live = progress = IndexProgress(self._err)
        return progress

    def may_download(self, model: str) -> bool:
        """Ask whether to download the model of an index. Without a terminal nobody is asked, and it is not."""
        if sys.stdin is None or not sys.stdin.isatty() or not self._messages_on_terminal:
            return False
        from rich.text import Text

        self._live.__exit__(None, None, None)  # it would overwrite the question
        question = f"The index needs the model {printable(model)}, which is not on this machine. Download it? [y/N] "
        self._err.print(Text(question), end="", soft_wrap=True)
        agreed = sys.stdin.readline().strip().casefold() in ("y", "yes")
        self._live.__enter__()
        return agreed

    def downloading(self, name: str) -> AbstractContextManager[Callable[[int, int], None]]:
        """Show the progress of a download: a bar on a terminal, otherwise a line a minute."""
        from wave_search.render.progress import DownloadProgress

        return (
            nullcontext(lambda _done, _total: None) if self.quiet else DownloadProgress(self._err, name, self.message)
        )

    def training(self) -> AbstractContextManager[TrainingCallback]:
        """Show the progress of a run of `train` on a terminal."""
        from wave_search.render.progress import TrainingProgress

        return nullcontext(lambda _: None) if self.quiet else TrainingProgress(self._err)

    def report(self, report: IndexReport, *, strict: bool = False) -> None:
        """Print the report of a run of `index`, with the files that earlier runs skipped if `strict`."""
        for sentence in report_sentences(report):
            self.message(sentence)
        for folder in report.unreachable:
            self.warning(
                f"{folder}: missing or empty, possibly an unmounted disk; its files stay in the index. "
                f"If they were deleted, run `wave-search remove {shlex.quote(os.fspath(folder))}`"
            )
        listed = [skipped for skipped in report.skipped if strict or not skipped.known]
        if known := len(report.skipped) - len(listed):
            skipped_before = f"{counted(known, 'file')} skipped or damaged in earlier runs"
            self.message(f"{skipped_before}: see `wave-search list --skipped`")
        if listed:
            lines = [*map(skipped_line, listed)]
            self.warning(f"skipped {counted(len(listed), 'file')}:", lines, rest="--report FILE lists all")

    @property
    def shows_pictures(self) -> bool:
        """Whether results go to a terminal that is known to show pictures, and there is the package that draws them."""
        if not self.results_on_terminal:
            return False
        from wave_search.render.pictures import is_installed, may_show_pictures

        return may_show_pictures(os.environ) and is_installed()

    def hits(self, hits: Sequence[Hit], pictures: Mapping[int, RenderableType] | None = None) -> None:
        """Write hits as a table, with a picture below those that have one, by rank."""
        from wave_search.render.tables import hit_table

        self._write_table(hit_table(hits, self._out, pictures or {}))

    def files(self, files: Iterable[ListedFile]) -> None:
        """Write listed files as a table, a batch at a time."""
        from wave_search.render.tables import listed_table

        for number, batch in enumerate(_batched(files)):
            self._write_table(listed_table(batch, with_header=number == 0))

    def rows(self, rows: Iterable[tuple[str, ...]]) -> None:
        """Write names and values: aligned on a terminal, tab-separated otherwise."""
        cells = [tuple(map(printable, row)) for row in rows]
        if not cells or not self.results_on_terminal:
            self.lines("\t".join(row) for row in cells)
            return
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, show_header=False)
        for _ in cells[0]:
            table.add_column(overflow="fold")
        for row in cells:
            table.add_row(Text(row[0], style="bold"), *map(Text, row[1:]))
        self._write_table(table)

    def evaluation(self, found: Evaluation) -> None:
        """Write the figures of an evaluation: tables on a terminal, tab-separated otherwise."""
        from wave_search.render import evaluation

        rows = [tuple(map(printable, row)) for row in evaluation.rows(found)]
        if not self.results_on_terminal:
            self.lines("\t".join(row) for row in rows)
            return
        from rich.table import Table

        for what, group in groupby(rows, key=itemgetter(0)):
            table = Table(box=None, pad_edge=False, header_style="bold", title=what, title_justify="left")
            for name in evaluation.HEADER[1:]:
                table.add_column(name, no_wrap=True)
            for _, *cells in group:
                table.add_row(*cells)
            self._write_table(table)

    def comparison(self, compared: Comparison) -> None:
        """Write what two indexes find for each query: a line a query, and the mean."""
        rows: list[tuple[str, ...]] = []
        for one in compared.queries:
            only = (", ".join(path.name for path in paths[:3]) for paths in (one.only_first, one.only_second))
            rows.append((f"{one.overlap:.2f}", one.text, *only))
        self.rows(rows)
        mean, (ours, theirs) = compared.overlap, compared.models
        value = f"{mean.value:.2f} (95 %: {mean.low:.2f} to {mean.high:.2f})"
        self.message(f"{mean.name} of {ours} and {theirs}: {value}, {counted(len(rows), 'query', 'queries')}")

    def evaluation_report(self, found: Evaluation) -> None:
        """Print how the figures of an evaluation were obtained, and what could not be used."""
        from wave_search.render import evaluation

        for sentence in evaluation.sentences(found):
            self.message(sentence)
        faults = list(evaluation.faults(found))
        if faults:
            unused = counted(len(faults), "row or file", "rows and files")
            self.warning(f"{unused} could not be used:", faults, rest="--json lists all")

    def _write_table(self, table: RenderableType) -> None:
        with self._out.capture() as captured:
            self._out.print(table)
        self.write(captured.get())


def plain_console(*, stderr: bool = False) -> Console:
    """Return a console that prints text literally, without markup or highlighting."""
    from rich.console import Console

    return Console(stderr=stderr, markup=False, highlight=False, emoji=False)


def _batched(items: Iterable[Item]) -> Iterator[list[Item]]:
    iterator = iter(items)
    while batch := list(islice(iterator, _BATCH)):
        yield batch


def _may_be_terminal(stream: TextIO | None) -> bool:
    """Return whether rich may take a stream for a terminal."""
    return any(name in os.environ for name in _SAY_WHAT_A_TERMINAL_IS) or (stream is not None and stream.isatty())


def _let_go(stream: TextIO) -> None:
    # Python flushes its streams again when it exits, which would raise.
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _encoding() -> str:
    return sys.stdout.encoding or "utf-8"
