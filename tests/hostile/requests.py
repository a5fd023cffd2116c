"""Hostile requests to the server, as a socket may deliver them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any
from urllib.parse import quote

from tests.hostile.texts import CONDITIONS

PORT = 8765
TOKEN = "the-token-of-this-trial"  # noqa: S105
OWN_HOSTS = (f"127.0.0.1:{PORT}", "localhost", f"[::1]:{PORT}", "LOCALHOST.:1")
OTHER_HOSTS = (
    "evil.example", "127.0.0.1.evil.example", "localhost@evil.example", "127.0.0.1:80:80", "", "a b", "[::1",
    "localhost/", "0x7f.1", "localhost:99999999", "\xe9vil", "127.0.0.1, evil.example",
)  # fmt: skip
OTHER_ORIGINS = (
    "https://evil.example",
    "null",
    f"https://127.0.0.1:{PORT}.evil.example",
    "file://",
    "http://localhost:1",
)
IDS = (
    "-1", "+1", "1.0", "1e3", "0x1", "9" * 30, "18446744073709551616", "nan", "%00", "%2e%2e",
    "..%2f..%2f..%2fetc%2fpasswd", "%D9%A1", "1%20", "%ff", "1;2", "'", "a" * 5_000, "%2e%2e%2f", "1%2fmedia", "true",
    "[]", "%F0%9F%92%A9", "~root",
)  # fmt: skip
PATHS = (
    "/../../etc/passwd", "/..%2f..%2fetc%2fpasswd", "//etc/passwd", "/%2e%2e/%2e%2e/pyproject.toml",
    "/js/../../../app.py", "/js/%2e%2e/%2e%2e/security.py", "/..%5c..%5cetc%5cpasswd", "/index.html%00.js",
    "/static/index.html", "/.git/config", "/api/../../../etc/passwd", "/%2fetc%2fpasswd",
    "/css/%2e%2e%2f%2e%2e%2f__init__.py", "/" + "a/" * 500, "/%c0%ae%c0%ae/", "/proc/self/environ", "/api", "/api/",
    "/api/nothing", "/mcp/", "/mcp/..", "/?token=" + TOKEN, "*", "/js", "/css/", "/%00", "/con", "/" + "a" * 300,
    "/api/segments//media", "/api/segments/1/media/", "/vendor/%2e%2e/index.html",
)  # fmt: skip
RANGES = (
    "bytes=0-0", "bytes=-1", "bytes=-0", "bytes=5-2", "bytes=0-", "bytes=9999999999999999999999-",
    "bytes=0-0,2-3,5-6", "bytes=" + ",".join(f"{n}-{n}" for n in range(2_000)), "bytes=a-b", "items=0-1", "bytes=",
    "bytes", "bytes=--1", "bytes=0-9" + "9" * 5_000, "bytes=\xb2-\xb3", "bytes = 0 - 1", "bytes=0-1;", "bytes=,,,",
)  # fmt: skip
NUMBERS = (
    "NaN", "Infinity", "-Infinity", "1e308", "-1e308", "1e999", "-0", "0", "1", "3", "1e-400", "9" * 400, "9" * 5_000,
    "2.5", "true", "null", '"1"', "[]", "{}", '"\\ud800"', "9223372036854775808", "-1", "0.1e", "01",
)  # fmt: skip
TEXTS = (
    '"a dog"', '""', '"\\u0000"', '"\\ud800"', '"\\udc80"', '"\\u202e\\u001b[2J"', '"%s"' % ("a" * 9_999),
    '"/etc/passwd"', '"\\ud83d\\ude00"', '"../../etc/passwd"', "17", "null", "[]", '{"a": 1}', '"file0"',
    '"\x7f"', '"a\\u0300"',
)  # fmt: skip
NAMES = (
    "x.wav", "../../x.wav", "/etc/passwd", "..", ".", "", "a\x00.wav", "x" * 5_000 + ".wav", "con.wav", "x.wav/",
    "\\..\\x.png", "x.m3u8", "x.txt", "\xe9.flac", "x.wav\r\nx: y", "%2e%2e%2fx.srt", '";x="',
)  # fmt: skip
TYPES = (
    "application/json", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data",
    "multipart/form-data; boundary=", 'multipart/form-data; boundary="b"',
    "multipart/form-data; boundary=" + "b" * 5_000, "multipart/form-data;boundary=b;boundary=c",
    "MULTIPART/FORM-DATA; boundary=b", "multipart/mixed; boundary=b", "\xff", "", "application/json; charset=utf-7",
    "multipart/form-data; boundary=\xe9",
)  # fmt: skip
VALUES = (
    "", "1", "0", "-1", "nan", "inf", "1e308", "1e-308", "9" * 400, "true", "%00", "%ff", "..%2f..%2fetc%2fpasswd",
    "a", "0.5", "2", "320", "%F0%9F%92%A9", "%zz", "a" * 9_000, "1%2e5", "0x10", "[]",
)  # fmt: skip
KEYS = (
    "terms",
    "target",
    "limit",
    "offset",
    "min_z",
    "where",
    "moments",
    "per_file",
    "dedupe",
    "instruction",
    "rerank",
    "columns",
)


@dataclass(frozen=True)
class Hostile:
    """A request."""

    method: str
    target: str
    """Path and query, as they are sent."""
    headers: list[tuple[str, str]]
    body: bytes = b""
    pieces: int = 1
    """How many pieces the body comes in."""
    broken_off: bool = False
    """Whether the client goes away before the end of the body."""
    refused: bool = False
    """Whether it comes from another site, or without the token that is needed."""


class Requests:
    """Makes requests.

    Args:
        described: the OpenAPI description of the application, whose routes are all tried.
        segments: ids that there are.
        token: whether the application needs one.
        chance: what chooses.
    """

    def __init__(self, described: dict[str, Any], segments: list[int], token: bool, chance: Random) -> None:
        self._segments, self._token, self._chance = segments, token, chance
        self._routes = [
            (method.upper(), path, [one["name"] for one in details.get("parameters", ()) if one["in"] == "query"])
            for path, methods in described["paths"].items()
            for method, details in methods.items()
        ]

    def __iter__(self) -> Iterator[Hostile]:
        while True:
            yield self._request()

    def _request(self) -> Hostile:
        chance = self._chance
        method, target = self._target()
        headers = [("host", chance.choice(OWN_HOSTS[:3]))]
        refused = False
        kind = chance.random()
        if kind < 0.08:
            headers, refused = [("host", chance.choice(OTHER_HOSTS))], True
        elif kind < 0.14:
            headers, refused = [*headers, ("sec-fetch-site", chance.choice(("cross-site", "same-site", "\xff")))], True
        elif kind < 0.2:
            headers = [*headers, ("origin", chance.choice(OTHER_ORIGINS))]
            refused = method not in ("GET", "HEAD")
        elif kind < 0.22:
            headers, refused = [*headers, *headers], True
        if self._token and chance.random() < 0.9:
            headers.append(("authorization", f"Bearer {TOKEN}"))
        elif self._token:
            odd = (
                "",
                "Bearer",
                f"Basic {TOKEN}",
                f"Bearer {TOKEN}x",
                "Bearer \xff\xfe",
                f"Bearer {TOKEN[:-1]}",
                "x" * 9_000,
            )
            headers += [("authorization", chance.choice(odd)), ("cookie", f"wave-search-1={TOKEN}; =;;=; a")]
            refused = refused or not target.startswith("/?token=")
        if chance.random() < 0.3:
            headers.append((chance.choice(("range", "if-range")), chance.choice(RANGES)))
        if chance.random() < 0.2:
            odd = ('"x"', "*", "W/", '"' + "a" * 9_000, "\xff", ",,,", "Thu, 01 Jan 1970 00:00:00 GMT")
            headers.append(
                (chance.choice(("if-none-match", "if-modified-since", "accept", "forwarded")), chance.choice(odd))
            )
        content_type, body = (
            self._body(target) if method not in ("GET", "HEAD") or chance.random() < 0.05 else (None, b"")
        )
        if content_type is not None:
            headers.append(("content-type", content_type))
        if chance.random() < 0.15:
            headers.append(("content-length", chance.choice(("0", "-1", "x", "9" * 30, "1", "\xb2", "5, 5"))))
        broken_off = bool(body) and chance.random() < 0.1
        return Hostile(method, target, headers, body, chance.choice((1, 1, 3, 50)), broken_off, refused)

    def _target(self) -> tuple[str, str]:
        chance = self._chance
        kind = chance.random()
        if kind < 0.2:
            return chance.choice(("GET", "GET", "HEAD", "POST", "OPTIONS", "PUT", "x" * 99)), chance.choice(PATHS)
        if kind < 0.32:
            return chance.choice(("POST", "POST", "POST", "POST", "GET", "DELETE")), "/mcp"
        method, path, parameters = chance.choice(self._routes)
        if chance.random() < 0.05:
            method = chance.choice(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "get"))
        while "{" in path:
            name = path[path.index("{") : path.index("}") + 1]
            known = str(chance.choice(self._segments))
            path = path.replace(name, known if chance.random() < 0.7 else chance.choice(IDS), 1)
        chosen = [name for name in parameters if chance.random() < 0.4]
        pairs = [f"{name}={self._value(name)}" for name in chosen]
        if chance.random() < 0.1:
            pairs += [chance.choice(("token=", "&&&", "=", "%", "a" * 9_000, "path=/etc/passwd", "start=1&start=2"))]
        return method, path + ("?" + "&".join(pairs) if pairs else "")

    def _value(self, name: str) -> str:
        if name == "where" and self._chance.random() < 0.7:
            return quote(self._chance.choice(CONDITIONS), safe="", errors="surrogatepass")
        return self._chance.choice(VALUES)

    def _body(self, target: str) -> tuple[str | None, bytes]:
        chance = self._chance
        if target == "/mcp":
            return chance.choice(("application/json",) * 4 + TYPES), self._message()
        if target.startswith("/api/index/jobs"):  # without paths, it would index
            paths = chance.sample(PATHS + NAMES, 2)
            return "application/json", json.dumps({"paths": paths, "exclude": chance.sample(VALUES, 2)}).encode()
        kind = chance.random()
        if kind < 0.55:
            return chance.choice((None, "application/json", "application/json", *TYPES)), self._search()
        if kind < 0.65:
            odd = (
                b"",
                b"{",
                b"\xff\xfe",
                b"[" * 50_000,
                b'{"terms":' * 20_000,
                b"null",
                b"[]",
                b"0" * 65_537,
                b"\x00",
                b'"',
            )
            return "application/json", chance.choice(odd)
        return self._form()

    def _search(self) -> bytes:
        chance = self._chance
        fields = []
        if chance.random() < 0.8:
            fields.append(f'"terms": [{", ".join(self._term() for _ in range(chance.choice((0, 1, 1, 2, 17))))}]')
        fields += [f'"{key}": {self._json(key)}' for key in chance.sample(KEYS, chance.randint(0, 3))]
        if chance.random() < 0.05:
            fields.append(chance.choice(('"\\u0000": 1', '"path": "/etc/passwd"', '"terms": []', '"__proto__": {}')))
        return ("{" + ", ".join(fields) + "}").encode("utf-8", "surrogatepass")

    def _json(self, key: str) -> str:
        chance = self._chance
        if key == "where" and chance.random() < 0.7:
            return json.dumps(chance.choice(CONDITIONS))
        if key == "target" and chance.random() < 0.5:
            return chance.choice(('"audio"', '"any"', '"video"', '"text"'))
        return chance.choice(NUMBERS + TEXTS)

    def _term(self) -> str:
        chance = self._chance
        kind = chance.choice(
            (
                f'"segment": {chance.choice(self._segments)}',
                f'"text": {chance.choice(TEXTS)}',
                f'"segment": {chance.choice(NUMBERS)}',
                '"upload": "file0"',
                f'"upload": {chance.choice(TEXTS)}',
            )
        )
        more = [
            f'"{name}": {chance.choice(NUMBERS)}'
            for name in ("weight", "avoid", "start_s", "stop_s")
            if chance.random() < 0.15
        ]
        if chance.random() < 0.2:
            more.append(
                f'"modality": {chance.choice(("null", *map(json.dumps, ("audio", "video", "image", "av", "smell"))))}'
            )
        return "{" + ", ".join((kind, *more)) + "}"

    def _form(self) -> tuple[str, bytes]:
        chance = self._chance
        contents = (
            b"",
            b"RIFF" + bytes(200),
            b"\x00" * 5_000,
            b"#EXTM3U\nfile:///etc/passwd\n",
            b"a dog",
            chance.randbytes(300),
            b"\x89PNG\r\n\x1a\n" + bytes(50),
        )
        parts = [("request", None, self._search())] if chance.random() < 0.9 else []
        for number in range(chance.choice((0, 1, 1, 2, 20))):
            name = chance.choice(("file0", f"file{number}", "", "request", "a" * 3_000, 'x"; y="'))
            parts.append((name, chance.choice((*NAMES, None)), chance.choice(contents)))
        body = b""
        for name, filename, content in parts:
            disposition = f'form-data; name="{name}"' + ("" if filename is None else f'; filename="{filename}"')
            odd = chance.choice(
                (
                    "",
                    "",
                    "",
                    "content-type: \xff\r\n",
                    "content-transfer-encoding: base64\r\n",
                    "x: " + "y" * 9_000 + "\r\n",
                )
            )
            body += f"--b\r\ncontent-disposition: {disposition}\r\n{odd}\r\n".encode("latin-1") + content + b"\r\n"
        body += b"--b--\r\n" if chance.random() < 0.9 else b"--b"
        types = ("multipart/form-data; boundary=b",) * 8
        return chance.choice(types + TYPES), body

    def _message(self) -> bytes:
        chance = self._chance
        tool = chance.choice(("search", "similar", "look", "listen", "ask", "library", "x\x00", ""))
        names = (
            "segment",
            "query",
            "frames",
            "start_s",
            "stop_s",
            "max_side",
            "where",
            "folder",
            "also",
            "choices",
            "question",
            "by",
            "limit",
        )
        arguments = [
            f'"{name}": {self._json(name)}' for name in chance.sample(names, chance.randint(0, 3)) if name != "segment"
        ]
        arguments.append(f'"segment": {chance.choice(self._segments)}')
        uri = chance.choice(
            ("wave-search://segments/1", "file:///etc/passwd", "wave-search://segments/1/../../x", "a" * 9_000, "")
        )
        methods = {
            "tools/call": f'{{"name": {json.dumps(tool)}, "arguments": {{{", ".join(arguments)}}}}}',
            "resources/read": f'{{"uri": {json.dumps(uri)}}}',
            "tools/list": chance.choice(("{}", "null", '{"cursor": "x"}')),
            "initialize": chance.choice(
                (
                    "{}",
                    '{"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "x", "version": ""}}',
                )
            ),
            "prompts/get": '{"name": "find", "arguments": {"what": "\\ud800"}}',
            chance.choice(("", "x" * 9_000, "tools/call\\u0000", "ping")): "[]",
        }
        method = chance.choice(list(methods))
        number = chance.choice(("1", *NUMBERS))
        whole = f'{{"jsonrpc": "2.0", "id": {number}, "method": "{method}", "params": {methods[method]}}}'
        return chance.choice((whole, whole, whole, f"[{whole}, {whole}]", whole[:-9], "[" * 20_000)).encode(
            "utf-8", "surrogatepass"
        )
