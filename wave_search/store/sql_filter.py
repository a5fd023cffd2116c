"""Files and segments as one table that SQL conditions filter. The only module that uses DuckDB."""

from __future__ import annotations

import os
import time
import unicodedata
from concurrent.futures import Future, wait
from pathlib import Path
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any

import numpy as np

from wave_search.errors import UsageError
from wave_search.store.file_columns import BUILT_IN, file_columns, find_columns, plain, unknown_column

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from wave_search.store.file_table import FileTable, Metadata
    from wave_search.store.rows import ContentRow
    from wave_search.types import Value

_SETTINGS = {
    # An expression is a request, not a program: no files, no network, no variables of the caller, no other settings.
    "memory_limit": "1GiB",
    "temp_directory": "",  # may not be changed after the next one
    "enable_external_access": "false",
    "autoload_known_extensions": "false",
    "autoinstall_known_extensions": "false",
    "python_enable_replacements": "false",
    "lock_configuration": "true",
}
"""In this order; DuckDB applies those of `connect` in any."""
DEFAULT_TIMEOUT_S = 30.0
THREAD_NAME = "SQL condition"
"""Of the thread that evaluates a condition."""
_MAX_GROWTH_BYTES = 2 << 30
"""DuckDB's own limit does not cover values that a function creates, such as repeat('x', 1000000000)."""
_POLL_S = 0.02
_GRACE_S = 0.5
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
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
        segments: an Arrow table with `schema.SEGMENT_COLUMNS`.

    Attributes:
        names: the columns.
    """

    def __init__(self, files: FileTable, contents: Mapping[int, ContentRow], metadata: Metadata, segments: Any) -> None:
        import duckdb

        self._tables = _numbered(files, contents, metadata), segments
        self.names = (*BUILT_IN, *(column.name for column in metadata.columns))
        self._errors = duckdb.Error
        self._files = files
        self._connect()
        self._kept: dict[str, Selection] = {}
        self._lock = Lock()

    def _connect(self) -> None:
        import duckdb

        self._connection = duckdb.connect(":memory:")
        for setting, value in _SETTINGS.items():
            self._connection.execute(f"SET {setting} = '{value}'")
        for name, table in zip(("files", "segments"), self._tables, strict=True):
            self._connection.register(name, table)
        columns = ", ".join(_quoted(name) for name in self.names)
        pairs = f"SELECT segment_id, file_number, {columns} FROM files"  # noqa: S608 - quoted
        self._rows = self._connection.sql(f"{pairs} JOIN segments USING (content_id)")
        self._all_rows = self._connection.sql(f"{pairs} LEFT JOIN segments USING (content_id)")

    def select(self, where: str, timeout_s: float = DEFAULT_TIMEOUT_S) -> Selection:
        """Find the segments for which a condition holds. The last few results are kept.

        Names and texts are compared with their letters composed (NFC).

        Args:
            where: the condition.
            timeout_s: seconds that this may take.

        Raises:
            UsageError: it is not a condition, names an unknown column, or takes too much time or memory.
        """
        where = unicodedata.normalize("NFC", where)
        with self._lock:
            found = self._kept.pop(where, None) or self._selected(where, timeout_s)
            self._kept[where] = found
            if len(self._kept) > _KEPT_SELECTIONS:
                del self._kept[next(iter(self._kept))]
            return found

    def _selected(self, where: str, timeout_s: float) -> Selection:
        found = self._evaluate(
            where, timeout_s, lambda: self._rows.filter(where).project("segment_id, file_number").order("segment_id")
        )
        segment_ids, numbers = (np.asarray(found.column(name), np.int64) for name in found.column_names)
        return Selection(segment_ids, numbers, self._files)

    def select_files(self, where: str, timeout_s: float = DEFAULT_TIMEOUT_S) -> NDArray[np.int64]:
        """Find the files for which a condition holds: for one of its segments, or for a file without any.

        Args:
            where: the condition. A file without segments has no value in their columns, and a file that is skipped has
                none in those of contents either.
            timeout_s: seconds that this may take.

        Returns:
            (n,) positions in the table of files.

        Raises:
            UsageError: as for `select`.
        """
        where = unicodedata.normalize("NFC", where)
        with self._lock:
            found = self._evaluate(
                where, timeout_s, lambda: self._all_rows.filter(where).project("file_number").distinct()
            )
        return np.asarray(found.column("file_number"), np.int64)

    def _evaluate(self, where: str, timeout_s: float, rows: Callable[[], Any]) -> Any:
        """Return the Arrow table of a relation that is filtered by a condition.

        A relation accepts a single expression, whereas SQL text would accept further statements.
        """
        try:
            return self._within(lambda: rows().to_arrow_table(), timeout_s)
        except _LimitError as limit:
            raise UsageError(
                f"the condition {_excerpt(where)} {limit}",
                "Simplify it, or allow more time with --where-timeout SECONDS (where_timeout_s).",
            ) from None
        except self._errors as error:
            raise self._explained(where, str(error)) from None

    def _within(self, work: Callable[[], Any], timeout_s: float) -> Any:
        """Return the result of some work on the connection, done in a thread.

        While DuckDB works, Ctrl-C does not reach the thread that waits for it. Some functions cannot be interrupted
        either: their thread is left behind, with the connection.

        Raises:
            _LimitError: it takes too long, or too much memory.
        """
        done: Future[Any] = Future()
        Thread(target=_run, args=(work, done), name=THREAD_NAME, daemon=True).start()
        most_bytes, until_s = _memory_bytes() + _MAX_GROWTH_BYTES, time.monotonic() + timeout_s
        try:
            while wait([done], _POLL_S).not_done:
                if time.monotonic() > until_s:
                    raise _LimitError(f"takes longer than {timeout_s:g} s")
                if _memory_bytes() > most_bytes:
                    raise _LimitError(f"needs more than {_MAX_GROWTH_BYTES >> 30} GiB of memory")
        except BaseException:
            self._connection.interrupt()
            if wait([done], _GRACE_S).not_done:
                self._connect()
            raise
        return done.result()

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
        self.check(columns)
        if not hits:
            return []
        numbers = [self._files.position(path) for _, path in hits]
        with self._lock:
            some = self._rows.filter(f"segment_id IN ({', '.join(str(segment_id) for segment_id, _ in hits)})")
            rows = some.project(", ".join(("segment_id", "file_number", *map(_quoted, columns)))).fetchall()
        found = {(segment_id, number): values for segment_id, number, *values in rows}
        keys = zip((segment_id for segment_id, _ in hits), numbers, strict=True)
        return [dict(zip(columns, map(plain, found[key]), strict=True)) for key in keys]

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


def _run(work: Callable[[], Any], done: Future[Any]) -> None:
    try:
        done.set_result(work())
    except BaseException as error:  # raised again where it is waited for
        done.set_exception(error)


def _memory_bytes() -> int:
    """Return the memory that this process occupies, 0 where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_bytes().split()[1]) * _PAGE_BYTES
    except OSError:
        return 0


def _excerpt(where: str) -> str:
    return repr(where if len(where) <= _SHOWN_CHARS else f"{where[:_SHOWN_CHARS]}...")


def _numbered(files: FileTable, contents: Mapping[int, ContentRow], metadata: Metadata) -> Any:
    """Return the columns of all files, with the position of each as "file_number"."""
    import pyarrow as pa

    table = pa.concat_tables(file_columns(rows, contents, metadata) for rows in files.batches())
    return table.append_column("file_number", pa.array(np.arange(len(files))))


def _quoted(name: str) -> str:
    doubled = unicodedata.normalize("NFC", name).replace('"', '""')
    return f'"{doubled}"'
