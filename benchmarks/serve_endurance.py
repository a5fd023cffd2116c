"""What a server survives, for `serve.py`: kills under load, and a long time."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import shutil
import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np

import wave_search as ws
from benchmarks.results import Table
from benchmarks.serve_client import Answers, Connection, ask_at_rate, row
from benchmarks.serve_site import Site, media_index, served
from benchmarks.serve_users import HEAD, LIMIT, PLAYED, WORDS, play, playing, search_body

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from benchmarks.serve_client import Server


def kills(given: argparse.Namespace) -> list[Table]:
    """Kill the server under load; return what was lost."""
    index_dir, cache = media_index(given.work), given.work / "killed-cache"
    shutil.rmtree(cache, ignore_errors=True)
    known: dict[bytes, bytes] = {}
    asked = different = problems = 0
    for number in range(given.kills + 1):
        with served(index_dir, cache) as site:
            again = {request: asyncio.run(_once(site.server, request)) for request in known}
            different += sum(again[request] != body for request, body in known.items())
            asked += len(known)
            problems += len(ws.verify(index_dir))
            if number < given.kills:
                known |= _killed(site, number)
    left = sum(path.suffix == ".part" for path in cache.rglob("*"))
    head = ("kills", "problems of the index", "answers compared", "different", "unfinished files left")
    return [Table("Killed under load", head, [tuple(map(str, (given.kills, problems, asked, different, left)))])]


async def _once(server: Server, request: bytes) -> bytes:
    connection = Connection(server)
    status, body = await connection.ask(request.replace(b"@", f"{server.host}:{server.port}".encode()))
    connection.close()
    return _lasting(body) if status in ("200", "206") else status.encode()


def _lasting(body: bytes) -> bytes:
    """Return an answer without the time that it took."""
    return json.dumps(json.loads(body)["hits"]).encode() if body.startswith(b'{"hits"') else body


def _killed(site: Site, number: int) -> dict[bytes, bytes]:
    """Kill a server at a random moment while it answers; return what it answered, by request."""
    chance, answered = random.Random(number), {}
    here = f"{site.server.host}:{site.server.port}".encode()
    hits = site.get("/api/files?limit=200")["files"]
    media = [request for hit in hits if hit["kind"] in ("audio", "video") for request in playing(site.server, hit)]
    searches = [site.server.post("/api/search", search_body({"text": text})) for text in WORDS]
    wanted = chance.sample(media, min(40, len(media))) + searches
    chance.shuffle(wanted)

    async def ask(share: Sequence[bytes]) -> None:
        connection = Connection(site.server)
        for request in share:
            status, body = await connection.ask(request)
            if status in ("200", "206"):
                answered[request.replace(here, b"@")] = _lasting(body)

    async def ask_all() -> None:
        await asyncio.gather(*(ask(wanted[start::8]) for start in range(8)))

    killing = threading.Timer(0.2 + 3 * chance.random(), site.kill)
    killing.start()
    asyncio.run(ask_all())
    killing.join()
    return answered


def soak(given: argparse.Namespace) -> list[Table]:
    """Search, play and commit for a long time; return memory and errors."""
    index_dir = given.work / "soaked"
    shutil.rmtree(index_dir, ignore_errors=True)
    shutil.copytree(media_index(given.work), index_dir)
    ended = threading.Event()
    with served(index_dir, given.work / "cache") as site:
        hits = site.get(PLAYED)["files"]
        with ws.open(index_dir) as index:
            searches = _mixed(site.server, index.model.dim)
        commits, sizes = [0], [(0.0, site.memory_bytes())]
        side = [
            threading.Thread(target=_commit, args=(index_dir, given.work / "notes", ended, commits)),
            threading.Thread(target=_watch, args=(site, ended, sizes)),
        ]
        for thread in side:
            thread.start()
        seconds = 60 * given.minutes

        async def everything() -> tuple[Answers, ...]:
            searching = asyncio.create_task(ask_at_rate(site.server, searches, 20, seconds))
            return *await play(site.server, hits, 10, seconds), await searching

        played, by_words, searched = asyncio.run(everything())
        ended.set()
        for thread in side:
            thread.join()
    ways = {"20 searches/s, all different": searched, "5 searches/s by words": by_words, "10 players": played}
    rows = [row(name, answers) for name, answers in ways.items()]
    at_s, mib = np.array(sizes).T / [[1.0], [2**20]]
    settled = at_s >= at_s[-1] / 4
    slope = float(np.polyfit(at_s[settled] / 3600, mib[settled], 1)[0])
    shown = [mib[np.searchsorted(at_s, share * at_s[-1])] for share in (0.0, 0.25, 0.5, 0.75, 1.0)]
    figures = (f"{commits[0]}", *(f"{value:,.0f}" for value in shown), f"{slope:+.1f}")
    memory = ("commits", "at the start", "at 1/4", "at 1/2", "at 3/4", "at the end", "change an hour, after 1/4")
    return [
        Table(f"{given.minutes:g} minutes", HEAD, rows),
        Table("Private MiB of the server", memory, [figures]),
    ]


def _mixed(server: Server, dim: int) -> Iterator[bytes]:
    """Searches by new vectors, by texts and by segments of earlier results, and lists."""
    random_rows = np.random.default_rng(0)
    for number in itertools.count():
        term: dict[str, Any] = {"vector": random_rows.standard_normal(dim).round(5).tolist()}
        if number % 4 == 1:
            term = {"text": f"{WORDS[number % len(WORDS)]} {number % 1000}"}
        yield server.post("/api/search", search_body(*([] if number % 20 == 19 else [term]), offset=number % 3 * LIMIT))


def _commit(index_dir: Path, notes: Path, ended: threading.Event, commits: list[int]) -> None:
    """Add a text twice a minute, as `wave-search watch` does, and remove it again the next time."""
    notes.mkdir(exist_ok=True)
    note = notes / "note.txt"
    with ws.open(index_dir) as index:
        while not ended.wait(30):
            note.write_text(f"a note about {WORDS[commits[0] % len(WORDS)]}, number {commits[0]}", encoding="utf-8")
            index.add([notes])
            commits[0] += 1


def _watch(site: Site, ended: threading.Event, sizes: list[tuple[float, int]]) -> None:
    began_s = time.perf_counter()
    while not ended.wait(5):
        sizes.append((time.perf_counter() - began_s, site.memory_bytes()))
