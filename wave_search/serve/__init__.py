"""The server: an HTTP API, media and a page over one open index. It needs the extra [serve]."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wave_search.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from wave_search.index import Index
    from wave_search.serve.local_server import Answer
    from wave_search.serve.options import ServeOptions

__all__ = ["run"]


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
        cause = f"the server needs {error.name or 'packages'}, which is not installed"
        raise UsageError(cause, "Run: pip install 'wave-search[serve]'") from error
    serve(index, options, answer, started, warn)
