"""Who may ask what: the checks that every request passes before the API or a file answers it.

A page of another site must not be able to use the server of the person who looks at it. Its requests are recognised by
the headers that browsers send and scripts cannot change: Host (a name of the attacker that leads here), Origin and
Sec-Fetch-Site.
"""

from __future__ import annotations

import ipaddress
import json
import math
import re
import secrets
import socket
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, Response

from wave_search.serve.options import LOCAL_NAMES

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from wave_search.serve.options import ServeOptions

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
    "connect-src 'self'; font-src 'self'; manifest-src 'self'; form-action 'none'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
"""Content-Security-Policy of everything but media."""
API_VERSION = "1"
"""Increased when a program that uses the API would have to change. It is sent with every answer."""
_FOR_PROGRAMS = ("/api", "/mcp", "/metrics")
"""Beginnings of the paths that are not files of the page."""
_HEADERS = {
    "x-api-version": API_VERSION,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(self)",
}
_NOT_KEPT = {"cache-control": "no-store"}
_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[\w.-]+)(?::\d{1,5})?")
"""Of the Host header: a name or an address, and a port."""
_OWN_SITES = frozenset({"same-origin", "none"})
"""Values of Sec-Fetch-Site of requests that no other page has made; "none" is what a user typed."""
_SIGNED_IN = (
    '<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0; url=/"><title>wave-search</title>'
    '<a href="/">Continue</a>'
)
"""A page of our own leads on, because a browser sends a strict cookie only from there."""


class BodyTooLargeError(Exception):
    """Raised while a request is read that is larger than its limit."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"the request has more than {limit_bytes >> 20} MiB")
        self.limit_bytes = limit_bytes


class Guard:
    """ASGI middleware that refuses requests of others, bounds their size, and adds headers to what is answered."""

    def __init__(self, app: ASGIApp, options: ServeOptions, port: int) -> None:
        self._app, self._options = app, options
        self._cookie = f"wave-search-{port}"  # cookies are shared by all ports of a host
        own = {options.host, *LOCAL_NAMES, *options.names}
        if not options.is_local:
            own |= {socket.gethostname(), socket.getfqdn()}
        self._names = {name.casefold().strip("[]") for name in own}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # no web sockets here
            return
        headers = Headers(scope=scope)
        # The files of the page may be kept, and are asked for again by their tag.
        kept = "no-store" if scope["path"].startswith(_FOR_PROGRAMS) else "no-cache"

        answering = False

        async def sending(message: Message) -> None:
            nonlocal answering
            if message["type"] == "http.response.start":
                answering = True
                answered = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    answered[name] = value
                answered.setdefault("content-security-policy", POLICY)
                answered.setdefault("cache-control", kept)
            await send(message)

        limit_bytes = self._limit_bytes(headers)
        refusal = (
            self._refusal(scope["method"], scope["path"], headers)
            or self._sign_in(scope, headers)
            or (too_large(limit_bytes) if _declared_bytes(headers) > limit_bytes else None)
        )
        if refusal is not None:
            await refusal(scope, receive, sending)
            return
        await self._app(scope, _bounded(receive, limit_bytes, lambda: answering), sending)

    def _refusal(self, method: str, path: str, headers: Headers) -> Response | None:
        """Check that the request does not come from a page of another site."""
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._is_own(hosts[0]):
            remedy = "Use the address that the server printed; behind a reverse proxy, start it with --allow-host NAME."
            return refused(403, "the server is not known by this name", remedy)
        site = headers.get("sec-fetch-site")
        if site is not None and site not in _OWN_SITES and not _is_opened_page(method, path, headers):
            return refused(403, "the request comes from a page of another site", "Open the page of this server.")
        origins = headers.getlist("origin")
        if any(origin.partition("://")[2] != hosts[0] for origin in origins):
            return refused(403, "the request comes from a page of another site", "Open the page of this server.")
        wanted = headers.get("x-api-version", API_VERSION)
        if wanted != API_VERSION:
            cause = f"this server has version {API_VERSION} of the API, not the one that the request asks for"
            return refused(400, cause, "Leave the header X-API-Version out, or update the program that sends it.")
        return None

    def _limit_bytes(self, headers: Headers) -> int:
        is_form = headers.get("content-type", "").casefold().startswith("multipart/")
        return self._options.limits.upload_bytes if is_form else self._options.limits.json_bytes

    def _is_own(self, host: str) -> bool:
        match = _HOST.fullmatch(host.casefold())
        if match is None:
            return False
        name = match["name"].rstrip(".").strip("[]")
        if name in self._names:
            return True
        # An address names no site of anybody, and where a token is needed nobody is let in by the name alone.
        return self._options.token is not None and _is_address(name)

    def _sign_in(self, scope: Scope, headers: Headers) -> Response | None:
        """Check the token, if one is needed. Return None for a request that has it."""
        token = self._options.token
        if token is None:
            return None
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        if scheme.casefold() == "bearer" and _same(bearer.strip(), token):
            return None
        if any(_same(value, token) for value in _cookies(headers, self._cookie)):
            return None
        offered = parse_qs(scope["query_string"].decode("latin-1")).get("token", [])
        if scope["method"] == "GET" and scope["path"] == "/" and len(offered) == 1 and _same(offered[0], token):
            response = HTMLResponse(_SIGNED_IN, headers=_NOT_KEPT)
            secure = scope.get("scheme") == "https"
            response.set_cookie(self._cookie, token, path="/", httponly=True, samesite="strict", secure=secure)
            return response
        remedy = "Open the address that the server printed, or send the header Authorization: Bearer TOKEN."
        return refused(401, "a token is needed", remedy, {"www-authenticate": "Bearer"})


def _declared_bytes(headers: Headers) -> float:
    """Return the size of the body that a request declares; what is no number is larger than any."""
    declared = headers.get("content-length", "0")
    return int(declared) if declared.isascii() and declared.isdecimal() and len(declared) <= 15 else math.inf


def _bounded(receive: Receive, limit_bytes: int, is_answering: Callable[[], bool]) -> Receive:
    """Return a reader of the request that raises BodyTooLargeError after a limit.

    A body that nobody wants, as that of a GET, is read while the answer is sent: then the reader ends.
    """
    seen = 0

    async def bounded() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen <= limit_bytes:
            return message
        if is_answering():
            return {"type": "http.disconnect"}
        raise BodyTooLargeError(limit_bytes)

    return bounded


def too_large(limit_bytes: int) -> Response:
    """Return the error for a request that is larger than its limit."""
    return refused(413, str(BodyTooLargeError(limit_bytes)), "Send less, or a shorter range of the file.")


def refused(status: int, message: str, remedy: str, headers: dict[str, str] | None = None) -> Response:
    """Return an error as the API reports it."""
    content = json.dumps({"error": {"message": message, "remedy": remedy}})
    return Response(content, status, {**_NOT_KEPT, **(headers or {})}, "application/json")


def _is_opened_page(method: str, path: str, headers: Headers) -> bool:
    """Return whether a link on another site opens the page, which contains nothing by itself."""
    opens = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    return method == "GET" and opens and not path.startswith(_FOR_PROGRAMS)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _same(offered: str, token: str) -> bool:
    return secrets.compare_digest(offered.encode("utf-8", "replace"), token.encode())


def _cookies(headers: Headers, name: str) -> list[str]:
    pairs = (part.strip().partition("=") for line in headers.getlist("cookie") for part in line.split(";"))
    return [value for key, _, value in pairs if key == name]
