"""The real application, in front of hostile requests.

A violation is an answer with a status of 500 or more (but 503 and 504), or with a traceback; an exception; an answer
without the headers that protect browsers; one to another site; anything that was read outside of the media of the
index; a file left in the folder of temporary files; and a hang.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import unquote_to_bytes

import wave_search as ws
from tests.hostile.library import BLAME, Judgement
from tests.hostile.requests import OWN_HOSTS, PORT, TOKEN, Hostile, Requests
from tests.hostile.sandbox import Sandbox, Watch, listing
from wave_search.serve.app import create_app
from wave_search.serve.options import Limits, ServeOptions
from wave_search.serve.service import Service

REQUESTS = 30
"""Of one input."""
LIMITS = Limits(upload_bytes=1 << 20, json_bytes=1 << 16, query_s=20.0, where_s=1.0)
SECRETS = (b"Dear diary", b"root:x:0:", b"All that I know", b"[build-system]", b"BEGIN OPENSSH", TOKEN.encode())
"""Contents of files that no answer may have, and the token."""


@dataclass
class Reply:
    """What the application sent."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


async def sent(app: Any, request: Hostile) -> Reply:
    """Send a request to the application, and wait for the end of its answer."""
    path, _, query = request.target.partition("?")
    step = max(1, -(-len(request.body) // request.pieces))
    chunks = [request.body[at : at + step] for at in range(0, len(request.body), step)] or [b""]
    if request.broken_off:
        chunks = chunks[: len(chunks) // 2]
    messages = [
        {"type": "http.request", "body": chunk, "more_body": request.broken_off or number < len(chunks) - 1}
        for number, chunk in enumerate(chunks)
    ]
    reply, ended = Reply(), asyncio.Event()

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(0)
        if messages:
            return messages.pop(0)
        if not request.broken_off:
            await ended.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            assert not reply.status, "two answers"
            reply.status = message["status"]
            reply.headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in message["headers"]}
        else:
            reply.body += message.get("body", b"")
            if not message.get("more_body"):
                ended.set()

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": "http",
        "path": unquote_to_bytes(path).decode("utf-8", "replace"),  # as uvicorn does
        "raw_path": path.encode("latin-1"),
        "root_path": "",
        "query_string": query.encode("latin-1"),
        "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in request.headers],
        "client": ("127.0.0.1", 50_000),
        "server": ("127.0.0.1", PORT),
        "state": {},
    }
    await app(scope, receive, send)
    return reply


def wrong_with(request: Hostile, reply: Reply) -> Iterator[str]:
    """What an answer is wrong with."""
    if request.broken_off:
        return
    if (reply.status >= 500 and reply.status not in (503, 504)) or not 200 <= reply.status < 600:
        yield f"status {reply.status}"
    if request.refused and reply.status not in (400, 401, 403):
        yield f"a request of another site, or without the token, is answered with {reply.status}"
    if request.target.startswith("/api/index/jobs") and request.method == "POST" and reply.status < 300:
        yield "a run over folders of strangers was started"
    if reply.headers.get("x-content-type-options") != "nosniff" or "content-security-policy" not in reply.headers:
        yield "headers that protect browsers are missing"
    if any(secret in reply.body for secret in SECRETS):
        yield "the answer has the content of another file"
    is_text = reply.headers.get("content-type", "").startswith(("application/json", "text/"))
    if is_text and (found := BLAME.search(reply.body.decode("utf-8", "replace"))):
        yield f"the answer has {found.group()!r}"
    is_of_range = reply.status in (400, 416) and any(name == "range" for name, _ in request.headers)  # by Starlette
    if request.target.startswith("/api/") and reply.status >= 400 and request.method != "HEAD" and not is_of_range:
        try:
            error = json.loads(reply.body)["error"]
            if not error["message"] or not error["remedy"]:
                yield "an error without message or remedy"
        except (ValueError, KeyError, TypeError):
            yield f"an error that is not JSON: {reply.body[:80]!r}"


def try_requests(sandbox: Sandbox, base: Path, number: int, chance: Random) -> tuple[Judgement, int]:
    """Send requests to a server of an index. Return the judgement and the peak of memory."""
    folder, needs_token = sandbox.fresh(), chance.random() < 0.5
    shutil.copytree(base, folder / "index")
    media = base.parent / "media"
    before = listing(media)

    def work(watch: Watch) -> tuple[str, list[str]]:
        temporary = folder / "tmp"
        temporary.mkdir()
        tempfile.tempdir = str(temporary)
        violations: list[str] = []
        opened_paths: set[str] = set()
        sys.addaudithook(lambda event, given: opened_paths.add(str(given[0])) if event == "open" else None)
        asyncio.run(
            _converse(
                folder,
                needs_token=needs_token,
                chance=chance,
                watch=watch,
                note=violations.append,
            )
        )
        outside = sorted(path for path in opened_paths if path.startswith((str(sandbox.home), "/etc/passwd")))
        violations += [f"read outside of the index: {path}" for path in outside]
        left = [path.name for path in temporary.iterdir()]
        violations += [f"left in the folder of temporary files: {left}"] if left else []
        if listing(media) != before:
            violations.append("media were changed")
        return "used", violations

    ending = sandbox.run(work)
    outcome, violations = ending.result or ("ended early", [ending.failure])
    what = "requests with a token" if needs_token else "requests"
    return Judgement(number, what, outcome, (*violations, *ending.violations)), ending.peak_bytes


async def _converse(
    folder: Path, *, needs_token: bool, chance: Random, watch: Watch, note: Callable[[str], None]
) -> None:
    token = TOKEN if needs_token else None
    options = ServeOptions(port=PORT, token=token, limits=LIMITS, allow_index=(folder / "allowed",))
    with ws.open(folder / "index") as opened, closing(Service(opened, options, folder / "cache")) as service:
        guard = create_app(service, options, PORT)
        plain = create_app(service, ServeOptions(port=PORT), PORT)
        described = json.loads((await sent(plain, Hostile("GET", "/api/openapi.json", [("host", OWN_HOSTS[0])]))).body)
        segments = [entry.segment.segment_id for entry in opened.browse(limit=100)]
        for _, request in zip(range(REQUESTS), Requests(described, segments, needs_token, chance), strict=False):
            try:
                reply = await sent(guard, request)
                wrong = list(wrong_with(request, reply))
            except Exception as error:
                wrong = [f"{type(error).__name__}: {error}"]
            for one in wrong:
                note(f"{one}: {_shown(request)}")
            watch.beat()


def _shown(request: Hostile) -> str:
    headers = [(name, value[:200]) for name, value in request.headers]
    broken = ", broken off" if request.broken_off else ""
    return f"{request.method[:20]} {request.target[:300]} {headers} {request.body[:600]!r}{broken}"
