"""The server under load: searches, players, a long run, and kills.

    python benchmarks/serve.py [--parts load,players,kills,soak] [--rate 200] [--seconds 30] [--players 50]
                               [--kills 10] [--minutes 20] [--count 100000] [--dim 192] [--work DIR] [--out DIR]

"load": searches by vector with metadata (paths, times, kinds), one by one at a steady rate, as from many independent
users; and as fast as the server answers. The peer is `Index.search` in this process, without HTTP, for the same
queries. "players": people who play ranges of files and clips, while someone searches. "kills": the server is killed
(kill -9) under load, again and again; afterwards the index is verified, and a new server must answer everything that
was answered before, bit by bit. "soak": all of it at a moderate rate, with a commit twice a minute, while the memory is
watched.

The server and its clients share the machine. Each part replaces its own section of RESULTS.md.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import random
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
from benchmarks.serve_site import Site, media_index, served, vector_index
from benchmarks.vectors import Library

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from benchmarks.serve_client import Server

QUERIES = 500
LIMIT = 24
ROUNDS = 3
CHUNK_BYTES = 256 << 10
WORDS = ("a dog barks", "rain", "a bell", "the sea", "a bird", "music", "a red car", "people talk", "fire", "a clock")
_HEAD = ("way", "answers/s", "p50 ms", "p99 ms", "slowest ms", "errors")


def load(given: argparse.Namespace) -> list[Table]:
    """Search by vectors over HTTP and in this process."""
    index_dir = vector_index(given.work, given.count, given.dim)
    vectors = Library(given.dim).queries("cross", QUERIES, given.count)
    bodies = [_search({"vector": [round(float(value), 7) for value in row]}) for row in vectors]
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
    return [Table(title, (*_HEAD, "server CPU ms each"), rows), equal]


def _search(*terms: dict[str, Any], **fields: Any) -> bytes:
    return json.dumps({"terms": terms, "limit": LIMIT, **fields}).encode()


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
        hits = site.get("/api/files?limit=200&where=kind%20IN%20('audio','video')")["files"]
        made = asyncio.run(_make(site.server, hits))
        played, searched = asyncio.run(_play(site.server, hits, given))
        rows = [row("everything for the first time, 4 at once", made)]
        rows += [row(f"{given.players} players", played), row("a search every 0.2 s, meanwhile", searched)]
        rate = f"{played.size_bytes / played.took_s / 2**20:.1f}"
        memory = f"{site.memory_bytes() / 2**20:,.0f}"
    more = Table("Players", ("MiB/s sent", "private MiB of the server"), [(rate, memory)])
    return [Table(f"{given.players} players at once, {given.seconds:g} s", _HEAD, rows), more]


async def _make(server: Server, hits: Sequence[dict[str, Any]]) -> Answers:
    """Ask for all that players will ask for, so that it is converted."""
    requests = [request for hit in hits for request in _requests(server, hit)]
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


async def _play(server: Server, hits: Sequence[dict[str, Any]], given: argparse.Namespace) -> tuple[Answers, Answers]:
    """Each player asks for a file in chunks, for a clip and for a picture of it, a second apart, as a browser plays."""
    played, began_s = Answers(), time.perf_counter()

    async def play(number: int) -> None:
        chance, connection = random.Random(number), Connection(server)
        await asyncio.sleep(chance.random())
        while time.perf_counter() < began_s + given.seconds:
            for request in _requests(server, chance.choice(hits)):
                asked_s = time.perf_counter()
                status, body = await connection.ask(request)
                played.add(status, time.perf_counter() - asked_s, len(body))
                await asyncio.sleep(1.0)
        connection.close()

    words = itertools.cycle([server.post("/api/search", _search({"text": text})) for text in WORDS])
    searching = ask_at_rate(server, words, 5, given.seconds)
    *_, searched = await asyncio.gather(*(play(number) for number in range(given.players)), searching)
    played.took_s = time.perf_counter() - began_s
    return played, searched


def _requests(server: Server, hit: dict[str, Any]) -> Iterator[bytes]:
    """What a browser asks for to play a file from its beginning, and then a clip of it."""
    path = f"/api/segments/{hit['segment']}"
    yield server.get(f"{path}/media", f"0-{CHUNK_BYTES - 1}")
    yield server.get(f"{path}/media", "1024-65535")
    yield server.get(f"{path}/clip")
    yield server.get(f"{path}/thumb" if hit["kind"] == "video" else f"{path}/peaks")


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
    media = [request for hit in hits if hit["kind"] in ("audio", "video") for request in _requests(site.server, hit)]
    searches = [site.server.post("/api/search", _search({"text": text})) for text in WORDS]
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
        hits = site.get("/api/files?limit=200&where=kind%20IN%20('audio','video')")["files"]
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
        options = argparse.Namespace(players=10, seconds=seconds)

        async def everything() -> tuple[Answers, ...]:
            searching = asyncio.create_task(ask_at_rate(site.server, searches, 20, seconds))
            return *await _play(site.server, hits, options), await searching

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
        Table(f"{given.minutes:g} minutes", _HEAD, rows),
        Table("Private MiB of the server", memory, [figures]),
    ]


def _mixed(server: Server, dim: int) -> Iterator[bytes]:
    """Searches by new vectors, by texts and by segments of earlier results, and lists."""
    random_rows = np.random.default_rng(0)
    for number in itertools.count():
        term: dict[str, Any] = {"vector": random_rows.standard_normal(dim).round(5).tolist()}
        if number % 4 == 1:
            term = {"text": f"{WORDS[number % len(WORDS)]} {number % 1000}"}
        yield server.post("/api/search", _search(*([] if number % 20 == 19 else [term]), offset=number % 3 * LIMIT))


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


_PARTS: dict[str, tuple[str, Callable[[argparse.Namespace], list[Table]]]] = {
    "load": ("Server, searches", load),
    "players": ("Server, players", players),
    "kills": ("Server, kills", kills),
    "soak": ("Server, long run", soak),
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
