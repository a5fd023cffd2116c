"""What `local_socket` and `local_server` use where there are no Unix sockets: a named pipe of Windows.

Others may see the name of a pipe, and make one of that name when its server has gone. Therefore name and key are in a
file, in the folder of the user that would hold the socket, and each side proves to the other that it has read the key.
A message is one piece of JSON.
"""

from __future__ import annotations

import json
import secrets
import threading
from contextlib import suppress
from multiprocessing import AuthenticationError
from multiprocessing import connection as connections
from typing import TYPE_CHECKING, Any

from wave_search.files import read_bounded, write_atomic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.connection import Connection
    from pathlib import Path

    Message = dict[str, Any]
    Handle = Callable[[Message, Callable[[Message], None]], None]
FAMILY = "AF_PIPE"
_KEY_BYTES = 32
_MAX_FILE_BYTES = 4096
_RETRY_S = 0.1


class PipeConnection:
    """The client's side, see `local_socket.LocalConnection`.

    Args:
        path: where the server has written name and key.

    Raises:
        OSError: no server listens there.
        AuthenticationError: what listens does not have the key.
    """

    process: int | None = None

    def __init__(self, path: Path) -> None:
        try:
            about = json.loads(read_bounded(path, _MAX_FILE_BYTES))
            name, key = about["name"], bytes.fromhex(about["key"])
        except (KeyError, TypeError, ValueError) as error:
            raise OSError(f"{path} does not describe a pipe") from error
        try:
            self._connection = connections.Client(name, FAMILY, authkey=key)
        except EOFError as error:  # it has just ended
            raise ConnectionError(str(error)) from error

    def send(self, message: Message) -> None:
        """Send a message. Raises OSError."""
        self._connection.send_bytes(json.dumps(message).encode("ascii"))

    def received(self) -> Iterator[Message]:
        """Yield messages until the server closes the connection. Raises OSError, and ValueError for no JSON."""
        with suppress(EOFError):
            while True:
                yield json.loads(self._connection.recv_bytes())

    def wait(self, timeout_s: float) -> bool:
        """Return whether there is a message, or the end, within some seconds. Raises OSError."""
        return self._connection.poll(timeout_s)

    def close(self) -> None:
        """Close it."""
        self._connection.close()


class PipeServer:
    """The server's side: handles the request of each connection in a thread of its own.

    Args:
        path: where name and key are written, in a folder of this user alone.
        handle: answers a request with a function that sends a message.
        max_bytes: of a request.
        timeout_s: within which a request has to be there.

    Raises:
        OSError: there can be no pipe, or no such file.
    """

    def __init__(self, path: Path, handle: Handle, max_bytes: int, timeout_s: float) -> None:
        self._handle, self._max_bytes, self._timeout_s = handle, max_bytes, timeout_s
        self._key, self._ending = secrets.token_bytes(_KEY_BYTES), threading.Event()
        self._listener = connections.Listener(family=FAMILY)
        try:
            about = {"name": self._listener.address, "key": self._key.hex()}
            write_atomic(path, json.dumps(about).encode("ascii"))
        except BaseException:
            self._listener.close()
            raise

    def serve_forever(self) -> None:
        """Accept connections until `shutdown`."""
        while not self._ending.is_set():
            try:
                accepted = self._listener.accept()
            except OSError:
                self._ending.wait(_RETRY_S)
            else:
                threading.Thread(target=self._answer, args=[accepted], daemon=True).start()

    def shutdown(self) -> None:
        """Let `serve_forever` end: only a connection wakes it."""
        self._ending.set()
        with suppress(OSError):
            connections.Client(str(self._listener.address), FAMILY).close()

    def server_close(self) -> None:
        """Close the pipe."""
        self._listener.close()

    def _answer(self, accepted: Connection) -> None:
        # Without an answer, the command line does the work itself, and reports what is wrong.
        with suppress(AuthenticationError, EOFError, OSError, ValueError), accepted:
            connections.deliver_challenge(accepted, self._key)
            connections.answer_challenge(accepted, self._key)
            if not accepted.poll(self._timeout_s):
                return
            request = json.loads(accepted.recv_bytes(self._max_bytes))
            if isinstance(request, dict):
                self._handle(request, lambda reply: accepted.send_bytes(json.dumps(reply).encode("ascii")))
