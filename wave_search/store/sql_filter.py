"""Files and segments as one table that SQL conditions filter, see `sql_worker`."""

from __future__ import annotations

import os
import signal
import sys
import weakref
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from wave_search.errors import UsageError, WaveSearchError
from wave_search.files import composed_text
from wave_search.processes import start_python
from wave_search.store import schema, sql_worker
from wave_search.store.file_columns import BUILT_IN, OF_SEGMENTS, unknown_column
from wave_search.system import was_ended_after

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Sequence
    from multiprocessing.connection import Connection

    from numpy.typing import NDArray

    from wave_search.store.file_columns import FileColumns
    from wave_search.store.file_table import FileTable

DEFAULT_TIMEOUT_S = 30.0
_MEMORY_BYTES = 2 << 30
"""Limit of what the process that evaluates conditions may allocate."""
SQL_COLUMNS = ("segment_id", "content_id", *OF_SEGMENTS)
"""Columns that are read for conditions. Any other one would be taken for a user's own column of its name."""
_KEPT_SELECTIONS = 16
_SHOWN_CHARS = 500
_EXAMPLE = "Write one SQL condition, for example: kind = 'video' AND duration_s < 60."


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """The segments and files that satisfy a condition."""

    segment_ids: NDArray[np.int64]
    """(m,) ascending and distinct."""
    files: FileTable
    """All files."""
    numbers: NDArray[np.int64] | None = None
    """(f,) positions in `files` of those that are selected; None if all are that have such a segment."""
    pairs: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None
    """(n,) ids of segments, ascending, each with the position of a file with which it is selected; None if a segment is
    with each of the selected files that have it."""

    def holds(self, segment_id: int, path: bytes) -> bool:
        """Return whether a segment of a file is selected. Of several files with the same content, only some may be."""
        ids, numbers = (self.segment_ids, self.numbers) if self.pairs is None else self.pairs
        low, high = np.searchsorted(ids, (segment_id, segment_id + 1))
        if self.pairs is not None and numbers is not None:
            numbers = numbers[low:high]
        return bool(low < high) and (numbers is None or self.files.position(path) in numbers)


class SqlFilter:
    """All files and segments of one version, for SQL. Safe to use from several threads.

    Args:
        files: all files, also those that are skipped.
        columns: of these files.
        segments: an Arrow table with `SQL_COLUMNS`, ids ascending.

    Attributes:
        names: the columns.
    """

    def __init__(self, files: FileTable, columns: FileColumns, segments: Any) -> None:
        self._table, self._columns, self._segments = files, columns, segments
        self._segment_ids, self._content_ids = (schema.ids(segments, name) for name in ("segment_id", "content_id"))
        self.names = (*BUILT_IN, *(name for name in columns.names if name not in BUILT_IN))
        self._process: _Process | None = None
        self._kept: dict[str, Selection] = {}
        self._lock = Lock()

    def select(self, where: str, timeout_s: float = DEFAULT_TIMEOUT_S) -> Selection:
        """Find the segments for which a condition holds. The last few results are kept.

        Names and texts are compared with their letters composed (NFC).

        Args:
            where: the condition.
            timeout_s: seconds that this may take.

        Raises:
            UsageError: it is not a condition, names an unknown column, or takes too much time or memory.
            WaveSearchError: the process that evaluates conditions cannot be started.
        """
        where = composed_text(where)
        with self._lock:
            found = self._kept.pop(where, None) or self._selected(where, timeout_s)
            self._kept[where] = found
            if len(self._kept) > _KEPT_SELECTIONS:
                del self._kept[next(iter(self._kept))]
            return found

    def _selected(self, where: str, timeout_s: float) -> Selection:
        found = self._evaluate("segments", where, timeout_s)
        numbers, ids = found.get("file_number"), found.get("segment_id")
        if numbers is None:
            return Selection(np.sort(found["segment_id"]), self._table)
        if ids is None:
            of_files = np.isin(self._content_ids, self._table.content_ids[numbers])
            return Selection(self._segment_ids[of_files], self._table, numbers)
        order = np.argsort(ids, kind="stable")
        return Selection(np.unique(ids), self._table, pairs=(ids[order], numbers[order]))

    def select_files(self, where: str, timeout_s: float = DEFAULT_TIMEOUT_S) -> NDArray[np.int64]:
        """Find the files for which a condition holds: for one of its segments, or for a file without any.

        Args:
            where: the condition. A file without segments has no value in their columns, and a file that is skipped has
                none in those of contents either.
            timeout_s: seconds that this may take.

        Returns:
            (n,) positions in the table of files.

        Raises:
            UsageError: as for `select`, like WaveSearchError.
        """
        where = composed_text(where)
        with self._lock:
            return np.unique(self._evaluate("files", where, timeout_s)["file_number"])

    def _evaluate(self, kind: sql_worker.Kind, where: str, timeout_s: float) -> dict[str, NDArray[np.int64]]:
        """Return the numbers of the segments or files, or pairs of them, for which a condition holds."""
        if self._process is not None and not self._process.is_ours():
            self._process = None
        try:
            if self._process is None:
                columns = self._columns.names, OF_SEGMENTS
                quoted = [[_quoted(name) for name in some] for some in columns]
                self._process = _Process((self._numbered(), self._segments), quoted)
            answer = self._process.ask(kind, where, float(timeout_s))
        except BaseException as error:  # Ctrl-C, too
            self._kill()
            if isinstance(error, _LimitError):
                raise UsageError(
                    f"the condition {_excerpt(where)} {error}",
                    "Simplify it, or allow more time with --where-timeout SECONDS (where_timeout_s).",
                ) from None
            raise
        if isinstance(answer, str):
            raise self._explained(where, answer)
        return answer

    def _numbered(self) -> Any:
        """Return the columns of all files, with the position of each as "file_number"."""
        import pyarrow as pa

        content_ids = self._table.batch().column("content_id")
        columns = {name: self._columns.array(name) for name in self._columns.names}
        return pa.table({"file_number": pa.array(np.arange(len(self._table))), "content_id": content_ids, **columns})

    def close(self) -> None:
        """End the process, if there is one. A later condition starts another one."""
        with self._lock:
            self._kill()

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process = None

    def _explained(self, where: str, message: str) -> UsageError:
        cause = message.partition(": ")[2].partition("\n")[0].rstrip("!.")
        _, unknown, rest = cause.partition('Referenced column "')
        if unknown and "not found" in rest:
            return unknown_column(rest.partition('"')[0], self.names)
        if not where.strip():
            cause = "it is empty"
        return UsageError(f"the condition {_excerpt(where)} cannot be used: {cause}", _EXAMPLE)


