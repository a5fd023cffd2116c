"""Files and segments as one table that SQL conditions filter. The only module that uses DuckDB."""

from __future__ import annotations

import os
import time
import unicodedata
from concurrent.futures import Future, wait
from datetime import datetime
from pathlib import Path
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any

import numpy as np

from wave_search.errors import UsageError
from wave_search.files import composed
from wave_search.store.schema import CONTENTS, schemas
from wave_search.types import OF_HITS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from wave_search.store.file_table import Metadata
    from wave_search.store.rows import Column, ContentRow, FileRow
    from wave_search.types import Value

_OF_FILES = ("path", "name", "folder", "size_bytes", "modified")
_OF_CONTENTS = (
    "kind",
    "container",
    "duration_s",
    "width",
    "height",
    "fps",
    "video_codec",
    "audio_codec",
    "sample_rate_hz",
    "channels",
    "audio_tracks",
    "timecode",
)
_OF_SEGMENTS = ("modality", "start_s", "stop_s", "text")
BUILT_IN = (*_OF_FILES, *_OF_CONTENTS, *_OF_SEGMENTS)
"""Columns that every index has."""
RESERVED = (*BUILT_IN, *OF_HITS, "segment_id", "content_id", "file_number", "rank", "score", "z")
"""Names that user-defined columns cannot have: these, and the other fields of a hit."""
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
        files: (n,) the number of that file.
        number_of: numbers of the files by path.

    Attributes:
        segment_ids: (m,) ascending and distinct.
    """

    def __init__(
        self, segment_ids: NDArray[np.int64], files: NDArray[np.int64], number_of: Mapping[bytes, int]
    ) -> None:
        self.segment_ids = np.unique(segment_ids)
        self._pairs = segment_ids, files
        self._number_of = number_of

    def holds(self, segment_id: int, path: bytes) -> bool:
        """Return whether a segment of a file is selected. Of several files with the same content, only some may be."""
        segment_ids, files = self._pairs
        low, high = np.searchsorted(segment_ids, (segment_id, segment_id + 1))
        return self._number_of[path] in files[low:high]


class SqlFilter:
    """All files and segments of one version, for SQL. Safe to use from several threads.

    Args:
        files: the indexed files.
        contents: by id.
        metadata: the user's own columns.
        segments: an Arrow table with `schema.SEGMENT_COLUMNS`.

    Attributes:
        names: the columns.
    """

    def __init__(
        self, files: Sequence[FileRow], contents: Mapping[int, ContentRow], metadata: Metadata, segments: Any
    ) -> None:
        import duckdb

        self._tables = _file_table(files, contents, metadata), segments
        self.names = (*BUILT_IN, *(column.name for column in metadata.columns))
        self._errors = duckdb.Error
        self._number_of = {row.path: number for number, row in enumerate(files)}
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
        self._rows = self._connection.sql(
            f"SELECT segment_id, file_number, {columns} FROM segments JOIN files USING (content_id)"  # noqa: S608 - quoted
        )

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
        # A relation accepts a single expression, whereas SQL text would accept further statements.
        def evaluate(rows: Any = self._rows) -> Any:
            return rows.filter(where).project("segment_id, file_number").order("segment_id").to_arrow_table()

        try:
            rows = self._within(evaluate, timeout_s)
        except _LimitError as limit:
            raise UsageError(
                f"the condition {_excerpt(where)} {limit}",
                "Simplify it, or allow more time with --where-timeout SECONDS (where_timeout_s).",
            ) from None
        except self._errors as error:
            raise self._explained(where, str(error)) from None
        segment_ids, files = (np.asarray(rows.column(name), np.int64) for name in ("segment_id", "file_number"))
        return Selection(segment_ids, files, self._number_of)

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
        known = {name.casefold() for name in self.names}
        for name in columns:
            if unicodedata.normalize("NFC", name).casefold() not in known:
                raise self._unknown(name)

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
        numbers = [self._number_of[path] for _, path in hits]
        with self._lock:
            some = self._rows.filter(f"segment_id IN ({', '.join(str(segment_id) for segment_id, _ in hits)})")
            rows = some.project(", ".join(("segment_id", "file_number", *map(_quoted, columns)))).fetchall()
        found = {(segment_id, number): values for segment_id, number, *values in rows}
        keys = zip((segment_id for segment_id, _ in hits), numbers, strict=True)
        return [dict(zip(columns, map(_plain, found[key]), strict=True)) for key in keys]

    def _explained(self, where: str, message: str) -> UsageError:
        cause = message.partition(": ")[2].partition("\n")[0].rstrip("!.")
        _, unknown, rest = cause.partition('Referenced column "')
        if unknown and "not found" in rest:
            return self._unknown(rest.partition('"')[0])
        if not where.strip():
            cause = "it is empty"
        return UsageError(f"the condition {_excerpt(where)} cannot be used: {cause}", _EXAMPLE)

    def _unknown(self, name: str) -> UsageError:
        return UsageError(f'there is no column "{name}"', f"Use one of {', '.join(self.names)}.")


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


def _file_table(files: Sequence[FileRow], contents: Mapping[int, ContentRow], metadata: Metadata) -> Any:
    import pyarrow as pa

    paths = [composed(row.path).decode("utf-8", "replace") for row in files]
    own = [contents[row.content_id] for row in files if row.content_id is not None]
    values = [metadata.of(row.path, content.digest) for row, content in zip(files, own, strict=True)]
    columns = {
        "file_number": pa.array(range(len(files)), pa.int64()),
        "content_id": pa.array([row.content_id for row in files], pa.int64()),
        "path": pa.array(paths, pa.string()),
        "name": pa.array([os.path.basename(path) for path in paths], pa.string()),  # noqa: PTH119 - text, not a file
        "folder": pa.array([os.path.dirname(path) for path in paths], pa.string()),  # noqa: PTH120
        "size_bytes": pa.array([row.size_bytes for row in files], pa.int64()),
        "modified": pa.array([row.mtime_ns // 1000 for row in files], pa.timestamp("us")),
    }
    types = schemas(1)[CONTENTS]
    for name in _OF_CONTENTS:
        columns[name] = pa.array([getattr(content, name) for content in own], types.field(name).type)
    for column in metadata.columns:
        columns[column.name] = _own_array(column, [of_file.get(column.name) for of_file in values])
    return pa.table(columns)


def _own_array(column: Column, values: Sequence[Any]) -> Any:
    import pyarrow as pa

    types = {"text": pa.string(), "number": pa.float64(), "bool": pa.bool_(), "texts": pa.list_(pa.string())}
    if column.type == "timestamp":
        return pa.array(values, pa.string()).cast(pa.timestamp("us"))
    return pa.array(values, types[column.type])


def _plain(value: Any) -> Value | None:
    """Return a value as JSON represents it."""
    if isinstance(value, datetime):
        return value.isoformat()
    whole: Value | None = int(value) if isinstance(value, float) and value.is_integer() else value
    return whole


def _quoted(name: str) -> str:
    doubled = unicodedata.normalize("NFC", name).replace('"', '""')
    return f'"{doubled}"'
