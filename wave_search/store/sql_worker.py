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
    from multiprocessing.connection import Connection

Kind = Literal["segments", "files"]
"""What a condition selects."""
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

    Messages: two tables as Arrow streams, "files" and "segments", and the names of the columns; then what to select, a
    condition and a time limit in seconds. The answer to each is an Arrow stream with the selected "file_number" and, of
    segments, "segment_id", or the message of an error as text.

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
    columns = ", ".join(connection.recv())
    pairs = f"SELECT segment_id, file_number, {columns} FROM files"  # noqa: S608 - quoted
    rows: dict[Kind, Any] = {
        "segments": database.sql(f"{pairs} JOIN segments USING (content_id)"),
        "files": database.sql(f"{pairs} LEFT JOIN segments USING (content_id)"),
    }
    while True:
        kind, where, timeout_s = connection.recv()
        end_after(timeout_s)
        try:
            answer: bytes | str = _selected(rows[kind], kind, where)
        except (MemoryError, duckdb.OutOfMemoryException):
            answer = OUT_OF_MEMORY
        except duckdb.Error as error:
            answer = str(error)
        end_after(0.0)
        connection.send(answer)


def _selected(rows: Any, kind: Kind, where: str) -> bytes:
    import pyarrow as pa

    # A relation accepts a single expression, whereas SQL text would accept further statements.
    chosen = rows.filter(where)
    if kind == "files":
        found = chosen.project("file_number").distinct().to_arrow_table()
    else:
        found = chosen.project("segment_id, file_number").order("segment_id").to_arrow_table()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, found.schema) as stream:
        stream.write_table(found)
    return bytes(sink.getvalue())


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
