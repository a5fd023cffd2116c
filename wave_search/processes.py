"""Interpreters that run beside this one, to confine libraries that may crash, hang or take all memory."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# Imports the package of this process. A script's directory, which may contain a "soundfile.py", comes last in the path.
_BOOT = """
import importlib
import sys
descriptor, module, numbers, package_parent, *paths = sys.argv[1:]
sys.path.insert(0, package_parent)
import wave_search
del sys.path[0]
sys.path.extend(entry for entry in paths if entry not in sys.path)
importlib.import_module(module).main(int(descriptor), *map(int, numbers.split()))
"""
_PACKAGE_PARENT = Path(__file__).resolve().parents[1]


def limit_memory(size_bytes: int) -> None:
    """Limit the data memory of this process (RLIMIT_DATA), unless the system has set a lower limit. Dump no core."""
    _, most_bytes = resource.getrlimit(resource.RLIMIT_DATA)
    if most_bytes == resource.RLIM_INFINITY or size_bytes < most_bytes:  # nobody may raise it
        resource.setrlimit(resource.RLIMIT_DATA, (size_bytes, size_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def start_python(program: Sequence[str], arguments: Sequence[str]) -> tuple[subprocess.Popen[bytes], Connection]:
    """Start an interpreter with a connection to it, in a session of its own, so that Ctrl-C does not reach it.

    Args:
        program: what to run: the path of a script, or "-c" and its text.
        arguments: what `sys.argv` has behind the number of the descriptor of the socket to this process.

    Raises:
        OSError: it cannot be started.
    """
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter
            [sys.executable, "-P", *program, str(theirs.fileno()), *arguments],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    return process, Connection(ours.detach())


def main_of(module: str, *numbers: int) -> tuple[list[str], list[str]]:
    """Return what `start_python` takes to call `main` of a module of this package.

    Args:
        module: its full name.
        numbers: what `main` is called with, behind the number of the descriptor.
    """
    return ["-c", _BOOT], [module, " ".join(map(str, numbers)), str(_PACKAGE_PARENT), *sys.path]


def pause(process_id: int) -> None:
    """Stop a process and all that it has started, wherever they are. Their clocks of CPU time stand still."""
    _signal(process_id, signal.SIGSTOP)  # first, so that it starts no more
    for descendant in _descendants(process_id):
        _signal(descendant, signal.SIGSTOP)


def resume(process_id: int) -> None:
    """Let a paused process and all that it has started continue."""
    for descendant in _descendants(process_id):
        _signal(descendant, signal.SIGCONT)
    _signal(process_id, signal.SIGCONT)  # last, so that it finds none of them stopped


def _signal(process_id: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(process_id, number)


def _descendants(process_id: int) -> Iterator[int]:
    """Yield the processes below a process, each before those below it. They may be in sessions of their own."""
    children: dict[int, list[int]] = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdecimal():
            with suppress(OSError):  # it has just ended
                state = Path(entry.path, "stat").read_text(encoding="utf-8", errors="replace")
                children.setdefault(int(state.rpartition(")")[2].split()[1]), []).append(int(entry.name))
    found = [process_id]
    for parent in found:
        found += children.get(parent, ())
        yield from children.get(parent, ())
