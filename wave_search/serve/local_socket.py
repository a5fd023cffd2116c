"""The Unix socket by which programs of the same user on this machine reach the server of an index.

It lies in a folder that nobody else may enter, under a name that is made from the real path of the index, and both
sides check whom they talk to. A lock beside it belongs to the server as long as its process lives: whoever has it may
replace a socket that a killed one has left. A request is one line of JSON, and so is each of the replies to it.
"""

from __future__ import annotations

import json
import os
import socket
import stat
import struct
import warnings
from typing import TYPE_CHECKING, Any

from wave_search.errors import WaveSearchError
from wave_search.files import digest
from wave_search.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

AVAILABLE = hasattr(socket, "AF_UNIX")
"""Whether the system has such sockets. Where it has none, the command line does without the server."""
_NAME_BYTES = 12
_ANSWERS_S = 5.0
"""Time within which a live server accepts and a request is read."""
_STOPS_S = 30.0
_CREDENTIALS = struct.Struct("3i")
"""Of SO_PEERCRED: process, user, group."""


class ServedAlreadyError(WaveSearchError):
    """Another process serves the index, and has its socket."""


def socket_path(index: Path) -> Path:
    """Return where the socket of an index is, whether or not there is one.

    Raises:
        OSError: platformdirs, which a server needs, is not installed, or the index is in a folder that is gone.
    """
    return _folder() / f"{_name(index)}.sock"


def log_path(index: Path) -> Path:
    """Return the log of a server in the background. Raises OSError like `socket_path`."""
    try:
        from platformdirs import user_state_path
    except ImportError as error:
        raise OSError(str(error)) from error
    return user_state_path("wave-search") / f"serve-{_name(index)}.log"


def _name(index: Path) -> str:
    return digest(os.fsencode(os.path.realpath(index)), _NAME_BYTES)


def _folder() -> Path:
    try:
        from platformdirs import user_runtime_path
    except ImportError as error:
        raise OSError(str(error)) from error
    with warnings.catch_warnings():  # that it is below /tmp, where the system has no place for it: checked below
        warnings.simplefilter("ignore")
        return user_runtime_path("wave-search")


def make_folder(folder: Path) -> None:
    """Make a folder of this user alone, or check that it is one.

    Raises:
        WaveSearchError: others could exchange what is in it.
        OSError: it cannot be made.
    """
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    if not _is_private(folder):
        cause = f"others can enter {folder}, or exchange it"
        raise WaveSearchError(cause, "Name a folder of your own in the environment variable XDG_RUNTIME_DIR.")


def _is_private(folder: Path) -> bool:
    """Return whether only this user may enter a folder, and nobody else may exchange it."""
    own, above = folder.lstat(), folder.parent.stat()
    is_own = stat.S_ISDIR(own.st_mode) and own.st_uid == os.geteuid() and not stat.S_IMODE(own.st_mode) & 0o077
    is_kept = above.st_uid in (0, os.geteuid()) and (not above.st_mode & 0o022 or above.st_mode & stat.S_ISVTX)
    return bool(is_own and is_kept)


def is_same_user(connection: socket.socket) -> bool:
    """Return whether the process at the other side is of this user, as far as the system says so."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True  # the folder is private
    try:
        return peer(connection)[1] == os.geteuid()
    except OSError:
        return False


def peer(connection: socket.socket) -> tuple[int, int]:
    """Return process and user at the other side. Raises OSError."""
    process, user, _ = _CREDENTIALS.unpack(
        connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    )
    return process, user


def connect(index: Path) -> socket.socket | None:
    """Connect to the server of an index; None if there is none of this user, or it has no socket."""
    if not AVAILABLE:
        return None
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path = socket_path(index)
        if _is_private(path.parent):
            connection.settimeout(_ANSWERS_S)
            connection.connect(os.fspath(path))
            if is_same_user(connection):
                connection.settimeout(None)
                return connection
    except (OSError, ValueError):  # ValueError: a NUL in the name of the index
        pass
    connection.close()
    return None


def send(connection: socket.socket, request: dict[str, Any]) -> None:
    """Send a request. Raises OSError."""
    connection.sendall(json.dumps({**request, "version": __version__}).encode("ascii") + b"\n")


def replies(connection: socket.socket) -> Iterator[dict[str, Any]]:
    """Yield the replies to a request. They end early if the server does. Raises OSError, and ValueError for no JSON."""
    with connection.makefile("rb") as lines:
        for line in lines:
            if line.endswith(b"\n"):
                yield json.loads(line)


def served_already(index: Path, at: str | None) -> ServedAlreadyError:
    """Return the error of a second server that is to be the only one; `at` is the address of the first."""
    where = "" if at is None else f" at {at}"
    remedy = "Use that server, or end it first: `wave-search serve --stop`"
    return ServedAlreadyError(f"{index} is already served{where}", remedy)


def stop(index: Path) -> bool:
    """Let the server of an index end, and wait until its process has; return whether there was one.

    Raises:
        WaveSearchError: it does not end.
    """
    connection = connect(index)
    if connection is None:
        return False
    with connection:
        connection.settimeout(_STOPS_S)
        try:
            send(connection, {"stop": True})
            for _ in replies(connection):
                pass
        except TimeoutError:
            kill = f"Run: kill {peer(connection)[0]}" if hasattr(socket, "SO_PEERCRED") else "End its process."
            raise WaveSearchError(f"the server of {index} has not ended within {_STOPS_S:.0f} s", kill) from None
        except OSError:  # it was about to end
            pass
    return True


def address(index: Path) -> str | None:
    """Return the address of the server of an index, without its token; None if there is none."""
    connection = connect(index)
    if connection is None:
        return None
    with connection:
        try:
            send(connection, {"address": True})
            return next((str(reply["address"]) for reply in replies(connection)), None)
        except (OSError, KeyError, ValueError):
            return None
