"""A served index: the real application in memory, without a socket, or at one."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx2 as httpx
import uvicorn
from starlette.testclient import TestClient

import wave_search as ws
from wave_search.serve.app import create_app
from wave_search.serve.options import ServeOptions
from wave_search.serve.server import Server
from wave_search.serve.service import Service

PORT = 8765
ADDRESS = f"http://127.0.0.1:{PORT}"


@contextmanager
def served(index: Path, cache: Path, **options: Any) -> Iterator[TestClient]:
    """Serve an index, and yield a client on this machine."""
    chosen = ServeOptions(port=PORT, **options)
    with (
        ws.open(index) as opened,
        closing(Service(opened, chosen, cache)) as service,
        TestClient(
            create_app(service, chosen, PORT), ADDRESS, raise_server_exceptions=False, client=("127.0.0.1", 50_000)
        ) as client,
    ):
        yield client


def find(client: TestClient, name: str) -> dict[str, Any]:
    """The listed file of a name, as a hit. Without a condition, which would start a process."""
    (hit,) = (hit for hit in client.post("/api/search", json={"limit": 200}).json()["hits"] if hit["name"] == name)
    return dict(hit)


@contextmanager
def listening(index: Path, cache: Path, port: int = 0, **options: Any) -> Iterator[tuple[httpx.Client, Service]]:
    """Serve an index at a port, or any free one, for answers that come bit by bit; yields a client and the state.

    The model is not loaded before it is needed.
    """
    chosen = ServeOptions(port=port, **options)
    with (
        socket.create_server(("127.0.0.1", port)) as listener,
        ws.open(index) as opened,
        closing(Service(opened, chosen, cache)) as service,
    ):
        port = listener.getsockname()[1]
        app = create_app(service, chosen, port)
        server = Server(uvicorn.Config(app, log_config=None, lifespan="off"), lambda: None, service.jobs)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
                yield client, service
        finally:
            server.should_exit = True
            thread.join()
