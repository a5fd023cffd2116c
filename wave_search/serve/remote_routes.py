"""Routes for `wave_search.connect`: what `Index` does to search and read, in full and without loss.

They are no part of the API that is described: client and server have the same version of the package.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from wave_search.errors import UsageError, WaveSearchError
from wave_search.remote.requests import pack, seconds, unpack
from wave_search.serve.schemas import SearchQuery
from wave_search.serve.service import Asked, service_of
from wave_search.store import SavedTerm
from wave_search.wire import from_record, to_plain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from wave_search.index import Index
    from wave_search.query import SearchRequest, Segments
    from wave_search.reports import Skipped
    from wave_search.serve.options import Limits
    from wave_search.serve.service import Received, Service

_MAX_RESULTS = 10_000
_ATTRIBUTES = ("path", "cause", "name")
"""Of errors, besides message and remedy."""
remote_router = APIRouter(prefix="/remote", include_in_schema=False)


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a method of `Index`."""

    record: Mapping[str, Any]
    files: Mapping[str, Path]
    limits: Limits

    def get(self, name: str, kind: type | tuple[type, ...]) -> Any:
        """Return an argument. Raises UsageError if it has another type; a bool is no number."""
        value = self.record.get(name)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise UsageError(f"{name} must not be {value!r}", "Use wave_search.connect() of the server's version.")
        return value

    def ids(self, name: str) -> list[int]:
        """Return ids of segments. Raises UsageError."""
        values: list[int] = self.get(name, list)
        if not all(type(each) is int and 0 <= each < 1 << 63 for each in values):
            raise UsageError(f"{name} must be ids of segments", "Use wave_search.connect() of the server's version.")
        return values

    def listing(self) -> dict[str, Any]:
        """Return the arguments that lists of files share. Raises UsageError."""
        return {
            "where": self.get("where", (str, type(None))),
            "columns": self.get("columns", list),
            "where_timeout_s": seconds(self.record.get("where_timeout_s"), self.limits.where_s),
        }


@remote_router.post("/{method}")
async def call(request: Request, method: str) -> Response:
    """Call a method, and return what it returns, or the error that it raises."""
    service = service_of(request)
    async with service.received(request) as received:
        answer, names = await _answer(service, method, received)
    if isinstance(answer, WaveSearchError):
        return _error(answer, names)
    if method == "files":
        return StreamingResponse(map(_line, answer), media_type="application/x-ndjson")
    if method == "segments":
        return StreamingResponse(answer, media_type="application/vnd.apache.arrow.stream")
    return Response(_line(answer), media_type="application/json")


async def _answer(service: Service, method: str, received: Received) -> tuple[Any, Mapping[str, str]]:
    """Return the result of a call, or its error; and what the client calls the files, by their paths here."""
    files = received.uploads
    names: Mapping[str, str] = {}

    def work() -> Any:
        try:
            return _METHODS[method](service.library.index(), Call(record, files, service.limits))
        except WaveSearchError as error:
            return error

    try:
        record = json.loads(received.text)
    except (ValueError, RecursionError):
        record = None
    if method not in _METHODS or not isinstance(record, dict):
        return UsageError("there is no such method", "Use wave_search.connect() of the server's version."), names
    given = record.get("names")
    if isinstance(given, dict):
        names = {str(path): str(given.get(name, name)) for name, path in files.items()}
    try:
        return await service.search(Asked(SearchQuery()), work), names
    except WaveSearchError as error:
        return error, names


def _error(error: WaveSearchError, names: Mapping[str, str]) -> Response:
    attributes = {name: to_plain(getattr(error, name)) for name in _ATTRIBUTES if hasattr(error, name)}
    public = next(kind.__name__ for kind in type(error).__mro__ if kind.__module__ == WaveSearchError.__module__)
    content = {"message": error.message, "remedy": error.remedy, "attributes": attributes, "type": public}
    report = json.dumps({"error": content})
    for path, name in names.items():  # files have other names at the client
        report = report.replace(json.dumps(path)[1:-1], json.dumps(name)[1:-1])
    return Response(report, 400, media_type="application/json")


