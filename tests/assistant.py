"""An assistant in tests: calls the tools of the MCP server of a library in memory, by the client of the SDK."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult

from wave_search.serve.mcp.server import create_server
from wave_search.serve.service import Service

TOOLS = ["search", "similar", "look", "listen", "ask", "library"]


class Assistant:
    """Calls the server in memory, each time over a connection of its own."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.faults: list[Exception] = []
        self.server = create_server(self._ready, self.faults.append)

    async def _ready(self) -> Service:
        return self.service

    def talk(self, conversation: Callable[[Client], Awaitable[Any]]) -> Any:
        async def run() -> Any:
            async with Client(self.server) as client:
                return await conversation(client)

        return asyncio.run(run())

    def call(self, tool: str, **arguments: Any) -> CallToolResult:
        """Call a tool, whose answer must not be an error."""
        answer = self.talk(lambda client: client.call_tool(tool, arguments))
        assert not answer.is_error, answer.content
        return answer  # type: ignore[no-any-return]

    def search(self, tool: str = "search", **arguments: Any) -> list[dict[str, Any]]:
        return list(structured(self.call(tool, **arguments))["moments"])

    def error(self, tool: str, **arguments: Any) -> str:
        answer = self.talk(lambda client: client.call_tool(tool, arguments))
        assert (answer.is_error, len(answer.content)) == (True, 1), answer
        return str(answer.content[0].text)

    def read(self, uri: str) -> Any:
        """Read a resource, or return the MCPError."""

        async def attempt(client: Client) -> Any:
            try:
                return (await client.read_resource(uri)).contents[0]
            except MCPError as error:
                return error

        return self.talk(attempt)

    def file(self, name: str) -> int:
        """The segment that stands for a file."""
        (found,) = (one for one in self.search(limit=50) if one["path"].endswith(f"/{name}"))
        return int(found["segment"])


def structured(answer: CallToolResult) -> dict[str, Any]:
    assert answer.structured_content is not None
    return answer.structured_content
