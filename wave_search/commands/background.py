"""A server in the background: started, and ended through its socket, so that no process is taken for another one."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from wave_search.commands.exit_codes import USAGE
from wave_search.errors import UsageError, WaveSearchError
from wave_search.serve import local_socket

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

IDLE_EXIT_S = 3_600.0
"""Seconds without a request after which a server in the background ends."""
# Imports the package of this process, wherever that comes from, and nothing from the current folder.
_BOOT = """
import sys
sys.path[:] = [sys.argv.pop(1), *filter(None, sys.path)]
import wave_search
del sys.path[0]
from wave_search.__main__ import main
main()
"""
_PACKAGE_PARENT = Path(__file__).resolve().parents[2]
_ERROR, _WARNING = "error: ", "warning: "


def start(options: Sequence[str], token: str | None, index: Path, warn: Callable[[str], None]) -> str:
    """Start a server in a session of its own, and wait until it can be asked.

    Args:
        options: of the command `serve`.
        token: of the server; not among the options, which all users of the machine can see.
        index: that it serves.
        warn: called with each warning of the server until then.

    Returns:
        Its address.

    Raises:
        WaveSearchError: it has ended instead, or the index is already served.
        OSError: its log cannot be written.
    """
    from wave_search.processes import detached

    if (address := local_socket.address(index)) is not None:
        raise local_socket.served_already(index, address)
    log = local_socket.log_path(index)
    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    environment = {**os.environ, **({} if token is None else {"WAVE_SEARCH_TOKEN": token})}
    with open(log, "wb", opener=_private) as messages:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter
            [sys.executable, "-c", _BOOT, str(_PACKAGE_PARENT), "serve", *options],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=messages,
            **detached(),
        )
    try:
        assert process.stdout is not None  # noqa: S101 - a pipe
        with process.stdout as output:
            address = os.fsdecode(output.readline()).strip()
        code = None if address else process.wait()
    except BaseException:  # Ctrl-C: nobody has seen the address
        process.terminate()
        process.wait()
        raise
    lines = log.read_text(errors="backslashreplace").splitlines()
    if code is not None:
        with suppress(IndexError):
            cause = lines[-1]
            if cause.startswith(_ERROR):
                raise (UsageError if code == USAGE else WaveSearchError)(cause.removeprefix(_ERROR))
        raise WaveSearchError(f"the server has ended with code {code}", f"Its messages are in {log}.")
    for line in lines:
        if line.startswith(_WARNING):
            warn(line.removeprefix(_WARNING))
    process.returncode = 0  # it goes on: nobody waits for it
    return address


def stop(index: Path) -> None:
    """End the server of an index, and wait until its process has. Raises WaveSearchError if there is none."""
    if not local_socket.stop(index):
        raise WaveSearchError(f"no server of {index} runs", "Name its index with --index DIR.")


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
