"""Routes of the API that answer with JSON about the index: searches, segments, files."""

from __future__ import annotations

import time
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from wave_search import __version__
from wave_search.serve.details import segment_answer
from wave_search.serve.schemas import (
    MAX_DEPTH,
    MAX_PAGE,
    ErrorAnswer,
    FilesAnswer,
    HealthAnswer,
    LibraryAnswer,
    ScoresAnswer,
    SearchAnswer,
    SearchQuery,
    SegmentAnswer,
)
from wave_search.serve.service import Asked, service_of

ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": ErrorAnswer, "description": "The request is not valid for this index"},
    401: {"model": ErrorAnswer, "description": "The token is missing or wrong"},
    403: {"model": ErrorAnswer, "description": "The request comes from a page of another site"},
    422: {"model": ErrorAnswer, "description": "The request is not valid"},
}
NOT_FOUND: dict[int | str, dict[str, Any]] = {
    **ERRORS,
    404: {"model": ErrorAnswer, "description": "No such segment, or nothing of this kind"},
    409: {"model": ErrorAnswer, "description": "The file is not the one that was indexed"},
}
_SEARCHES: dict[int | str, dict[str, Any]] = {
    **ERRORS,
    413: {"model": ErrorAnswer, "description": "The request is too large"},
    429: {"model": ErrorAnswer, "description": "Too many searches at once"},
    504: {"model": ErrorAnswer, "description": "The search takes too long"},
}
_SCHEMA = {"$ref": "#/components/schemas/SearchQuery"}
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": _SCHEMA, "examples": {
                "text": {"value": {"terms": [{"text": "a dog barking"}], "target": "audio", "limit": 3}},
                "like": {"value": {"terms": [{"segment": 95}, {"text": "a cat", "avoid": True}]}},
                "list": {"value": {"terms": [], "where": "kind = 'video'"}},
            }},
            "multipart/form-data": {"schema": {
                "type": "object",
                "required": ["request"],
                "properties": {"request": {"type": "string", "description": "The search as JSON; see SearchQuery."}},
                "additionalProperties": {"type": "string", "format": "binary"},
            }},
        },
    }
}  # fmt: skip
SegmentPath = Annotated[int, Path(ge=0, lt=1 << 63, description="Id of a segment")]
api_router = APIRouter()


@api_router.get("/health", responses=ERRORS)
async def health(request: Request) -> HealthAnswer:
    """Whether the server works, and which version of the index it reads."""
    library = service_of(request).library
    index = await run_in_threadpool(library.index)
    return HealthAnswer(
        status="ok", version=__version__, index_version=index.version, model_loaded=library.model_loaded
    )


@api_router.get("/library", responses=ERRORS)
async def library(request: Request) -> LibraryAnswer:
    """What the index contains: files, segments, folders, columns."""
    service = service_of(request)
    described = await run_in_threadpool(service.library.describe)
    return described.model_copy(update={"can_reveal": service.can_reveal(request)})


@api_router.post("/search", responses=_SEARCHES, openapi_extra=_BODY)
async def search(request: Request) -> SearchAnswer:
    """Search by texts, segments and files, or list files."""
    service, began_s = service_of(request), time.perf_counter()
    async with service.asked(request) as asked:
        found = await service.search(asked, lambda: service.library.search(asked.query, asked.uploads))
    limit = asked.query.limit
    return SearchAnswer(
        hits=found.hits[:limit],
        more=len(found.hits) > limit and asked.query.offset + limit <= MAX_DEPTH - MAX_PAGE,
        took_s=round(time.perf_counter() - began_s, 4),
        index_version=found.index_version,
        warnings=found.warnings,
    )


@api_router.get("/segments/{segment_id}", responses=NOT_FOUND)
async def segment(request: Request, segment_id: SegmentPath) -> SegmentAnswer:
    """A segment, its file, and all segments and subtitles of that file."""
    return await run_in_threadpool(segment_answer, service_of(request), segment_id)


@api_router.post("/segments/{segment_id}/scores", responses={**NOT_FOUND, **_SEARCHES}, openapi_extra=_BODY)
async def scores(request: Request, segment_id: SegmentPath) -> ScoresAnswer:
    """How well each segment of a file matches a search, of which only terms and instruction count."""
    service = service_of(request)
    async with service.asked(request) as asked:
        return await service.search(asked, lambda: service.library.score_file(asked.query, asked.uploads, segment_id))


@api_router.get("/files", responses=ERRORS)
async def files(
    request: Request,
    where: Annotated[str | None, Query(max_length=10_000, description="SQL condition")] = None,
    offset: Annotated[int, Query(ge=0, lt=1 << 31)] = 0,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 100,
) -> FilesAnswer:
    """List indexed files by path."""
    service = service_of(request)
    query = SearchQuery.model_construct(where=where, offset=offset, limit=limit)
    found = await service.search(Asked(query), lambda: service.library.search(query, {}))
    return FilesAnswer(files=found.hits[:limit], more=len(found.hits) > limit)
