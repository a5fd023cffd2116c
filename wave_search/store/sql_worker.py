"""The program that evaluates SQL conditions. The only module that uses DuckDB.

It is run as a script in a process of its own, because nothing else ends a condition with certainty: DuckDB interrupts
no function within a row, and its limit of memory does not cover the values that functions create, such as
repeat('x', 1000000000). The system ends this process after the time limit, and refuses it more memory than its limit.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence
    from multiprocessing.connection import Connection

    import numpy as np
    from numpy.typing import NDArray

Kind = Literal["segments", "files"]
"""What a condition selects."""
Answer = dict[str, "NDArray[np.int64]"] | str
OUT_OF_MEMORY = "out of memory"
"""The answer if a condition needs more memory than the limit."""
_SETTINGS = {
    # An expression is a request, not a program: no files, no network, no variables of the caller, no other settings.
    "memory_limit": "1GiB",
    "threads": "4",
    "temp_directory": "",  # may not be changed after the next one
    "enable_external_access": "false",
    "autoload_known_extensions": "false",
    "autoinstall_known_extensions": "false",
    "python_enable_replacements": "false",
    "lock_configuration": "true",
}
"""In this order; DuckDB applies those of `connect` in any."""


def serve(connection: Connection, memory_bytes: int) -> None:
    """Receive the tables, and answer conditions until the other end is closed.

    Messages: two tables as Arrow streams, "files" and "segments", and the names of the columns of each; then what to
    select, a condition and a time limit in seconds. The answer to each is the numbers of the selected rows, in arrays
    by their name: "file_number", "segment_id" or both, or the message of an error as text. A condition on segments that
    says something of files alone, or of segments alone, is answered with these alone: there are far fewer of them than
    of the pairs of both.

    Args:
        connection: to the process that asks.
        memory_bytes: how much this process may allocate, without the tables.
    """
    import duckdb
    import pyarrow as pa

    from wave_search.system import end_after, limit_memory

    received = [connection.recv_bytes() for _ in range(2)]
    limit_memory(memory_bytes + sum(map(len, received)))
    database = duckdb.connect(":memory:")
    for setting, value in _SETTINGS.items():
        database.execute(f"SET {setting} = '{value}'")
    for name, data in zip(("files", "segments"), received, strict=True):
        database.register(name, pa.ipc.open_stream(data).read_all())
    of_files, of_segments = map(", ".join, connection.recv())
    both = f"SELECT segment_id, file_number, {of_files}, {of_segments} FROM files"  # noqa: S608 - quoted
    files = f"SELECT file_number, {of_files} FROM files", "file_number"  # noqa: S608
    segments = f"SELECT segment_id, {of_segments} FROM segments", "segment_id"  # noqa: S608
    pairs = f"{both} JOIN segments USING (content_id)", "segment_id, file_number"
    with_all = f"{both} LEFT JOIN segments USING (content_id)", "DISTINCT file_number"
    queries = {
        kind: [f"SELECT {numbers} FROM ({rows}) WHERE" for rows, numbers in several]  # noqa: S608
        for kind, several in {"segments": (files, segments, pairs), "files": (files, with_all)}.items()
    }
    while True:
        kind, where, timeout_s = connection.recv()
        end_after(timeout_s)
        try:
            answer: Answer = _selected(database, queries[kind], where)
        except (MemoryError, duckdb.OutOfMemoryException):
            answer = OUT_OF_MEMORY
        except duckdb.Error as error:
            answer = str(error)
        end_after(0.0)
        connection.send(answer)


def _selected(database: Any, queries: Sequence[str], where: str) -> dict[str, NDArray[np.int64]]:
    """Return the numbers of the rows for which a condition holds, by the first query that has all of its columns."""
    import duckdb

    duckdb.SQLExpression(where)  # refuses all that is not one expression, such as further statements
    for query in queries:
        try:
            found: dict[str, NDArray[np.int64]] = database.execute(f"{query} ({where}\n)").fetchnumpy()
        except duckdb.BinderException:
            if query is queries[-1]:
                raise
            continue
        return found
    raise AssertionError  # the last one has returned or raised


def main() -> None:
    """Serve at the socket, and with the memory and the paths of modules, that the arguments name."""
    descriptor, memory_bytes, *paths = sys.argv[1:]
    sys.path.insert(0, str(Path(__file__).parents[2]))  # the package of this process, whichever is installed
    from wave_search.processes import connection_to_parent
    from wave_search.system import accept_alarm

    del sys.path[0]
    sys.path.extend(path for path in paths if path not in sys.path)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    accept_alarm()
    try:
        serve(connection_to_parent(int(descriptor)), int(memory_bytes))
    except (EOFError, ConnectionError):
        return


if __name__ == "__main__":
    main()
