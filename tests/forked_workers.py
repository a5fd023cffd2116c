"""Starts what `wave_search.processes` starts as forks of a server: a start takes 0.05 CPU seconds instead of 0.25."""

from __future__ import annotations

import importlib
import os
import select
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tests.fork_client import ask

STARTS_PROCESSES = ("wave_search.media.worker_process", "wave_search.store.sql_filter")
"""The modules that start processes which need few libraries."""
STARTS_RUNS = "wave_search.serve.job_process"
"""The module that starts runs of `index`."""


class ForkedProcess:
    """A forked process, with what is used of `subprocess.Popen`. It is killed when this process ends.

    Args:
        server: the socket of the server that forks it.
        arguments: the interpreter, its program and the arguments of that.
        file: a descriptor that it inherits.

    Raises:
        OSError: the server cannot be asked.
    """

    def __init__(self, server: Path, arguments: Sequence[str], file: int) -> None:
        null = os.open(os.devnull, os.O_RDWR)
        try:
            streams = {0: null, 1: null, 2: null, file: file}
            self._server, self.pid = ask(str(server), [*arguments], streams)
        finally:
            os.close(null)
        assert self.pid, f"the fork server has ended: {server.parent}/log"
        self._lock = threading.Lock()
        self._code: int | None = None

    def poll(self) -> int | None:
        """Return its exit status, negative for a signal; None while it runs."""
        with suppress(subprocess.TimeoutExpired):
            return self.wait(0)
        return None

    def wait(self, timeout_s: float | None = None) -> int:
        """Return its exit status once it has ended."""
        with self._lock:
            if self._code is None:
                if not select.select([self._server], [], [], timeout_s)[0]:
                    raise subprocess.TimeoutExpired("a forked process", timeout_s or 0)
                status = self._server.recv(4, socket.MSG_WAITALL)
                self._server.close()
                self._code = os.waitstatus_to_exitcode(int.from_bytes(status, "little"))
            return self._code

    def kill(self) -> None:
        """Kill it, unless it has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)


def forked_at(
    folder: Path, kind: str = "workers", python: str = "python"
) -> Callable[[Sequence[str], Sequence[str]], tuple[ForkedProcess, Connection]]:
    """Return what stands in for `processes.start_python`.

    Args:
        folder: of the fork server.
        kind: of what is forked.
        python: name of the interpreter, as that kind of server knows it.
    """

    def start(program: Sequence[str], arguments: Sequence[str]) -> tuple[ForkedProcess, Connection]:
        ours, theirs = socket.socketpair()
        with theirs:
            file = theirs.fileno()
            process = ForkedProcess(folder / kind, [python, "-P", *program, str(file), *arguments], file)
        return process, Connection(ours.detach())

    return start


def start_workers_with(start: Callable[..., Any]) -> None:
    """Let this process start its workers with another function than `processes.start_python`."""
    for module in STARTS_PROCESSES:
        vars(importlib.import_module(module))["start_python"] = start
