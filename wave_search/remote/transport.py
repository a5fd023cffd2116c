"""Calls of a server over HTTP: a request with files, and an answer or the error that it reports."""

from __future__ import annotations

import http.client
import json
import secrets
from contextlib import closing, contextmanager
from numbers import Integral, Real
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from wave_search import errors
from wave_search.arguments import check_type, is_number
from wave_search.errors import MediaError, UsageError, WaveSearchError, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_BLOCK_BYTES = 1 << 18
_LONGEST_S = 1e6
"""More than a system may be able to wait."""


class Transport:
    """Where a server is, and how to call it. Each call has a connection of its own, so that threads may share this.

    Args:
        address: "http://host:port", as the server prints it, or "https://..." of a proxy in front of it.
        token: of the server; None for the one in the address, if there is one.
        timeout_s: seconds to wait for an answer.

    Raises:
        UsageError: the address is not one, the token cannot be one, or the time is not above 0.
    """

    def __init__(self, address: str, token: str | None, timeout_s: float) -> None:
        try:
            parts = urlsplit(address)
            self._host, self._port = parts.hostname, parts.port
        except (ValueError, AttributeError, TypeError):
            raise _no_address(address) from None
        if parts.scheme not in ("http", "https") or not self._host:
            raise _no_address(address)
        self.address = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
        self._is_secure, self._prefix, self._timeout_s = parts.scheme == "https", parts.path.rstrip("/"), timeout_s
        check_type(token, (str, NoneType), "the token", "Copy it from the address of the server.")
        if not is_number(timeout_s) or not 0 < timeout_s <= _LONGEST_S:
            raise UsageError(f"timeout_s must be above 0 seconds, got {shown(timeout_s)}")
        token = token or next(iter(parse_qs(parts.query).get("token", [])), None)
        if token is not None and not (token.isascii() and token.isprintable()):
            raise UsageError("the token has characters that no token has", "Copy it from the address of the server.")
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}

    def get(self, path: str) -> Any:
        """Return the answer to GET. Raises like `call`."""
        with self._response("GET", path, None, {}) as response:
            return _json(response)

    def call(self, path: str, record: Mapping[str, Any], files: Mapping[str, Path | bytes] | None = None) -> Any:
        """Return the answer to POST.

        Raises:
            WaveSearchError: what the server reports, in the class that it has there, or the server cannot be reached.
            MediaError: a file cannot be read.
        """
        body = _Form(record, files or {})
        with self._response("POST", path, body, body.headers()) as response:
            return _json(response)

    def lines(self, path: str, record: Mapping[str, Any]) -> Iterator[Any]:
        """Yield the lines of the answer to POST. Raises like `call`."""
        with self.stream(path, record) as response:
            for line in response:
                yield json.loads(line)

    @contextmanager
    def stream(self, path: str, record: Mapping[str, Any]) -> Iterator[http.client.HTTPResponse]:
        """Open the answer to POST as a file of bytes. Raises like `call`."""
        body = _Form(record, {})
        with self._response("POST", path, body, body.headers()) as response:
            yield response

    @contextmanager
    def _response(
        self, method: str, path: str, body: _Form | None, headers: Mapping[str, str]
    ) -> Iterator[http.client.HTTPResponse]:
        make = http.client.HTTPSConnection if self._is_secure else http.client.HTTPConnection
        with closing(make(self._host or "", self._port, timeout=self._timeout_s)) as connection:
            try:
                connection.connect()
            except OSError as error:
                raise self._unreachable(error) from error
            try:
                sent = {**self._headers, **headers}
                connection.request(method, f"{self._prefix}/api/{path}", body, sent)
            except (BrokenPipeError, ConnectionResetError):
                pass  # it may have answered before it has read all, as to a file that is too large
            try:
                response = connection.getresponse()
                if response.status != http.client.OK:
                    raise _reported(response)
                yield response
            except (OSError, http.client.HTTPException) as error:
                raise self._unreachable(error) from error

    def _unreachable(self, error: Exception) -> WaveSearchError:
        cause = (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
        remedy = "Check the address, and that the server runs: `wave-search serve`"
        return WaveSearchError(f"the server {self.address} does not answer ({cause})", remedy)


class _Form:
    """A form with a record and files, read block by block while it is sent."""

    def __init__(self, record: Mapping[str, Any], files: Mapping[str, Path | bytes]) -> None:
        self._boundary = secrets.token_hex(16)
        request = json.dumps(record, ensure_ascii=True, default=_plain_number).encode("ascii")
        parts: dict[str, Path | bytes] = {"request": request, **files}
        self._parts = [(self._head(name, part), part) for name, part in parts.items()]
        self._end = f"--{self._boundary}--\r\n".encode("ascii")
        sizes = (part.stat().st_size if isinstance(part, Path) else len(part) for _, part in self._parts)
        self._size_bytes = sum(sizes) + sum(len(head) + 2 for head, _ in self._parts) + len(self._end)

    def headers(self) -> dict[str, str]:
        return {
            "Content-Type": f"multipart/form-data; boundary={self._boundary}",
            "Content-Length": str(self._size_bytes),
        }

    def _head(self, name: str, part: Path | bytes) -> bytes:
        place = f'form-data; name="{name}"'
        if name != "request":
            suffix = part.suffix if isinstance(part, Path) and part.suffix.isascii() else ""
            place += f'; filename="{name}{suffix if suffix[1:].isalnum() else ""}"'  # by it, texts are recognised
        return f"--{self._boundary}\r\nContent-Disposition: {place}\r\n\r\n".encode("ascii")

    def __iter__(self) -> Iterator[bytes]:
        for head, part in self._parts:
            yield head
            if isinstance(part, Path):
                yield from _blocks(part)
            else:
                yield part
            yield b"\r\n"
        yield self._end


def _plain_number(value: Any) -> int | float:
    """Return a number of numpy as one of Python. Raises UsageError if it is something else."""
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value)
    raise UsageError(f"{shown(value)} cannot be sent to a server", "Use what Index takes.")


def _blocks(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK_BYTES):
                yield block
    except OSError as error:
        raise MediaError(path, f"it cannot be read ({error.strerror})", "Check its permissions.") from error


def _json(response: http.client.HTTPResponse) -> Any:
    try:
        return json.load(response)
    except ValueError:
        raise _no_server() from None


def _reported(response: http.client.HTTPResponse) -> WaveSearchError:
    """Return the error of a response, in the class that it had in the server."""
    try:
        report = json.load(response)["error"]
        message, remedy = str(report["message"]), str(report["remedy"])
    except (ValueError, KeyError, TypeError):
        return _no_server()
    kind = getattr(errors, str(report.get("type")), None)
    if not (isinstance(kind, type) and issubclass(kind, WaveSearchError)):
        kind = UsageError if response.status in _USAGE else WaveSearchError
    error = kind.__new__(kind)
    WaveSearchError.__init__(error, message, remedy)
    for name, value in report.get("attributes", {}).items():
        setattr(error, name, Path(value) if name == "path" else value)
    return error


_USAGE = (400, 401, 403, 413, 422)
"""Statuses of requests that the server refuses before an index is asked."""


def _no_address(address: Any) -> UsageError:
    return UsageError(f"{shown(address)} is not the address of a server", 'Write for example "http://127.0.0.1:8765".')


def _no_server() -> WaveSearchError:
    return WaveSearchError("what answers is not a server of this version of wave-search", "Check the address.")
