"""The server under load: searches, players, a long run, and kills.

    python benchmarks/serve.py [--parts load,players,kills,soak,page] [--rate 200] [--seconds 30] [--players 50]
                               [--kills 10] [--minutes 20] [--count 100000] [--dim 192] [--work DIR] [--out DIR]

"load": searches by vector with metadata (paths, times, kinds), one by one at a steady rate, as from many independent
users; and as fast as the server answers. The peer is `Index.search` in this process, without HTTP, for the same
queries. "players": people who play ranges of files and clips, while someone searches. "kills": the server is killed
(kill -9) under load, again and again; afterwards the index is verified, and a new server must answer everything that
was answered before, bit by bit. "soak": all of it at a moderate rate, with a commit twice a minute, while the memory is
watched. "page": a person who searches the demo's media in Chromium; how soon results are on the screen, and how soon it
answers other keys and clicks.

The server and its clients share the machine. Each part replaces its own section of RESULTS.md.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import shutil
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

import wave_search as ws
from benchmarks.results import Table, machine, publish
from benchmarks.serve_client import Answers, Connection, ask_at_rate, ask_without_pause, row
from benchmarks.serve_endurance import kills, soak
from benchmarks.serve_page import page
from benchmarks.serve_site import Site, media_index, served, vector_index
from benchmarks.serve_users import HEAD, LIMIT, PLAYED, make, play, search_body
from benchmarks.vectors import Library

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.serve_client import Server

QUERIES = 500
ROUNDS = 3


def load(given: argparse.Namespace) -> list[Table]:
    """Search by vectors over HTTP and in this process."""
    index_dir = vector_index(given.work, given.count, given.dim)
    vectors = Library(given.dim).queries("cross", QUERIES, given.count)
    bodies = [search_body({"vector": [round(float(value), 7) for value in row]}) for row in vectors]
    total: dict[str, Answers] = {}
    cpu_s: dict[str, float] = {}
    with ws.open(index_dir) as index, served(index_dir, given.work / "cache") as site:
        requests = [site.server.post("/api/search", body) for body in bodies]
        sent = [np.array(json.loads(body)["terms"][0]["vector"], np.float32) for body in bodies]
        same = _equal(index, sent, site, requests)
        ways: dict[str, Callable[[], Answers]] = {
            "Index.search, 1 thread": lambda: _in_process(index, sent, given.seconds, 1),
            "Index.search, 8 threads": lambda: _in_process(index, sent, given.seconds, 8),
            f"HTTP, {given.rate}/s": lambda: asyncio.run(
                ask_at_rate(site.server, itertools.cycle(requests), given.rate, given.seconds)
            ),
            "HTTP, 1 connection": lambda: _busy(site.server, requests, given.seconds, 1),
            "HTTP, 8 connections": lambda: _busy(site.server, requests, given.seconds, 8),
        }
        for name, run in itertools.chain.from_iterable([ways.items()] * ROUNDS):
            began_s = site.cpu_s()
            total.setdefault(name, Answers()).join(run())
            cpu_s[name] = cpu_s.get(name, 0.0) + site.cpu_s() - began_s
    rows = []
    for name, answers in total.items():
        each_ms = f"{1e3 * cpu_s[name] / len(answers.seconds):.2f}" if name.startswith("HTTP") else ""
        rows.append((*row(name, answers), each_ms))
    title = f"Search by vector, {given.count:,} segments of {given.dim} dimensions, {LIMIT} hits with metadata"
    equal = Table("The same hits over HTTP, 8 at once, as in this process", ("queries", "equal"), [same])
    return [Table(title, (*HEAD, "server CPU ms each"), rows), equal]


def _in_process(index: ws.Index, vectors: Sequence[Any], seconds: float, threads: int) -> Answers:
    answers, lock, began_s = Answers(), threading.Lock(), time.perf_counter()
    rows = itertools.cycle(vectors)

    def ask() -> None:
        while (asked_s := time.perf_counter()) < began_s + seconds:
            index.search(vector=next(rows), k=LIMIT + 1)
            with lock:
                answers.add("200", time.perf_counter() - asked_s)

    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(ask) for _ in range(threads)]:
            done.result()
    answers.took_s = time.perf_counter() - began_s
    return answers


def _busy(server: Server, requests: Sequence[bytes], seconds: float, connections: int) -> Answers:
    return asyncio.run(ask_without_pause(server, itertools.cycle(requests), seconds, connections))


def _equal(index: ws.Index, vectors: Sequence[Any], site: Site, requests: Sequence[bytes]) -> tuple[str, str]:
    """Compare the hits of all queries, sent eight at once, with those of the index in this process."""

    async def ask(share: Sequence[bytes]) -> list[Any]:
        connection = Connection(site.server)
        found = [json.loads((await connection.ask(request))[1])["hits"] for request in share]
        connection.close()
        return found

    async def ask_all() -> list[list[Any]]:
        return await asyncio.gather(*(ask(requests[start::8]) for start in range(8)))

    shares = asyncio.run(ask_all())
    equal = 0
    for number, vector in enumerate(vectors):
        hits = index.search(vector=vector, k=LIMIT + 1)[:LIMIT]
        theirs = [(hit["segment"], hit["score"], hit["z"]) for hit in shares[number % 8][number // 8]]
        equal += theirs == [(hit.segment_id, round(hit.score, 6), round(hit.z, 4)) for hit in hits]
    return f"{len(vectors)}", f"{equal}"


def players(given: argparse.Namespace) -> list[Table]:
    """Play ranges of files and clips on many connections, while someone searches."""
    index_dir, cache = media_index(given.work), given.work / "played-cache"
    shutil.rmtree(cache, ignore_errors=True)
    with served(index_dir, cache) as site:
        hits = site.get(PLAYED)["files"]
        made = asyncio.run(make(site.server, hits))
        played, searched = asyncio.run(play(site.server, hits, given.players, given.seconds))
        rows = [row("everything for the first time, 4 at once", made)]
        rows += [row(f"{given.players} players", played), row("a search every 0.2 s, meanwhile", searched)]
        rate = f"{played.size_bytes / played.took_s / 2**20:.1f}"
        memory = f"{site.memory_bytes() / 2**20:,.0f}"
    more = Table("Players", ("MiB/s sent", "private MiB of the server"), [(rate, memory)])
    return [Table(f"{given.players} players at once, {given.seconds:g} s", HEAD, rows), more]


_PARTS: dict[str, tuple[str, Callable[[argparse.Namespace], list[Table]]]] = {
    "load": ("Server, searches", load),
    "players": ("Server, players", players),
    "kills": ("Server, kills", kills),
    "soak": ("Server, long run", soak),
    "page": ("Server, page", page),
}
_NOTES = """Server and clients on the same machine. At a steady rate, times count from when a request was due."""


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default=",".join(_PARTS))
    parser.add_argument("--rate", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--players", type=int, default=50)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=192)
    parser.add_argument("--work", type=Path, default=Path("build/serve"))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    given = parser.parse_args()
    given.work = given.work.absolute()
    given.work.mkdir(parents=True, exist_ok=True)
    for part in given.parts.split(","):
        section, run = _PARTS[part]
        about = machine(2, "wall") | {"command": f"python benchmarks/serve.py --parts {part}"}
        publish(given.out / "RESULTS.md", section, about, run(given), _NOTES)


if __name__ == "__main__":
    main()
