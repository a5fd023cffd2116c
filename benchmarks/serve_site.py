"""Indexes to serve, and servers of them as processes, for `serve.py`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import wave_search as ws
from benchmarks.ann_ours import Ours
from benchmarks.peak import private_bytes
from benchmarks.serve_client import Server
from benchmarks.vectors import Library

if TYPE_CHECKING:
    from collections.abc import Iterator

MEDIA = Path(__file__).resolve().parents[1] / "demo" / "media"


@dataclass(frozen=True, slots=True)
class Site:
    """A running server."""

    process: subprocess.Popen[str]
    server: Server

    def get(self, path: str) -> Any:
        """Ask for JSON."""
        return json.loads(self.read(path))

    def read(self, path: str) -> bytes:
        """Ask for bytes. Raises HTTPError."""
        with urllib.request.urlopen(f"http://{self.server.host}:{self.server.port}{path}") as answer:
            return bytes(answer.read())

    def cpu_s(self) -> float:
        """CPU seconds of the server so far, without its decoder processes."""
        ticks = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[11:13]
        return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")

    def memory_bytes(self) -> int:
        """Private memory of the server."""
        return private_bytes(self.process.pid)

    def kill(self) -> None:
        """End it without warning."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@contextmanager
def served(index: Path, cache: Path) -> Iterator[Site]:
    """Serve an index at any free port."""
    command = [sys.executable, "-m", "wave_search", "serve", "--index", str(index), "--port", "0", "--quiet"]
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            address = process.stdout.readline().strip()
            if not address:
                raise RuntimeError(f"the server of {index} did not start")
            yield Site(process, Server.at(address))
        finally:
            process.send_signal(signal.SIGINT)
            process.wait()


def vector_index(work: Path, count: int, dim: int) -> Path:
    """Return an index of vectors in place of a model's embeddings, with shards; made once."""
    folder = work / f"{count}x{dim}"
    if not (folder / "built").exists():
        folder.mkdir(parents=True)
        Ours(public=True).build(np.concatenate(list(Library(dim).items(count))), folder)
        (folder / "built").touch()
    return folder / "index"


def media_index(work: Path, model: str = "wave-tiny") -> Path:
    """Return an index of the demo's media; made once. Where the model does not matter, it is the smallest one."""
    index = work / f"media-{model}"
    if not ws.exists(index):
        with ws.create(index, model) as created:
            created.add([MEDIA])
    return index
