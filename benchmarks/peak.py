"""Memory of processes."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_SAMPLING_S = 0.1


def peak_bytes() -> int:
    """Return the peak resident set of this process. Not ru_maxrss, which starts at the size of the parent."""
    return _status("self", "VmHWM")


def private_bytes(process: int | str = "self") -> int:
    """Return the memory without mapped files, which the system reclaims when needed."""
    return _status(process, "RssAnon")


def watched(command: Sequence[str]) -> tuple[str, int]:
    """Run a command; return its output and its peak private memory, by polling.

    Raises:
        CalledProcessError: it failed.
    """
    peak = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            peak = max(peak, private_bytes(process.pid))
            try:
                process.wait(_SAMPLING_S)
            except subprocess.TimeoutExpired:
                continue
        assert process.stdout is not None
        output = process.stdout.read()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, list(command))
    return output, peak


def _status(process: int | str, name: str) -> int:
    lines = Path(f"/proc/{process}/status").read_text(encoding="ascii").splitlines()
    # A zombie process has no memory.
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith(f"{name}:")), 0)
