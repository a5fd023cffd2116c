"""How clients reach the MCP server: standard input and output of a process of their own, or HTTP."""

from __future__ import annotations

import asyncio
import io
import os
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request

if TYPE_CHECKING:
    from collections.abc import Callable

    from mcp.server.lowlevel import Server
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
    from starlette.types import Message, Receive, Scope, Send

    from wave_search.index import Index
    from wave_search.serve.service import Service


class LazyService:
    """Opens an index when it is first used. An index that cannot be opened is tried again with the next request.

    Args:
        open_index: returns the open index, which is closed by `close`.
    """

    def __init__(self, open_index: Callable[[], Index]) -> None:
        self._open_index = open_index
        self._index: Index | None = None
        self._service: Service | None = None
        self._opening = asyncio.Lock()

    async def __call__(self) -> Service:
        """Return the service.

        Raises:
            WaveSearchError: the index cannot be opened, or the folder of the previews not be written.
        """
        async with self._opening:
            if self._service is None:
                self._service = await run_in_threadpool(self._opened)
            return self._service

    def _opened(self) -> Service:
        from wave_search.serve.disk_cache import previews_folder
        from wave_search.serve.options import ServeOptions
        from wave_search.serve.service import Service

        if self._index is None:
            self._index = self._open_index()
        return Service(self._index, ServeOptions(), previews_folder())

    def close(self) -> None:
        """Close what was opened."""
        if self._service is not None:
            self._service.close()
        if self._index is not None:
            self._index.close()


class _Lines:
    """The lines of standard input. They are read by a thread that ends with the process.

    The reader of the SDK would keep it from ending until the next line, because a read cannot be interrupted.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._lines: asyncio.Queue[str] = asyncio.Queue()
        # Of its own, because the interpreter would wait for the lock of sys.stdin when it ends.
        self._input = io.TextIOWrapper(
            os.fdopen(os.dup(sys.stdin.fileno()), "rb"), encoding="utf-8", errors="replace", newline="\n"
        )
        threading.Thread(target=self._read, name="stdin", daemon=True).start()

    def _read(self) -> None:
        with suppress(RuntimeError):  # the loop has been closed
            while line := self._input.readline():
                self._loop.call_soon_threadsafe(self._lines.put_nowait, line)
            self._loop.call_soon_threadsafe(self._lines.put_nowait, "")

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        line = await self._lines.get()
        if not line:
            raise StopAsyncIteration
        return line


def serve_stdio(open_index: Callable[[], Index], unexpected: Callable[[Exception], None]) -> None:
    """Serve over standard input and output, until the input ends. See `wave_search.serve.run_mcp`."""
    asyncio.run(_serve_stdio(open_index, unexpected))


async def _serve_stdio(open_index: Callable[[], Index], unexpected: Callable[[Exception], None]) -> None:
    from mcp.server.stdio import stdio_server

    from wave_search.serve.mcp.server import create_server

    service = LazyService(open_index)
    server = create_server(service, unexpected)
    try:
        lines: Any = _Lines()  # all that is used of a file
        async with stdio_server(lines) as (reading, writing):
            await server.run(reading, writing, server.create_initialization_options())
    finally:
        service.close()


class McpEndpoint:
    """ASGI application: MCP over HTTP, where each request stands for itself.

    Args:
        service: the index and its previews.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._server: Server[Any] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["method"] != "POST":  # there are no sessions to listen to or to end
            raise HTTPException(405, headers={"allow": "POST"})
        manager = await run_in_threadpool(self._manager)
        # Read here, as the manager would wrap what is raised when a request is too large or breaks off.
        messages = [{"type": "http.request", "body": await Request(scope, receive).body(), "more_body": False}]

        async def read() -> Message:
            return messages.pop() if messages else await receive()

        async with manager.run():
            await manager.handle_request(scope, read, send)

    def _manager(self) -> StreamableHTTPSessionManager:
        """Without sessions, a manager lasts for one request. Importing what makes the first one takes seconds."""
        from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

        from wave_search.serve.mcp.server import create_server

        if self._server is None:
            self._server = create_server(self._ready)
        return StreamableHTTPSessionManager(
            self._server, json_response=True, stateless=True, max_request_body_size=sys.maxsize
        )

    async def _ready(self) -> Service:
        return self._service
