"""One writer at a time."""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import socket
import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from wave_search.errors import IndexLockedError
from wave_search.store.files import disk_errors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "lock"


@contextmanager
def hold(directory: Path) -> Iterator[None]:
    """Hold the lock of an index; the kernel frees it when this process ends, however it ends.

    Raises:
        IndexLockedError: another writer holds it; the message names it.
        IndexStateError: the disk cannot be written.
    """
    path = directory / NAME
    with disk_errors(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise IndexLockedError(
                f"{directory} is being written by {_read_owner(path)}", "Wait for it to finish, or stop it."
            ) from error
        with disk_errors(path):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(_owner()).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _owner() -> dict[str, str | int]:
    return {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "command": shlex.join(sys.argv)[:200],
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _read_owner(path: Path) -> str:
    try:
        owner = json.loads(path.read_bytes())
        return f"process {owner['pid']} on {owner['host']} ({owner['command']}) since {owner['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        # It has the lock, but has not yet written who it is.
        return "another process"
