"""Routes of the API that answer with the map of the library."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from wave_search.serve.map_groups import PointGroups, folder_names, group_points
from wave_search.serve.map_schemas import (
    MapAnswer,
    MapGroup,
    MapGroupsAnswer,
    MapMatchesAnswer,
)
from wave_search.serve.maps import Computing, LibraryMap
from wave_search.serve.routes import ERRORS
from wave_search.serve.schemas import SearchQuery
from wave_search.serve.service import Asked, service_of
from wave_search.types import Modality

if TYPE_CHECKING:
    from wave_search.serve.service import Service

_RESPONSES: dict[int | str, dict[str, Any]] = {
    **ERRORS,
    200: {"description": "The points, with gzip where it is accepted: n ids of segments as int64, n pairs of x and y "
                         "as uint16, n kinds of files as uint8 (0 text, 1 image, 2 audio, 3 video), little-endian",
          "content": {"application/octet-stream": {}}},
}  # fmt: skip
Of = Annotated[Modality | None, Query(description="By default, the one with most segments")]
map_router = APIRouter()


@map_router.get("/map", responses=ERRORS)
async def state(request: Request, modality: Of = None) -> MapAnswer:
    """Whether the map of a modality is ready, and what it shows. The first request starts its computation."""
    return await run_in_threadpool(_state, service_of(request), modality)


def _state(service: Service, modality: Modality | None) -> MapAnswer:
    found = service.maps.get(modality)
    ready = isinstance(found, LibraryMap)
    return MapAnswer(
        state="ready" if ready else "computing",
        progress=1.0 if isinstance(found, LibraryMap) else round(found.progress, 3),
        modality=found.segments.modality,
        modalities={str(of): count for of, count in service.maps.modalities().items()},
        points=len(found.segments),
        method=None if isinstance(found, Computing) else found.method,
        tag=None if isinstance(found, Computing) else found.tag,
        index_version=found.segments.version,
    )


@map_router.get("/map/points", responses=_RESPONSES, response_class=Response)
async def points(request: Request, modality: Of = None) -> Response:
    """Where the segments of a modality are on its map: coordinates from 0 to 65,535, neighbours near each other."""
    found = await run_in_threadpool(service_of(request).maps.ready, modality)
    headers = {"etag": f'"{found.tag}"', "cache-control": "private, no-cache", "vary": "accept-encoding"}
    if headers["etag"] in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    body = found.packed
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["content-encoding"] = "gzip"
    else:
        body = await run_in_threadpool(gzip.decompress, body)
    return Response(body, media_type="application/octet-stream", headers=headers)


@map_router.get("/map/groups", responses=ERRORS)
async def groups(
    request: Request,
    modality: Of = None,
    by: Annotated[str, Query(max_length=200, description='"folder", "kind", or any column of files')] = "folder",
) -> MapGroupsAnswer:
    """The points in groups by a column, of which each can have a colour: the largest, the rest, and those without."""
    service = service_of(request)
    found = await run_in_threadpool(service.maps.ready, modality)
    grouped = await run_in_threadpool(_grouped, service, found, by)
    return MapGroupsAnswer(
        tag=found.tag,
        groups=[MapGroup(name=group.name, role=group.role, count=group.count) for group in grouped.groups],
        codes=grouped.codes.tolist(),
    )


def _grouped(service: Service, found: LibraryMap, by: str) -> PointGroups:
    values = found.segments.file_values(by)
    if by == "folder":
        return group_points(folder_names([str(value) for value in values]))
    times = {"modified", *(column.name for column in service.library.index().metadata() if column.type == "timestamp")}
    return group_points(values, times=by in times)


@map_router.get("/map/matches", responses=ERRORS)
async def matches(
    request: Request,
    where: Annotated[str, Query(max_length=10_000, description="SQL condition on files and segments")],
    modality: Of = None,
) -> MapMatchesAnswer:
    """Which points satisfy a condition."""
    service = service_of(request)
    found = await run_in_threadpool(service.maps.ready, modality)
    matching = await service.search(
        Asked(SearchQuery()), lambda: found.segments.matching(where, service.limits.where_s)
    )
    return MapMatchesAnswer(tag=found.tag, count=int(matching.sum()), matches=matching.astype(int).tolist())
