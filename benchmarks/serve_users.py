"""What people do with a server, for `serve.py`: search, and play files and clips."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import time
from typing import TYPE_CHECKING, Any

from benchmarks.serve_client import Answers, Connection, ask_at_rate

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.serve_client import Server

LIMIT = 24
CHUNK_BYTES = 256 << 10
WORDS = ("a dog barks", "rain", "a bell", "the sea", "a bird", "music", "a red car", "people talk", "fire", "a clock")
HEAD = ("way", "answers/s", "p50 ms", "p99 ms", "slowest ms", "errors")
"""Of tables whose rows are `serve_client.row`."""
PLAYED = "/api/files?limit=200&where=kind%20IN%20('audio','video')"
"""Path of the list of what can be played."""


def search_body(*terms: dict[str, Any], **fields: Any) -> bytes:
    """Return the body of a search."""
    return json.dumps({"terms": terms, "limit": LIMIT, **fields}).encode()


def playing(server: Server, hit: dict[str, Any]) -> Iterator[bytes]:
    """What a browser asks for to play a file from its beginning, and then a clip of it."""
    path = f"/api/segments/{hit['segment']}"
    yield server.get(f"{path}/media", f"0-{CHUNK_BYTES - 1}")
    yield server.get(f"{path}/media", "1024-65535")
    yield server.get(f"{path}/clip")
    yield server.get(f"{path}/thumb" if hit["kind"] == "video" else f"{path}/peaks")


async def make(server: Server, hits: Sequence[dict[str, Any]]) -> Answers:
    """Ask for all that players will ask for, so that it is converted."""
    requests = [request for hit in hits for request in playing(server, hit)]
    made, began_s = Answers(), time.perf_counter()

    async def ask(share: Sequence[bytes]) -> None:
        connection = Connection(server)
        for request in share:
            asked_s = time.perf_counter()
            status, body = await connection.ask(request)
            made.add(status, time.perf_counter() - asked_s, len(body))
        connection.close()

    await asyncio.gather(*(ask(requests[start::4]) for start in range(4)))
    made.took_s = time.perf_counter() - began_s
    return made


async def play(server: Server, hits: Sequence[dict[str, Any]], players: int, seconds: float) -> tuple[Answers, Answers]:
    """Each player asks for a file in chunks, for a clip and for a picture of it, a second apart, as a browser plays."""
    played, began_s = Answers(), time.perf_counter()

    async def play(number: int) -> None:
        chance, connection = random.Random(number), Connection(server)
        await asyncio.sleep(chance.random())
        while time.perf_counter() < began_s + seconds:
            for request in playing(server, chance.choice(hits)):
                asked_s = time.perf_counter()
                status, body = await connection.ask(request)
                played.add(status, time.perf_counter() - asked_s, len(body))
                await asyncio.sleep(1.0)
        connection.close()

    words = itertools.cycle([server.post("/api/search", search_body({"text": text})) for text in WORDS])
    searching = ask_at_rate(server, words, 5, seconds)
    *_, searched = await asyncio.gather(*(play(number) for number in range(players)), searching)
    played.took_s = time.perf_counter() - began_s
    return played, searched
