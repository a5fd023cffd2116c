"""Interpreters that run beside this one, to confine libraries that may crash, hang or take all memory."""

from __future__ import annotations

import resource
import socket
import subprocess
import sys
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


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