class _LimitError(Exception):
    """A condition exceeds a limit; the message says which."""


class _Process:
    """A process that evaluates conditions on tables. It ends with this object, or with its process.

    Args:
        tables: files and segments.
        columns: the names of those of each, quoted.

    Raises:
        WaveSearchError: it cannot be started.
        _LimitError: it ends before it has the tables.
    """

    def __init__(self, tables: tuple[Any, Any], columns: Sequence[Sequence[str]]) -> None:
        import pyarrow as pa

        try:
            self._process, self._connection = start_python([sql_worker.__file__], [str(_MEMORY_BYTES), *sys.path])
        except OSError as error:  # too many processes, too many open files
            cause = f"the process that evaluates conditions cannot be started ({error.strerror})"
            raise WaveSearchError(cause, "Close other programs, and run the command again.") from error
        self._owner = os.getpid()
        self.kill = weakref.finalize(self, _end, self._process, self._connection, self._owner)
        try:
            for table in tables:
                sink = pa.BufferOutputStream()
                with pa.ipc.new_stream(sink, table.schema) as stream:
                    stream.write_table(table)
                self._connection.send_bytes(sink.getvalue())
            self._connection.send(columns)
        except ConnectionError:
            raise self._gone() from None

    def is_ours(self) -> bool:
        """Return whether this process has started it. A copy by os.fork would get the answers of the original."""
        return os.getpid() == self._owner

    def ask(self, kind: sql_worker.Kind, where: str, timeout_s: float) -> sql_worker.Answer:
        """Return the numbers of the selected rows, or the message of an error.

        Raises:
            _LimitError: it takes too long, or too much memory. The process cannot be used any more.
        """
        try:
            self._connection.send((kind, where, timeout_s))
            answer: sql_worker.Answer = self._connection.recv()
        except (EOFError, ConnectionError):
            code = self._process.wait()
            if was_ended_after(code):
                raise _LimitError(f"takes longer than {timeout_s:g} s") from None
            if code != -signal.SIGABRT:  # how DuckDB ends when it is refused memory in an awkward place
                raise self._gone() from None
            answer = sql_worker.OUT_OF_MEMORY
        if answer == sql_worker.OUT_OF_MEMORY:
            raise _LimitError(f"needs more than {_MEMORY_BYTES / 2**30:.3g} GiB of memory")
        return answer

    def _gone(self) -> _LimitError:
        code = self._process.wait()
        return _LimitError(f"has ended its process (exit status {code}), perhaps for want of memory")


def _end(process: subprocess.Popen[bytes], connection: Connection, owner: int) -> None:
    connection.close()
    if os.getpid() == owner:
        process.kill()
        process.wait()


def _excerpt(where: str) -> str:
    return repr(where if len(where) <= _SHOWN_CHARS else f"{where[:_SHOWN_CHARS]}...")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
