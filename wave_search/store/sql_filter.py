"""Files and segments as one table that SQL conditions filter, see `sql_worker`."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import unicodedata
import weakref
from datetime import datetime
from multiprocessing.connection import Connection
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from wave_search.errors import UsageError
from wave_search.files import composed
from wave_search.store import sql_worker
from wave_search.store.schema import CONTENTS, schemas
from wave_search.types import OF_HITS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

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
DEFAULT_TIMEOUT_S = 30.0
_MEMORY_BYTES = 2 << 30
"""Limit of what the process that evaluates conditions may allocate."""
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
        self._files, self._segments = _file_table(files, contents, metadata), segments
        self.names = (*BUILT_IN, *(column.name for column in metadata.columns))
        self._number_of = {row.path: number for number, row in enumerate(files)}
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
        """
        where = unicodedata.normalize("NFC", where)
        with self._lock:
            found = self._kept.pop(where, None) or self._selected(where, timeout_s)
            self._kept[where] = found
            if len(self._kept) > _KEPT_SELECTIONS:
                del self._kept[next(iter(self._kept))]
            return found

    def _selected(self, where: str, timeout_s: float) -> Selection:
        import pyarrow as pa

        if self._process is None:
            self._process = _Process((self._files, self._segments), [_quoted(name) for name in self.names])
        try:
            answer = self._process.ask(where, timeout_s)
        except BaseException as error:  # Ctrl-C, too
            self._process.kill()
            self._process = None
            if isinstance(error, _LimitError):
                raise UsageError(
                    f"the condition {_excerpt(where)} {error}",
                    "Simplify it, or allow more time with --where-timeout SECONDS (where_timeout_s).",
                ) from None
            raise
        if isinstance(answer, str):
            raise self._explained(where, answer)
        rows = pa.ipc.open_stream(answer).read_all()
        segment_ids, files = (np.asarray(rows.column(name), np.int64) for name in ("segment_id", "file_number"))
        return Selection(segment_ids, files, self._number_of)

    def close(self) -> None:
        """End the process, if there is one. A later condition starts another one."""
        with self._lock:
            if self._process is not None:
                self._process.kill()
                self._process = None

    def check(self, columns: Iterable[str]) -> None:
        """Check that columns exist, ignoring case.

        Raises:
            UsageError: there is no such column.
        """
        known = {_folded(name) for name in self.names}
        for name in columns:
            if _folded(name) not in known:
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
        ids = np.asarray(self._segments.column("segment_id"), np.int64)  # ascending
        places = np.searchsorted(ids, [segment_id for segment_id, _ in hits])
        numbers = [self._number_of[path] for _, path in hits]
        found = {
            name: self._column(name, self._files, numbers) or self._column(name, self._segments, places)
            for name in columns
        }
        return [{name: values[at] for name, values in found.items()} for at in range(len(hits))]

    @staticmethod
    def _column(name: str, table: Any, rows: Sequence[int] | NDArray[np.intp]) -> list[Value | None]:
        """Return the values in some rows of a column, none without such a column. Its name may differ in case."""
        wanted = _folded(name)
        held = (column for column in table.column_names if _folded(column) == wanted)
        return [_plain(value) for column in held for value in table.column(column).take(rows).to_pylist()]

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


class _Process:
    """A process that evaluates conditions on tables. It ends with this object, or with its process.

    Args:
        tables: files and segments.
        columns: their names, quoted.
    """

    def __init__(self, tables: tuple[Any, Any], columns: Sequence[str]) -> None:
        import pyarrow as pa

        ours, theirs = socket.socketpair()
        with theirs:
            arguments = [str(theirs.fileno()), str(_MEMORY_BYTES), *sys.path]
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter
                [sys.executable, "-P", sql_worker.__file__, *arguments],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._connection = Connection(ours.detach())
        self.kill = weakref.finalize(self, _end, self._process, self._connection, os.getpid())
        for table in tables:
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, table.schema) as stream:
                stream.write_table(table)
            self._connection.send_bytes(sink.getvalue())
        self._connection.send(columns)

    def ask(self, where: str, timeout_s: float) -> bytes | str:
        """Return the selected rows as an Arrow stream, or the message of an error.

        Raises:
            _LimitError: it takes too long, or too much memory. The process cannot be used any more.
        """
        try:
            self._connection.send((where, timeout_s))
            answer: bytes | str = self._connection.recv()
        except (EOFError, ConnectionError):
            code = self._process.wait()
            if code == -signal.SIGALRM:
                raise _LimitError(f"takes longer than {timeout_s:g} s") from None
            if code != -signal.SIGABRT:  # how DuckDB ends when it is refused memory in an awkward place
                raise _LimitError(f"has ended its process (exit status {code}), perhaps for want of memory") from None
            answer = sql_worker.OUT_OF_MEMORY
        if answer == sql_worker.OUT_OF_MEMORY:
            raise _LimitError(f"needs more than {_MEMORY_BYTES / 2**30:.3g} GiB of memory")
        return answer


def _end(process: subprocess.Popen[bytes], connection: Connection, owner: int) -> None:
    connection.close()
    if os.getpid() == owner:  # not a copy of it by os.fork
        process.kill()
        process.wait()


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


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _quoted(name: str) -> str:
    doubled = unicodedata.normalize("NFC", name).replace('"', '""')
    return f'"{doubled}"'
