"""The server: an HTTP API, media, a page and MCP over one open index. It needs the extra [serve]."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wave_search.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from wave_search.index import Index
    from wave_search.serve.local_server import Answer
    from wave_search.serve.options import ServeOptions

__all__ = ["run", "run_mcp"]


def run(
    index: Index, options: ServeOptions, answer: Answer, started: Callable[[str], None], warn: Callable[[str], None]
) -> None:
    """Serve an index until the process is interrupted, or the server is told to end or idle.

    Args:
        index: an open index.
        options: where to listen, and for whom.
        answer: answers the requests of programs of the same user, see `local_server`.
        started: called with the address when the server accepts connections.
        warn: called with the reason if searches will fail, as without the model. Files can be looked at anyway.

    Raises:
        UsageError: the extra [serve] is not installed, the address cannot be used, or options do not fit together.
        WaveSearchError: the index is served already, and the options allow one server only.
        KeyboardInterrupt: the server has ended because of a signal.
    """
    try:
        from wave_search.serve.server import serve
    except ImportError as error:
        raise _missing(error) from error
    serve(index, options, answer, started, warn)


def run_mcp(open_index: Callable[[], Index], unexpected: Callable[[Exception], None]) -> None:
    """Serve MCP over standard input and output, until the input ends. Standard output then goes to standard error.

    Args:
        open_index: returns the open index; called when a client first needs it, and again if it has raised. What it
            raises is reported to the client.
        unexpected: called with an exception that is a fault of this package, of which the client reads only the type.

    Raises:
        UsageError: the extra [serve] is not installed.
        KeyboardInterrupt: a signal has come.
    """
    try:
        from wave_search.serve.mcp.transports import serve_stdio
    except ImportError as error:
        raise _missing(error) from error
    serve_stdio(open_index, unexpected)


def _missing(error: ImportError) -> UsageError:
    cause = f"the server needs {error.name or 'packages'}, which is not installed"
    return UsageError(cause, "Run: pip install 'wave-search[serve]'")
