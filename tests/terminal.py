"""A program in a pseudo-terminal."""

from __future__ import annotations

import errno
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


_STYLE = re.compile(r"\x1b\[[0-9;]*m")


def unstyled(output: str) -> str:
    """The output without colours and weights."""
    return _STYLE.sub("", output)


class Session:
    """Runs a program with a terminal as stdin, stdout and stderr; use as a context manager."""

    def __init__(
        self, command: Sequence[str | Path], environment: Mapping[str, str], *, columns: int = 120, **options: str
    ) -> None:
        self._terminal, inside = pty.openpty()
        fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
        self._process = subprocess.Popen(
            command,
            env={**environment, "TERM": "xterm-256color"},
            stdin=inside,
            stdout=inside,
            stderr=inside,
            start_new_session=True,
            **options,
        )
        os.close(inside)
        self._seen = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        if self._terminal >= 0:
            os.close(self._terminal)

    def read_until(self, text: str) -> str:
        """Read what the program writes until `text` appears."""
        while text.encode() not in self._seen:
            if not self._read():
                raise AssertionError(f"{text!r} never appeared in {self._seen.decode(errors='replace')!r}")
        return self._seen.decode(errors="replace")

    def read_to_end(self) -> str:
        """Read all that the program writes."""
        while self._read():
            pass
        return self._seen.decode(errors="replace")

    def _read(self) -> bool:
        try:
            data = os.read(self._terminal, 65536)
        except OSError as error:
            if error.errno != errno.EIO:  # how Linux says that nobody holds the other side any more
                raise
            data = b""
        self._seen += data
        return bool(data)

    def type(self, text: str) -> None:
        """Enter a text."""
        os.write(self._terminal, text.encode())

    def signal(self, number: int) -> None:
        """Send a signal to the program alone."""
        self._process.send_signal(number)

    def hang_up(self) -> None:
        """Close the terminal, and tell the program so, which does not have it as its controlling one."""
        os.close(self._terminal)
        self._terminal = -1
        self._process.send_signal(signal.SIGHUP)

    def wait(self) -> int:
        """The exit code."""
        return self._process.wait(timeout=60)
