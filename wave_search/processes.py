"""Interpreters that run beside this one, to confine libraries that may crash, hang or take all memory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from multiprocessing import connection as connections
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wave_search import system

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from multiprocessing.connection import Connection

PROC = Path("/proc")
"""Where Linux describes all processes."""
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


def start_python(program: Sequence[str], arguments: Sequence[str]) -> tuple[subprocess.Popen[bytes], Connection]:
    """Start an interpreter with a connection to it, in a session of its own, so that Ctrl-C does not reach it.

    Args:
        program: what to run: the path of a script, or "-c" and its text.
        arguments: what `sys.argv` has behind the number by which `connection_to_parent` finds this process.

    Raises:
        OSError: it cannot be started.
    """
    ours, theirs = connections.Pipe()
    with theirs:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter
            [sys.executable, "-P", *program, str(theirs.fileno()), *arguments],
            stdin=subprocess.DEVNULL if system.HAS_DEATH_SIGNAL else subprocess.PIPE,  # see `end_with_parent`
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **_inheriting(theirs.fileno()),
        )
    return process, ours


def detached() -> dict[str, Any]:
    """Return what `subprocess.Popen` takes to start a process that neither Ctrl-C nor the end of a terminal reaches."""
    if sys.platform != "win32":
        return {"start_new_session": True}
    return {"creationflags": subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP}


def _inheriting(number: int) -> dict[str, Any]:
    if sys.platform != "win32":
        return {"pass_fds": [number], **detached()}
    os.set_handle_inheritable(number, True)
    return {"startupinfo": subprocess.STARTUPINFO(lpAttributeList={"handle_list": [number]}), **detached()}


def connection_to_parent(number: int) -> Connection:
    """Return the connection to the process that has started this one, by the number that it was started with."""
    if sys.platform == "win32":
        return connections.PipeConnection(number)
    return connections.Connection(number)


def main_of(module: str, *numbers: int) -> tuple[list[str], list[str]]:
    """Return what `start_python` takes to call `main` of a module of this package.

    Args:
        module: its full name.
        numbers: what `main` is called with, behind the number of the connection.
    """
    return ["-c", _BOOT], [module, " ".join(map(str, numbers)), str(_PACKAGE_PARENT), *sys.path]


def end_with_parent(parent: int) -> None:
    """End this process when that which has started it has ended, even while a library computes.

    The kernel does that on Linux. Elsewhere a thread waits for the end of stdin, a pipe to which the parent writes
    nothing.

    Args:
        parent: id of the process that has called `start_python`.
    """
    if system.HAS_DEATH_SIGNAL:
        system.signal_at_death_of_parent(signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(0)
        return
    threading.Thread(target=_end_at_end_of_stdin, daemon=True).start()


def _end_at_end_of_stdin() -> None:
    while os.read(0, 1):
        pass
    os._exit(0)


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a process that was started in a session of its own, and what it has started; on Windows it alone."""
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()


def cpu_s(process_id: int) -> float | None:
    """Return the CPU time of a process so far, in seconds; 0.0 if it has ended, None if the system does not show it."""
    if not can_watch():
        return None
    with suppress(OSError):
        state = (PROC / str(process_id) / "stat").read_text(encoding="utf-8", errors="replace")
        user, kernel = state.rpartition(")")[2].split()[11:13]
        return (int(user) + int(kernel)) / os.sysconf("SC_CLK_TCK")
    return 0.0


def peak_bytes(process_id: int) -> int:
    """Return the largest resident set of a process so far; 0 if it has ended, or the system does not show it."""
    with suppress(OSError, ValueError, StopIteration):
        status = (PROC / str(process_id) / "status").read_text(encoding="utf-8")
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:"))
    return 0


def can_watch() -> bool:
    """Return whether the system shows other processes, so that they can be timed, and paused with their children."""
    return (PROC / "self" / "stat").exists()


def pause(process_id: int) -> None:
    """Stop a process and all that it has started, wherever they are. Their clocks of CPU time stand still.

    Only where `can_watch` is true.
    """
    _signal(process_id, signal.SIGSTOP)  # first, so that it starts no more
    for descendant in _descendants(process_id):
        _signal(descendant, signal.SIGSTOP)


def resume(process_id: int) -> None:
    """Let a paused process and all that it has started continue."""
    if not can_watch():
        return
    for descendant in _descendants(process_id):
        _signal(descendant, signal.SIGCONT)
    _signal(process_id, signal.SIGCONT)  # last, so that it finds none of them stopped


def _signal(process_id: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(process_id, number)


def _descendants(process_id: int) -> Iterator[int]:
    """Yield the processes below a process, each before those below it. They may be in sessions of their own."""
    children: dict[int, list[int]] = {}
    for entry in os.scandir(PROC):
        if entry.name.isdecimal():
            with suppress(OSError):  # it has just ended
                state = Path(entry.path, "stat").read_text(encoding="utf-8", errors="replace")
                children.setdefault(int(state.rpartition(")")[2].split()[1]), []).append(int(entry.name))
    found = [process_id]
    for parent in found:
        found += children.get(parent, ())
        yield from children.get(parent, ())
