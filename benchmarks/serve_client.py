"""A client that asks a server at a steady rate, whatever the server does: what many independent users are together.

A request counts from the moment at which it was due, not from when it was sent, so that a server that falls behind
cannot hide it. HTTP is written by hand: on the machine that is measured, a client must cost little.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

_PATIENCE_S = 120.0


@dataclass(slots=True)
class Answers:
    """What came back."""

    seconds: list[float] = field(default_factory=list)
    """Of each request that was answered with 200 or 206, from when it was due to the last byte."""
    statuses: Counter[str] = field(default_factory=Counter)
    """Number of answers by status, and of failures by the name of the error."""
    size_bytes: int = 0
    took_s: float = 0.0

    def add(self, status: str, seconds: float, size_bytes: int = 0) -> None:
        """Count an answer."""
        self.statuses[status] += 1
        self.size_bytes += size_bytes
        if status in ("200", "206"):
            self.seconds.append(seconds)

    def join(self, other: Answers) -> None:
        """Add the answers of another run."""
        self.seconds += other.seconds
        self.statuses.update(other.statuses)
        self.size_bytes += other.size_bytes
        self.took_s += other.took_s

    @property
    def errors(self) -> int:
        """Number of requests without a good answer."""
        return self.statuses.total() - len(self.seconds)

    def ms(self, share: float) -> float:
        """Milliseconds within which a share of the requests were answered."""
        ordered = sorted(self.seconds)
        return 1e3 * ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else float("nan")


@dataclass(frozen=True, slots=True)
class Server:
    """Where a server listens."""

    host: str
    port: int

    @classmethod
    def at(cls, address: str) -> Server:
        """Read an address as the server prints it."""
        host, _, port = address.removeprefix("http://").rstrip("/").rpartition(":")
        return cls(host, int(port))

    def post(self, path: str, body: bytes) -> bytes:
        """Write a request with JSON."""
        head = f"POST {path} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\nContent-Length: {len(body)}\r\n"
        return head.encode() + b"Content-Type: application/json\r\n\r\n" + body

    def get(self, path: str, span: str | None = None) -> bytes:
        """Write a request for a path, or for a range of bytes of it such as "0-99"."""
        head = f"GET {path} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\n"
        return (head + (f"Range: bytes={span}\r\n\r\n" if span else "\r\n")).encode()


class Connection:
    """A connection that is kept between requests, and opened again when the server closes it."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: bytes) -> tuple[str, bytes]:
        """Send a request and return the status and the body of its answer; the name of the error if it fails."""
        try:
            async with asyncio.timeout(_PATIENCE_S):
                return await self._answer(request)
        except (OSError, asyncio.IncompleteReadError) as error:  # TimeoutError is an OSError
            self.close()
            return type(error).__name__, b""

    async def _answer(self, request: bytes) -> tuple[str, bytes]:
        if self._streams is not None and self._streams[0].at_eof():
            self.close()  # the server has closed it, as it was not used for seconds
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._server.host, self._server.port, limit=1 << 20)
        reader, writer = self._streams
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        size = head.partition(b"content-length:")[2].split(b"\r\n", 1)[0]
        return head[9:12].decode(), await reader.readexactly(int(size or b"0"))

    def close(self) -> None:
        """Close the connection."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def ask_at_rate(
    server: Server, requests: Iterator[bytes], rate: float, seconds: float, connections: int = 64
) -> Answers:
    """Ask at a steady rate.

    Args:
        server: where.
        requests: as many as are needed.
        rate: requests per second.
        seconds: for how long.
        connections: most requests under way at once; further ones wait here, which counts as the server's time.
    """
    answers, began_s = Answers(), time.perf_counter()
    free: asyncio.Queue[Connection] = asyncio.Queue()
    everyone = [Connection(server) for _ in range(connections)]
    for one in everyone:
        free.put_nowait(one)

    async def ask(due_s: float, request: bytes) -> None:
        connection = await free.get()
        status, body = await connection.ask(request)
        free.put_nowait(connection)
        answers.add(status, time.perf_counter() - due_s, len(body))

    ticks = _ticks(began_s, rate, seconds)
    await asyncio.gather(*[asyncio.create_task(ask(due_s, next(requests))) async for due_s in ticks])
    answers.took_s = time.perf_counter() - began_s
    for one in everyone:
        one.close()
    return answers


async def _ticks(began_s: float, rate: float, seconds: float) -> AsyncIterator[float]:
    for number in range(int(rate * seconds)):
        due_s = began_s + number / rate
        if (wait_s := due_s - time.perf_counter()) > 0:
            await asyncio.sleep(wait_s)
        yield due_s


async def ask_without_pause(server: Server, requests: Iterator[bytes], seconds: float, connections: int) -> Answers:
    """Ask on each of several connections as soon as its last request is answered."""
    answers, began_s = Answers(), time.perf_counter()

    async def ask() -> None:
        connection = Connection(server)
        while (sent_s := time.perf_counter()) < began_s + seconds:
            status, body = await connection.ask(next(requests))
            answers.add(status, time.perf_counter() - sent_s, len(body))
        connection.close()

    await asyncio.gather(*(ask() for _ in range(connections)))
    answers.took_s = time.perf_counter() - began_s
    return answers


def row(name: str, answers: Answers) -> tuple[str, ...]:
    """Return the figures as cells: name, answers/s, p50, p99, slowest in ms, errors."""
    rate = len(answers.seconds) / answers.took_s
    figures = (answers.ms(0.5), answers.ms(0.99), answers.ms(1.0))
    return (name, f"{rate:,.0f}", *(f"{ms:.1f}" for ms in figures), f"{answers.errors}")