def _line(value: Any) -> bytes:
    return json.dumps(to_plain(value)).encode("ascii") + b"\n"


def _state(index: Index, _: Call) -> Any:
    names = ("path", "model", "version", "created", "next_segment_id")
    return {name: getattr(index, name) for name in names}


def _search(index: Index, call: Call) -> Any:
    lost: list[Skipped] = []
    hits = index.search(_request(call), warn=lost.append)
    return {"hits": hits, "lost": lost}


def _request(call: Call) -> SearchRequest:
    request = unpack(call.record, call.files)
    if request.k > _MAX_RESULTS:
        raise UsageError(f"a server finds at most {_MAX_RESULTS:,} hits, got k={request.k}", "Choose a smaller k.")
    timeout_s = min(request.where_timeout_s, call.limits.where_s)
    return replace(request, where_timeout_s=timeout_s)


def _score_file(index: Index, call: Call) -> Any:
    return index.score_file(_request(call), call.get("segment_id", int))


def _files(index: Index, call: Call) -> Any:
    return index.files(skipped=call.get("skipped", bool), **call.listing())


def _segments(index: Index, call: Call) -> Segments:
    timeout_s = seconds(call.record.get("where_timeout_s"), call.limits.where_s)
    modality = call.get("modality", (list, type(None)))
    return index.segments(call.get("where", (str, type(None))), modality=modality, where_timeout_s=timeout_s)


def _saved_request(index: Index, call: Call) -> Any:
    found = index.saved_request(call.get("name", str), k=call.get("k", int), columns=call.get("columns", list))
    return pack(found).record  # without files: its terms are texts and segments


def _saved_segment(index: Index, call: Call) -> Any:
    try:
        term = from_record(SavedTerm, call.get("term", dict))
    except (TypeError, ValueError):
        raise UsageError("there is no such term", "Use wave_search.connect() of the server's version.") from None
    return index.saved_segment(term)


def _browse(index: Index, call: Call) -> Any:
    limit = min(call.get("limit", int), _MAX_RESULTS)
    among = None if call.record.get("among") is None else call.ids("among")
    return index.browse(offset=call.get("offset", int), limit=limit, among=among, **call.listing())


def _count_files(index: Index, _: Call) -> Any:
    return [(folder, kind, count) for (folder, kind), count in index.count_files().items()]


def _ask(index: Index, call: Call) -> Any:
    return index.ask(call.get("segment_id", int), call.get("question", str), call.get("choices", list))


_METHODS: Mapping[str, Callable[[Index, Call], Any]] = {
    "ask": _ask,
    "state": _state,
    "search": _search,
    "score_file": _score_file,
    "files": _files,
    "segments": lambda index, call: _segments(index, call).to_arrow_stream(),
    "count_segments": lambda index, call: len(_segments(index, call)),
    "browse": _browse,
    "count_files": _count_files,
    "segment": lambda index, call: index.segment(call.get("segment_id", int)),
    "file": lambda index, call: index.file(call.get("path", str)),
    "entries": lambda index, call: index.entries(call.ids("segment_ids")),
    "paths": lambda index, call: index.paths(call.ids("segment_ids")),
    "metadata_values": lambda index, call: index.metadata_values(call.get("column", str), call.get("limit", int)),
    "duplicates": lambda index, call: index.duplicates(call.get("threshold", (int, float))),
    "metadata": lambda index, _: index.metadata(),
    "saved_searches": lambda index, _: index.saved_searches(),
    "saved_request": _saved_request,
    "saved_segment": _saved_segment,
    "new_matches": lambda index, call: index.new_matches(_request(call), call.get("first_id", int)),
    "info": lambda index, _: index.info(),
}
