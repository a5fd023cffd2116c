"""MCP: wrong and odd requests, and the ways by which requests come: in memory, over HTTP and over stdio."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import subprocess
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client

import wave_search as ws
from tests.assistant import TOOLS, Assistant
from tests.hostile.requests import Hostile
from tests.hostile.server import sent
from tests.libraries import WORDS, CountingEmbedder
from tests.serving import ADDRESS, PORT, served
from wave_search.errors import UsageError
from wave_search.serve.app import create_app
from wave_search.serve.mcp import server
from wave_search.serve.options import Limits, ServeOptions
from wave_search.serve.service import Service

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from mcp_types import CallToolResult

    from tests.conftest import CommandLine

TOKEN = "a-token-of-this-test"  # noqa: S105


@pytest.mark.parametrize(
    ("tool", "arguments", "message"),
    [
        ("search", {"query": "a", "limt": 3}, "limt: Extra inputs are not permitted. search takes: "),
        ("search", {"query": "a", "limit": 51}, "limit: Input should be less than or equal to 50"),
        ("search", {"query": "a", "limit": 1e308}, "limit: Unable to parse"),
        ("search", {"query": {"a": 1}}, "query: Input should be a valid string"),
        ("search", {"query": "a", "target": "smell"}, "target: Input should be"),
        ("search", {"where": "nonsense ="}, "the condition 'nonsense =' cannot be used"),
        ("search", {"where": "path IN (SELECT content FROM read_text('/etc/passwd'))"}, "the condition"),
        ("search", {"columns": ["nonsense"]}, 'there is no column "nonsense"'),
        ("search", {"also": [{"text": "a", "avoid": True}]}, "the query has only terms to avoid"),
        ("search", {"query": "a", "rerank": 3}, "rerank needs an instruction"),
        ("similar", {"segment": 10**9}, "segment 1000000000 is not in the index. Search again."),
        ("similar", {"segment": -1}, "segment: Input should be greater than or equal to 0"),
        ("similar", {}, "segment: Field required. similar takes: "),
        ("look", {"segment": 10**400}, "segment: "),
        ("look", {"segment": 1, "frames": 17}, "frames: Input should be less than or equal to 16"),
        ("listen", {"segment": 10**9, "start_s": 1}, "segment 1000000000 is not in the index"),
        ("ask", {"segment": 1, "question": "?", "choices": ["a"]}, "choices: "),
        ("library", {"all": True}, "all: Extra inputs are not permitted. library takes: no arguments."),
        ("delete", {}, "there is no tool 'delete'. There are search, similar, look, listen, ask, library."),
    ],
)
def test_what_is_wrong_is_an_answer_with_a_remedy(
    assistant: Assistant, tool: str, arguments: dict[str, Any], message: str
) -> None:
    error = assistant.error(tool, **arguments)
    assert error.startswith(message), error
    assert error.endswith("."), error
    assert not assistant.faults


def test_a_condition_that_never_ends_is_ended(settled: Path, counted: CountingEmbedder, tmp_path: Path) -> None:
    options = ServeOptions(limits=Limits(where_s=0.2))
    with ws.open(settled / "index") as index, closing(Service(index, options, tmp_path / "cache")) as service:
        where = "1 = (SELECT count(*) FROM range(10000000000000))"
        error = Assistant(service).error("search", where=where)
    assert "takes longer than 0.2 s. Simplify it" in error


ODD: tuple[Any, ...] = (
    *(None, True, -1, 0, 1, 7, 2**63, -(2**63), 10**30, 0.5, 1e308, -1e308, "", "a", "\x00", "a\x00b", "\u202e\x1b[2J"),
    *(
        "' OR 1=1 --",
        "[",
        "[[[[",
        "{}",
        "[1, 2]",
        "../../etc/passwd",
        "a" * 3_000,
        [],
        [None],
        ["a", "a"],
        {},
        {"text": "a"},
    ),
    *(
        [{"text": "rain", "weight": 1e308}],
        [{"text": "rain", "avoid": True}],
        ["a"] * 60,
        "audio",
        "any",
        "video",
        "whole",
    ),
)


def test_odd_arguments_never_break_it(assistant: Assistant) -> None:
    known = {name: list(tool.arguments.model_fields) for name, tool in create_tools().items()}
    chosen = random.Random(16)
    segments = [one["segment"] for one in assistant.search(limit=50)]

    async def try_all(client: Client) -> list[CallToolResult]:
        answers = []
        for _ in range(250):
            tool = chosen.choice(TOOLS)
            names = [
                *chosen.sample(known[tool], chosen.randint(0, min(3, len(known[tool])))),
                *chosen.choices(["", "x\x00"], k=chosen.random() < 0.1),
            ]
            arguments = {name: chosen.choice(ODD) for name in names if name != "where"}
            if "segment" in known[tool] and chosen.random() < 0.7:
                arguments["segment"] = chosen.choice(segments)
            answers.append(await client.call_tool(tool, arguments))
        return answers

    answers = assistant.talk(try_all)
    assert not assistant.faults
    assert {bool(answer.is_error) for answer in answers} == {True, False}
    assert all(answer.content[0].text for answer in answers)


def create_tools() -> dict[str, Any]:
    return server._TOOLS


def test_a_fault_is_reported_without_a_traceback(assistant: Assistant, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("the secret of the server")

    monkeypatch.setattr(assistant.service.library, "search", fail)
    assert assistant.error("search") == "unexpected RuntimeError. This is a bug in wave-search. Please report it."
    assert [str(fault) for fault in assistant.faults] == ["the secret of the server"]


def test_an_error_names_a_file_that_is_not_utf_8(assistant: Assistant, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise UsageError("latin-\udce9.flac: broken", "Replace it.")

    monkeypatch.setattr(assistant.service.library, "search", fail)
    assert assistant.error("search") == "latin-?.flac: broken. Replace it."


def over_http(app: Any, headers: dict[str, str], conversation: Callable[[Client], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        transport = httpx2.ASGITransport(app)
        async with (
            httpx2.AsyncClient(transport=transport, headers=headers) as http,
            Client(streamable_http_client(f"{ADDRESS}/mcp", http_client=http)) as client,
        ):
            return await conversation(client)

    return asyncio.run(run())


def test_it_is_served_over_http_beside_the_page(assistant: Assistant, monkeypatch: pytest.MonkeyPatch) -> None:
    makers, create = [], server.create_server
    monkeypatch.setattr(
        server, "create_server", lambda *given: (makers.append(threading.current_thread()), create(*given))[1]
    )
    app = create_app(assistant.service, ServeOptions(port=PORT, token=TOKEN), PORT)

    async def converse(client: Client) -> tuple[Any, ...]:
        tools = (await client.list_tools()).tools
        found = await client.call_tool("search", {"query": WORDS[0], "limit": 2})
        missing = await client.call_tool("look", {"segment": 10**9})
        return tools, found, missing

    tools, found, missing = over_http(app, {"authorization": f"Bearer {TOKEN}"}, converse)
    assert [tool.name for tool in tools] == TOOLS
    assert (len(found.structured_content["moments"]), missing.is_error) == (2, True)
    assert len(makers) == 1
    assert makers[0] is not threading.current_thread()  # whose loop answers others while the first one imports the SDK


INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}},
}


def test_requests_over_http_are_checked_as_those_of_the_api_are(
    settled: Path, counted: CountingEmbedder, tmp_path: Path
) -> None:
    accepted = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
    with served(settled / "index", tmp_path / "cache", token=TOKEN) as client:
        assert client.post("/mcp", json=INITIALIZE, headers=accepted).status_code == 401
        accepted["authorization"] = f"Bearer {TOKEN}"

        def status(**more: Any) -> int:
            given = {"json": INITIALIZE, **more, "headers": {**accepted, **more.get("headers", {})}}
            return client.post("/mcp", **given).status_code

        answer = client.post("/mcp", json=INITIALIZE, headers=accepted)
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
        assert answer.json()["result"]["serverInfo"]["name"] == "wave-search"
        assert status(headers={"origin": ADDRESS}) == 200
        assert status(headers={"origin": "https://evil.example"}) == 403
        assert status(headers={"host": "evil.example"}) == 403
        assert status(headers={"sec-fetch-site": "cross-site"}) == 403
        assert status(headers={"content-type": "text/plain"}) in (400, 415)
        assert status(json={"jsonrpc": "2.0", "method": "notifications/initialized"}) == 202
        assert status(json=None, content=b"x" * (1 << 20) + b"y") == 413
        assert status(json=None, content=b"{") == 400
        assert client.get("/mcp", headers=accepted).status_code == 405
        assert client.delete("/mcp", headers=accepted).status_code == 405


@pytest.mark.parametrize("target", ["/mcp", "/api/search"])
def test_a_request_that_breaks_off_is_no_fault(assistant: Assistant, target: str) -> None:
    app = create_app(assistant.service, ServeOptions(port=PORT), PORT)
    headers = [("host", f"127.0.0.1:{PORT}"), ("content-type", "application/json")]
    request = Hostile("POST", target, headers, b"{}" * 10, pieces=4, broken_off=True)
    assert asyncio.run(sent(app, request)).status == 400  # an exception would be logged with a traceback


def test_a_body_that_nobody_wants_is_not_read_to_its_end(assistant: Assistant) -> None:
    app = create_app(assistant.service, ServeOptions(port=PORT, limits=Limits(json_bytes=100)), PORT)
    target, host = f"/api/segments/{assistant.file('1.png')}/thumb", ("host", f"127.0.0.1:{PORT}")
    assert asyncio.run(sent(app, Hostile("GET", target, [host], b"x" * 9_999, pieces=99))).status == 200
    declared = Hostile("GET", target, [host, ("content-length", "9999")])
    assert asyncio.run(sent(app, declared)).status == 413


def stdio(cli: CommandLine, index: Path, cache: Path) -> StdioServerParameters:
    environment = {**cli.environment, "XDG_CACHE_HOME": str(cache)}
    return StdioServerParameters(command=str(cli.program), args=["mcp", "--index", str(index)], env=environment)


def test_it_is_served_over_stdio(cli: CommandLine, small_index: Path, tmp_path: Path) -> None:
    async def run() -> tuple[Any, ...]:
        async with Client(stdio_client(stdio(cli, small_index, tmp_path))) as client:
            found = await client.call_tool("search", {"query": "the moon", "limit": 2})
            name = (await client.call_tool("search", {"where": "name LIKE 'latin%'"})).structured_content
            return client.server_info.name, found, name

    name, found, odd = asyncio.run(run())
    assert (name, len(found.structured_content["moments"]), found.is_error) == ("wave-search", 2, False)
    assert odd["moments"][0]["path"].endswith("latin-�.flac")


@pytest.mark.parametrize("ending", ["closed", signal.SIGINT, signal.SIGTERM])
def test_stdout_is_the_protocol_and_the_process_ends(
    cli: CommandLine, tmp_path: Path, ending: signal.Signals | str
) -> None:
    call = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "library", "arguments": {}}}
    command = [cli.program, "mcp", "--index", tmp_path / "missing"]
    pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(command, env=cli.environment, text=True, **pipes) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        answers = []
        for message in (INITIALIZE, call):
            server.stdin.write(f"{json.dumps(message)}\n")
            server.stdin.flush()
            answers.append(json.loads(server.stdout.readline()))
        if isinstance(ending, signal.Signals):
            server.send_signal(ending)
            server.wait(60)
        output, errors = server.communicate(timeout=60)
    assert answers[0]["result"]["serverInfo"]["version"] == ws.__version__
    assert answers[1]["result"]["isError"] is True
    message = answers[1]["result"]["content"][0]["text"]
    assert message.startswith(f"there is no index at {tmp_path / 'missing'}. Create one with `wave-search index")
    assert (server.returncode, output, errors) == (0, "", "")
