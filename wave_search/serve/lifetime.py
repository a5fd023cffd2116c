"""How long a server runs: until it is told to end, or until nobody has asked it for anything for some time."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.types import ASGIApp, Receive, Scope, Send

_NO_USE = ("/api/health", "/metrics")
"""Paths that monitors ask for, and open pages."""


class Lifetime:
    """Counts running requests, and knows when the last one ended. Safe to use from several threads.

    Args:
        idle_exit_s: seconds without a request after which the server ends; None for never.
    """

    def __init__(self, idle_exit_s: float | None) -> None:
        self._idle_exit_s, self._lock, self._told = idle_exit_s, threading.Lock(), False
        self._running, self._ended_s = 0, time.monotonic()

    @contextmanager
    def request(self) -> Iterator[None]:
        """Note a request as long as it runs."""
        with self._lock:
            self._running += 1
        try:
            yield
        finally:
            with self._lock:
                self._running -= 1
                self._ended_s = time.monotonic()

    def stay(self) -> None:
        """Note that something else goes on."""
        with self._lock:
            self._ended_s = time.monotonic()

    def end(self) -> None:
        """Let the server end."""
        self._told = True

    def is_over(self) -> bool:
        """Return whether the server should end."""
        if self._told or self._idle_exit_s is None:
            return self._told
        with self._lock:
            return not self._running and time.monotonic() - self._ended_s >= self._idle_exit_s

    def noted(self, app: ASGIApp) -> ASGIApp:
        """Return an application whose requests are noted, except for those that only look whether it is there."""

        async def noting(scope: Scope, receive: Receive, send: Send) -> None:
            with nullcontext() if scope.get("path") in _NO_USE else self.request():
                await app(scope, receive, send)

        return noting
