"""The Unix socket by which programs of the same user on this machine reach the server of an index.

It lies in a folder that nobody else may enter, under a name that is made from the real path of the index, and both
sides check whom they talk to. A lock beside it belongs to the server as long as its process lives: whoever has it may
replace a socket that a killed one has left. A request is one line of JSON, and so is each of the replies to it.
Windows has named pipes instead: see `local_pipe`.
"""

from __future__ import annotations

import json
import os
import select
import socket
import stat
import struct
import warnings
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any, Protocol

from wave_search.errors import WaveSearchError
from wave_search.files import digest
from wave_search.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HAS_SOCKETS = hasattr(socket, "AF_UNIX") and hasattr(os, "geteuid")
"""Whether the system has such sockets, and says whose files are."""
_NAME_BYTES = 12
_ANSWERS_S = 5.0
"""Time within which a live server accepts and a request is read."""
_STOPS_S = 30.0
_CREDENTIALS = struct.Struct("3i")
"""Of SO_PEERCRED: process, user, group."""


class ServedAlreadyError(WaveSearchError):
    """Another process serves the index, and has its socket."""


class LocalConnection(Protocol):
    """A connection to the server of an index."""

    @property
    def process(self) -> int | None:
        """The process at the other side, where the system says so. Raises OSError."""

    def send(self, message: dict[str, Any], /) -> None:
        """Send a message. Raises OSError."""

    def received(self) -> Iterator[dict[str, Any]]:
        """Yield messages until the server closes the connection. Raises OSError, and ValueError for no JSON."""

    def wait(self, timeout_s: float, /) -> bool:
        """Return whether there is a message, or the end, within some seconds. Raises OSError."""

    def close(self) -> None:
        """Close it."""


class SocketConnection:
    """A connection by a Unix socket, see `LocalConnection`.

    Args:
        path: of the socket.

    Raises:
        OSError: no server listens there.
        PermissionError: it is that of another user.
        ValueError: there is a NUL in the path.
    """

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.socket.settimeout(_ANSWERS_S)
            self.socket.connect(os.fspath(path))
            self.socket.settimeout(None)
            if not is_same_user(self.socket):
                raise PermissionError(f"{path} is of another user")
        except BaseException:
            self.socket.close()
            raise

    @property
    def process(self) -> int | None:
        """The process at the other side, where the system says so. Raises OSError."""
        return _peer(self.socket)[0] if hasattr(socket, "SO_PEERCRED") else None

    def send(self, message: dict[str, Any]) -> None:
        """Send a message. Raises OSError."""
        self.socket.sendall(json.dumps(message).encode("ascii") + b"\n")

    def received(self) -> Iterator[dict[str, Any]]:
        """Yield messages until the server closes the connection. Raises OSError, and ValueError for no JSON."""
        with self.socket.makefile("rb") as lines:
            for line in lines:
                if line.endswith(b"\n"):
                    yield json.loads(line)

    def wait(self, timeout_s: float) -> bool:
        """Return whether there is a message, or the end, within some seconds. Raises OSError."""
        return bool(select.select([self.socket], [], [], timeout_s)[0])

    def close(self) -> None:
        """Close it."""
        self.socket.close()


def socket_path(index: Path) -> Path:
    """Return where the socket of an index is, whether or not there is one; or the file with the name of its pipe.

    Raises:
        OSError: platformdirs, which a server needs, is not installed, or the index is in a folder that is gone.
    """
    return _folder() / f"{_name(index)}.{'sock' if HAS_SOCKETS else 'pipe'}"


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
    """Return whether only this user may enter a folder, and nobody else may exchange it.

    Without users by number (Windows) it is so for what is below the profile of a user, where `_folder` is.
    """
    if not hasattr(os, "geteuid"):
        return stat.S_ISDIR(folder.lstat().st_mode)
    own, above = folder.lstat(), folder.parent.stat()
    is_own = stat.S_ISDIR(own.st_mode) and own.st_uid == os.geteuid() and not stat.S_IMODE(own.st_mode) & 0o077
    is_kept = above.st_uid in (0, os.geteuid()) and (not above.st_mode & 0o022 or above.st_mode & stat.S_ISVTX)
    return bool(is_own and is_kept)


def is_same_user(connection: socket.socket) -> bool:
    """Return whether the process at the other side is of this user, as far as the system says so."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True  # the folder is private
    try:
        return _peer(connection)[1] == os.geteuid()
    except OSError:
        return False


def _peer(connection: socket.socket) -> tuple[int, int]:
    """Return process and user at the other side. Raises OSError."""
    process, user, _ = _CREDENTIALS.unpack(
        connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    )
    return process, user


def connect(index: Path) -> LocalConnection | None:
    """Connect to the server of an index; None if there is none of this user, or it has no socket."""
    try:
        path = socket_path(index)
        if not _is_private(path.parent):
            return None
        return SocketConnection(path) if HAS_SOCKETS else _pipe(path)
    except (OSError, ValueError):  # ValueError: a NUL in the name of the index
        return None


def _pipe(path: Path) -> LocalConnection | None:
    if not path.exists():  # do without multiprocessing, which takes as long to import as the rest of a query
        return None
    from multiprocessing import AuthenticationError

    from wave_search.serve.local_pipe import PipeConnection

    try:
        return PipeConnection(path)
    except AuthenticationError:
        return None


def replies(connection: LocalConnection, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Send a request, and yield the replies to it. They end early if the server does. Raises OSError, ValueError."""
    connection.send({**request, "version": __version__})
    return connection.received()


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
    with closing(connection), suppress(OSError):  # it was about to end
        connection.send({"stop": True})
        if not connection.wait(_STOPS_S):
            kill = "End its process." if connection.process is None else f"Run: kill {connection.process}"
            raise WaveSearchError(f"the server of {index} has not ended within {_STOPS_S:.0f} s", kill)
    return True


def address(index: Path) -> str | None:
    """Return the address of the server of an index, without its token; None if there is none."""
    connection = connect(index)
    if connection is None:
        return None
    with closing(connection), suppress(OSError, KeyError, ValueError):
        return next((str(reply["address"]) for reply in replies(connection, {"address": True})), None)
    return None
