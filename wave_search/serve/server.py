"""The running server: a socket, uvicorn, and the application."""

from __future__ import annotations

import errno
import gc
import ipaddress
import socket
from typing import TYPE_CHECKING

import uvicorn

from wave_search.errors import UsageError
from wave_search.serve.app import create_app
from wave_search.serve.disk_cache import previews_folder
from wave_search.serve.service import Service

if TYPE_CHECKING:
    from collections.abc import Callable

    from wave_search.index import Index
    from wave_search.serve.options import ServeOptions

_BACKLOG = 128
_MAX_CONNECTIONS = 500
_GRACE_S = 2
"""Seconds that running requests have when the server ends."""


def serve(index: Index, options: ServeOptions, started: Callable[[str], None], warn: Callable[[str], None]) -> None:
    """Serve an index until the process is interrupted. See `wave_search.serve.run`."""
    with _listening(options) as listening:
        port = listening.getsockname()[1]
        service = Service(index, options, previews_folder())
        app = create_app(service, options, port)
        if (cause := service.library.warm_up()) is not None:
            warn(cause)
        service.library.follow()
        gc.collect()
        gc.freeze()  # a quarter of the time of searches went into looking through all that was loaded, again and again
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="off",
            ws="none",
            proxy_headers=False,
            limit_concurrency=_MAX_CONNECTIONS,
            timeout_graceful_shutdown=_GRACE_S,
        )
        try:
            Server(config, lambda: started(address(options, port)), service.jobs.stop).run(sockets=[listening])
        finally:
            service.close()


class Server(uvicorn.Server):
    """A server that calls a function when it accepts connections, and another before it waits for them to end."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None], ending: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready, self._ending = ready, ending

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept connections."""
        await super().startup(sockets)
        if self.started:
            self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Wait for connections to end."""
        self._ending()
        await super().shutdown(sockets)


def address(options: ServeOptions, port: int) -> str:
    """Return the address to open in a browser, with the token if there is one."""
    host = options.host.strip("[]")
    try:
        if ipaddress.ip_address(host).is_unspecified:  # all addresses of this machine: no browser can open that
            host = socket.gethostname()
    except ValueError:
        pass
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}/" + (f"?token={options.token}" if options.token else "")


def _listening(options: ServeOptions) -> socket.socket:
    """Return a socket that listens.

    Raises:
        UsageError: the address cannot be used.
    """
    host, port = options.host.strip("[]"), options.port
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror as error:
        raise UsageError(
            f"{host} is not an address of this machine ({error.strerror})", "Try --host 127.0.0.1."
        ) from error
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(place)
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        remedies = {
            errno.EADDRINUSE: "Another program uses it: choose another one with --port, or --port 0 for any free one.",
            errno.EACCES: "Choose a port above 1023 with --port.",
            errno.EADDRNOTAVAIL: "Listen on an address of this machine with --host.",
        }
        remedy = remedies.get(error.errno or 0, "Choose others with --host and --port.")
        raise UsageError(f"port {port} of {host} cannot be used ({error.strerror})", remedy) from error
    return listening
