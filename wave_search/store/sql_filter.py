"""Files and segments as one table that SQL conditions filter, see `sql_worker`."""

from __future__ import annotations

import os
import signal
import sys
import weakref
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from wave_search.errors import UsageError, WaveSearchError
from wave_search.files import composed_text
from wave_search.processes import start_python
from wave_search.store import sql_worker
from wave_search.store.file_columns import BUILT_IN, OF_SEGMENTS, file_columns, find_columns, plain, unknown_column
from wave_search.system import was_ended_after

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterable, Mapping, Sequence
    from multiprocessing.connection import Connection

    from numpy.typing import NDArray

    from wave_search.store.file_table import FileTable, Metadata
    from wave_search.store.rows import ContentRow
    from wave_search.types import Value

DEFAULT_TIMEOUT_S = 30.0
_MEMORY_BYTES = 2 << 30
"""Limit of what the process that evaluates conditions may allocate."""
SQL_COLUMNS = ("segment_id", "content_id", *OF_SEGMENTS)
"""Columns that are read for conditions. Any other one would be taken for a user's own column of its name."""
_KEPT_SELECTIONS = 16
_SHOWN_CHARS = 500
_EXAMPLE = "Write one SQL condition, for example: kind = 'video' AND duration_s < 60."


class Selection:
    """The segments and files that satisfy a condition.

    Args:
        segment_ids: (n,) ascending, one for each pair of a segment and a file that has it.
        numbers: (n,) the position of that file in `files`.
        files: all files.

    Attributes:
        segment_ids: (m,) ascending and distinct.
    """

    def __init__(self, segment_ids: NDArray[np.int64], numbers: NDArray[np.int64], files: FileTable) -> None:
        self.segment_ids = np.unique(segment_ids)
        self._pairs = segment_ids, numbers
        self._files = files

    def holds(self, segment_id: int, path: bytes) -> bool:
        """Return whether a segment of a file is selected. Of several files with the same content, only some may be."""
        segment_ids, numbers = self._pairs
        low, high = np.searchsorted(segment_ids, (segment_id, segment_id + 1))
        return self._files.position(path) in numbers[low:high]


class SqlFilter:
    """All files and segments of one version, for SQL. Safe to use from several threads.

    Args:
        files: all files, also those that are skipped.
        contents: by id.
        metadata: the user's own columns.
        segments: an Arrow table with `SQL_COLUMNS`, ids ascending.

    Attributes:
        names: the columns.
    """

    def __init__(self, files: FileTable, contents: Mapping[int, ContentRow], metadata: Metadata, segments: Any) -> None:
        self._files, self._segments = _numbered(files, contents, metadata), segments
        self.names = (*BUILT_IN, *(column.name for column in metadata.columns))
        self._table = files
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
        rows = self._evaluate("segments", where, timeout_s)
        segment_ids, numbers = (np.asarray(rows.column(name), np.int64) for name in ("segment_id", "file_number"))
        return Selection(segment_ids, numbers, self._table)

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
            return np.asarray(self._evaluate("files", where, timeout_s).column("file_number"), np.int64)

    def _evaluate(self, kind: sql_worker.Kind, where: str, timeout_s: float) -> Any:
        """Return an Arrow table with the numbers of the segments or files for which a condition holds."""
        import pyarrow as pa

        if self._process is not None and not self._process.is_ours():
            self._process = None
        try:
            if self._process is None:
                self._process = _Process((self._files, self._segments), [_quoted(name) for name in self.names])
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
        return pa.ipc.open_stream(answer).read_all()

    def close(self) -> None:
        """End the process, if there is one. A later condition starts another one."""
        with self._lock:
            self._kill()

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process = None

    def check(self, columns: Iterable[str]) -> None:
        """Check that columns exist, ignoring case.

        Raises:
            UsageError: there is no such column.
        """
        find_columns(columns, self.names)

    def values(self, columns: Sequence[str], hits: Sequence[tuple[int, bytes]]) -> list[dict[str, Value | None]]:
        """Return the values of columns for segments.

        Args:
            columns: names.
            hits: segment ids with the path of a file that has each.

        Returns:
            Values by column for each; None where there is none.

        Raises:
            UsageError: there is no such column.
        """
        spelled = find_columns(columns, self.names)
        ids = np.asarray(self._segments.column("segment_id"), np.int64)  # ascending
        places = np.searchsorted(ids, np.array([segment_id for segment_id, _ in hits], np.int64))
        numbers = np.array([self._table.position(path) for _, path in hits], np.int64)
        values = {}
        for name, own in zip(columns, spelled, strict=True):
            of_files = own in self._files.column_names
            rows = self._files.column(own).take(numbers) if of_files else self._segments.column(own).take(places)
            values[name] = list(map(plain, rows.to_pylist()))
        return [{name: values[name][at] for name in columns} for at in range(len(hits))]

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
        columns: their names, quoted.

    Raises:
        WaveSearchError: it cannot be started.
        _LimitError: it ends before it has the tables.
    """

    def __init__(self, tables: tuple[Any, Any], columns: Sequence[str]) -> None:
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

    def ask(self, kind: sql_worker.Kind, where: str, timeout_s: float) -> bytes | str:
        """Return the selected rows as an Arrow stream, or the message of an error.

        Raises:
            _LimitError: it takes too long, or too much memory. The process cannot be used any more.
        """
        try:
            self._connection.send((kind, where, timeout_s))
            answer: bytes | str = self._connection.recv()
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


def _numbered(files: FileTable, contents: Mapping[int, ContentRow], metadata: Metadata) -> Any:
    """Return the columns of all files, with the position of each as "file_number"."""
    import pyarrow as pa

    table = pa.concat_tables(file_columns(rows, contents, metadata) for rows in files.batches())
    return table.append_column("file_number", pa.array(np.arange(len(files))))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
