"""A server that answers like the Hugging Face hub, for the models that a test puts there."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LARGE_BYTES = 1000
"""From this size on, the hub knows a file by its SHA-256."""


@dataclass
class Hub:
    """What is on the hub, and what has been asked for."""

    address: str
    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    """Of each model, by name."""
    requests: list[tuple[str, str]] = field(default_factory=list)
    """Name of each file that was asked for, and the range."""
    breaks_after: int | None = None
    """Number of bytes after which each connection is broken off."""
    ignores_ranges: bool = False
    status: int | None = None
    """With which all files are refused."""

    def listing(self, repo_id: str) -> dict[str, object]:
        siblings = []
        for name, content in self.files[repo_id].items():
            git = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
            large = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest(), "pointerSize": 130}
            lfs = {"lfs": large} if len(content) >= LARGE_BYTES else {}
            siblings.append({"rfilename": name, "size": len(content), "blobId": git, **lfs})
        return {"id": repo_id, "sha": COMMIT, "siblings": siblings}


@contextmanager
def hub_server() -> Iterator[Hub]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            if found := re.fullmatch(r"/api/models/(.+/.+)/revision/(.+)", path):
                self._listing(*found.groups())
            elif found := re.fullmatch(rf"/(.+?/.+?)/resolve/{COMMIT}/(.+)", path):
                self._file(*found.groups())
            else:
                self._answer(404, b"")

        def _listing(self, repo_id: str, revision: str) -> None:
            if repo_id not in hub.files:
                self._answer(404, b"", **{"X-Error-Code": "RepoNotFound"})
            elif revision not in ("main", COMMIT):
                self._answer(404, b"", **{"X-Error-Code": "RevisionNotFound"})
            else:
                self._answer(200, json.dumps(hub.listing(repo_id)).encode())

        def _file(self, repo_id: str, name: str) -> None:
            content, asked = hub.files[repo_id][name], self.headers.get("Range", "")
            hub.requests.append((name, asked))
            if hub.status is not None:
                self._answer(hub.status, b"")
                return
            begun = 0 if hub.ignores_ranges else int(asked.removeprefix("bytes=").partition("-")[0] or 0)
            self._answer(206 if begun else 200, content[begun:], hub.breaks_after)

        def _answer(self, status: int, body: bytes, breaks_after: int | None = None, **headers: str) -> None:
            self.send_response(status)
            for header, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(header, value)
            self.end_headers()
            self.wfile.write(body[:breaks_after])
            if breaks_after is not None:
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub = Hub(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
