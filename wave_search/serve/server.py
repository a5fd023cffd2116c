"""The running server: a socket, uvicorn, and the application."""

from __future__ import annotations

import errno
import gc
import ipaddress
import socket
from contextlib import ExitStack, closing
from dataclasses import replace
from typing import TYPE_CHECKING

import uvicorn

from wave_search.errors import UsageError, WaveSearchError
from wave_search.serve import local_socket
from wave_search.serve.app import create_app
from wave_search.serve.disk_cache import previews_folder
from wave_search.serve.lifetime import Lifetime
from wave_search.serve.local_server import LocalServer
from wave_search.serve.service import Service

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from wave_search.index import Index
    from wave_search.serve.jobs import Jobs
    from wave_search.serve.local_server import Answer
    from wave_search.serve.options import ServeOptions

_BACKLOG = 128
_MAX_CONNECTIONS = 500
_GRACE_S = 2
"""Seconds that running requests have when the server ends."""


def serve(
    index: Index, options: ServeOptions, answer: Answer, started: Callable[[str], None], warn: Callable[[str], None]
) -> None:
    """Serve an index until the process is interrupted, or the server ends. See `wave_search.serve.run`."""
    with ExitStack() as opened:
        listening = opened.enter_context(_listening(options))
        port, lifetime = listening.getsockname()[1], Lifetime(options.idle_exit_s)
        local = _local_server(index.path, answer, lifetime, options, warn)
        if local is not None:
            opened.enter_context(closing(local))
        service = opened.enter_context(closing(Service(index, options, previews_folder())))
        app = lifetime.noted(create_app(service, options, port))
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

        def ready() -> None:
            if local is not None:
                local.start(address(replace(options, token=None) if options.is_local else options, port))
            started(address(options, port))

        Server(config, ready, service.jobs, lifetime).run(sockets=[listening])


def _local_server(
    index: Path, answer: Answer, lifetime: Lifetime, options: ServeOptions, warn: Callable[[str], None]
) -> LocalServer | None:
    """Open the socket for programs of this user; without it, the server is there for browsers and the API only."""
    try:
        return _opened(index, answer, lifetime)
    except WaveSearchError as error:
        if options.alone:  # nothing else can end it
            raise
        if not isinstance(error, local_socket.ServedAlreadyError):
            warn(f"the command line cannot use this server: {error}")
    return None


def _opened(index: Path, answer: Answer, lifetime: Lifetime) -> LocalServer:
    try:
        return LocalServer(index, answer, lifetime)
    except OSError as error:
        cause = f"{error.filename or 'a socket'} cannot be made ({error.strerror or error})"
        remedy = "Name another folder in the environment variable XDG_RUNTIME_DIR."
        raise WaveSearchError(cause, remedy) from error


class Server(uvicorn.Server):
    """A server that calls a function when it accepts connections, and stops the run of `index` when it ends."""

    def __init__(
        self, config: uvicorn.Config, ready: Callable[[], None], jobs: Jobs, lifetime: Lifetime | None = None
    ) -> None:
        super().__init__(config)
        self._ready, self._jobs, self._lifetime = ready, jobs, lifetime or Lifetime(None)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept connections."""
        await super().startup(sockets)
        if self.started:
            self._ready()

    async def on_tick(self, counter: int) -> bool:
        """Return whether to end; called ten times a second."""
        if self._jobs.running:
            self._lifetime.stay()
        return await super().on_tick(counter) or self._lifetime.is_over()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Wait for connections to end."""
        self._jobs.stop()
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
