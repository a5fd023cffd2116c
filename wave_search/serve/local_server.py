"""The side of the Unix socket, or of the named pipe, that listens: see `local_socket`."""

from __future__ import annotations

import contextlib
import json
import os
import socketserver
import threading
from typing import TYPE_CHECKING, Any

from wave_search.descriptors import lock, open_file
from wave_search.serve import local_socket
from wave_search.version import __version__

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from pathlib import Path

    from wave_search.serve.lifetime import Lifetime
    from wave_search.serve.local_pipe import PipeServer

    Send = Callable[[dict[str, Any]], None]
    Answer = Callable[[dict[str, Any], Send], None]
_MAX_REQUEST_BYTES = 16 << 20
_READ_S = 10.0
_AT_ONCE = 8
"""Requests that are answered at the same time; further ones wait."""


class LocalServer:
    """Listens on the socket of an index, and answers each connection in a thread of its own.

    Args:
        index: folder of the index.
        answer: sends the replies to a request. A request that it cannot answer gets none.
        lifetime: of the server; requests are noted there, and one of them ends it.

    Raises:
        ServedAlreadyError: another process serves the index.
        WaveSearchError: the folder of the socket is not private.
        OSError: there is no place for the socket.
    """

    def __init__(self, index: Path, answer: Answer, lifetime: Lifetime) -> None:
        path = local_socket.socket_path(index)
        local_socket.make_folder(path.parent)
        self.address = ""
        self._path, self._lock = path, _locked(path.with_suffix(".lock"), index)
        self._answer, self._lifetime = answer, lifetime
        self._at_once = threading.BoundedSemaphore(_AT_ONCE)
        try:
            path.unlink(missing_ok=True)  # of a process that was killed: a live one has the lock
            self._server = _listening(path, self.reply)
        except BaseException:
            os.close(self._lock)
            raise

    def start(self, address: str) -> None:
        """Begin to answer; `address` is what those who ask for it are told."""
        self.address = address
        threading.Thread(target=self._server.serve_forever, name="local socket", daemon=True).start()

    def close(self) -> None:
        """End, and remove the socket. What is being answered goes on until the process ends."""
        if self.address:
            self._server.shutdown()
        self._path.unlink(missing_ok=True)
        self._server.server_close()
        os.close(self._lock)

    def reply(self, request: dict[str, Any], send: Send) -> None:
        """Answer one request."""
        if request.get("stop"):
            self._lifetime.end()
            threading.Event().wait()  # the connection ends with the process: that is the answer
        elif request.get("address"):
            send({"address": self.address})
        elif request.get("version") == __version__:
            with self._at_once, self._lifetime.request():
                self._answer(request, send)


def _listening(path: Path, reply: Answer) -> socketserver.BaseServer | PipeServer:
    if local_socket.HAS_SOCKETS:
        return _socket_server(path, reply)
    from wave_search.serve.local_pipe import PipeServer

    return PipeServer(path, reply, _MAX_REQUEST_BYTES, _READ_S)


def _socket_server(path: Path, reply: Answer) -> socketserver.BaseServer:
    class Listening(socketserver.ThreadingUnixStreamServer):  # a class that Windows has not
        daemon_threads = True
        block_on_close = False
        request_queue_size = 128

        def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ARG002 - as socketserver calls it
            """Refuse other users."""
            return local_socket.is_same_user(request)

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Leave a fault without an answer, so that the command line does the work itself and reports it."""

    class Connection(socketserver.StreamRequestHandler):
        timeout = _READ_S

        def handle(self) -> None:
            """Read a request, and send the replies."""
            line = self.rfile.readline(_MAX_REQUEST_BYTES)
            request = json.loads(line) if line.endswith(b"\n") else None
            if not isinstance(request, dict):
                return
            connection: socket.socket = self.connection
            connection.settimeout(None)
            reply(request, lambda message: connection.sendall(json.dumps(message).encode("ascii") + b"\n"))

    return Listening(str(path), Connection)


def _locked(path: Path, index: Path) -> int:
    """Return the descriptor of a file that this process has locked. The kernel frees it when the process ends."""
    descriptor = open_file(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        lock(descriptor)
    except BlockingIOError as error:
        os.close(descriptor)
        raise local_socket.served_already(index, local_socket.address(index)) from error
    except BaseException:
        with contextlib.suppress(OSError):
            os.close(descriptor)
        raise
    return descriptor
