"""A served index in memory: the real application without a socket."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

import wave_search as ws
from wave_search.serve.app import create_app
from wave_search.serve.options import ServeOptions
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
