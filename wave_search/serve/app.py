"""The application: what all requests share, errors, and the files of the page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Route
from starlette.staticfiles import StaticFiles

from wave_search import __version__
from wave_search.errors import (
    ChangedMediaError,
    IndexLockedError,
    IndexStateError,
    MediaError,
    NameTakenError,
    SearchNotFoundError,
    UnsupportedMediaError,
    UsageError,
    WaveSearchError,
)
from wave_search.serve.errors import BusyError, ConflictError, ForbiddenError, GoneError, TooLateError
from wave_search.serve.export_routes import export_router
from wave_search.serve.file_routes import files_router
from wave_search.serve.job_routes import job_router
from wave_search.serve.map_routes import map_router
from wave_search.serve.mcp.transports import McpEndpoint
from wave_search.serve.media_routes import media_router
from wave_search.serve.metrics import Measured, Metrics, metrics_router
from wave_search.serve.remote_routes import remote_router
from wave_search.serve.routes import api_router
from wave_search.serve.schemas import SearchQuery
from wave_search.serve.security import BodyTooLargeError, Guard, refused, too_large
from wave_search.serve.write_routes import write_router

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from wave_search.serve.options import ServeOptions
    from wave_search.serve.service import Service

STATIC = Path(__file__).parent / "static"
_DESCRIPTION = """\
Search an index of wave-search by text, media and earlier results, and look at what it contains.

Times are in seconds from the beginning of a file. Media are named by the id of a segment, never by a path. Errors are
`{"error": {"message": ..., "remedy": ...}}`. Every answer has the version of the API in the header `X-API-Version`; a
request that has the header, too, is refused by a server of another version.
"""


def create_app(service: Service, options: ServeOptions, port: int) -> Measured:
    """Return the application that serves an index.

    Args:
        service: the index and its previews.
        options: for whom.
        port: that the server listens on.
    """
    app = FastAPI(
        title="wave-search",
        version=__version__,
        description=_DESCRIPTION,
        openapi_url="/api/openapi.json",
        docs_url=None,  # its page loads scripts from another host
        redoc_url=None,
    )
    app.state.service = service
    app.openapi = lambda: _described(app)  # type: ignore[method-assign] # how FastAPI documents it
    app.include_router(api_router, prefix="/api")
    app.include_router(media_router, prefix="/api")
    app.include_router(remote_router, prefix="/api")
    app.include_router(write_router, prefix="/api")
    app.include_router(export_router, prefix="/api")
    app.include_router(files_router, prefix="/api")
    app.router.routes.append(Route("/mcp", McpEndpoint(service)))
    app.include_router(job_router, prefix="/api/index")
    app.include_router(metrics_router)
    app.include_router(map_router, prefix="/api")
    app.mount("/", StaticFiles(directory=STATIC, html=True), name="page")
    for kind in (WaveSearchError, BodyTooLargeError, HTTPException, RequestValidationError, Exception):
        app.add_exception_handler(kind, _explained)
    app.add_exception_handler(ClientDisconnect, _broken_off)
    app.state.metrics = Metrics(service)
    guarded = Guard(app, options, port)  # outside of everything, so that errors have its headers, too
    return Measured(guarded, app.state.metrics)


def _described(app: FastAPI) -> dict[str, Any]:
    """Return the description of the API, with the type of searches, whose body FastAPI does not read itself."""
    if app.openapi_schema is None:
        described = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        query = SearchQuery.model_json_schema(ref_template="#/components/schemas/{model}")
        described["components"]["schemas"] |= {**query.pop("$defs", {}), SearchQuery.__name__: query}
        app.openapi_schema = described
    return app.openapi_schema


async def _explained(_: Request, error: Exception) -> Response:
    """Return an error as JSON, without anything of the inside of the server."""
    match error:
        case BodyTooLargeError():
            return too_large(error.limit_bytes)
        case RequestValidationError():
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"] if part != "body")
            return refused(422, f"{place}: {first['msg']}" if place else str(first["msg"]), "See /api/openapi.json.")
        case HTTPException():
            headers = dict(error.headers or {})
            return refused(error.status_code, str(error.detail).lower(), "See /api/openapi.json.", headers)
        case BusyError():
            return refused(429, error.message, error.remedy, {"retry-after": "1"})
        case WaveSearchError():
            return refused(_status(error), error.message, error.remedy)
    return refused(500, f"unexpected {type(error).__name__}", "This is a bug in wave-search. Please report it.")


async def _broken_off(_: Request, __: Exception) -> Response:
    """Answer a client that has gone away, so that no traceback is logged."""
    return refused(400, "the request has broken off", "Send it again.")


_STATUS = (
    (GoneError, 404),
    (SearchNotFoundError, 404),
    (NameTakenError, 409),
    (ForbiddenError, 403),
    (ConflictError, 409),
    (ChangedMediaError, 409),
    (UnsupportedMediaError, 404),
    (TooLateError, 504),
    (UsageError, 400),
    (MediaError, 400),
    (IndexLockedError, 423),
    (IndexStateError, 503),
    (WaveSearchError, 500),
)
"""The first class that an error is of decides."""


def _status(error: WaveSearchError) -> int:
    return next(status for kind, status in _STATUS if isinstance(error, kind))
