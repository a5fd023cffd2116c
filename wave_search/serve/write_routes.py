"""Routes of the API that change something: tags and columns, saved searches, and where their alerts lead."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from wave_search.serve.edits import EditAnswer, EditQuery, UndoQuery, ValuesAnswer
from wave_search.serve.routes import ERRORS, NOT_FOUND
from wave_search.serve.schemas import ErrorAnswer, SearchQuery
from wave_search.serve.searches import AlertQuery, NameQuery, SearchesAnswer
from wave_search.serve.service import service_of

_MAX_VALUES = 500
_WRITES: dict[int | str, dict[str, Any]] = {
    **NOT_FOUND,
    423: {"model": ErrorAnswer, "description": "Another process is writing to the index"},
    429: {"model": ErrorAnswer, "description": "Too many edits at once"},
}
write_router = APIRouter()


@write_router.post("/metadata", responses=_WRITES)
async def edit_metadata(request: Request, query: EditQuery) -> EditAnswer:
    """Set values of the user's own columns, and add and remove tags."""
    service = service_of(request)
    return await service.writes.run(lambda: service.edits.apply(query))


@write_router.post("/metadata/undo", responses=_WRITES)
async def undo_metadata(request: Request, query: UndoQuery) -> EditAnswer:
    """Undo an edit, unless one of its values was changed again since."""
    service = service_of(request)
    return await service.writes.run(lambda: service.edits.undo(query.undo))


@write_router.get("/metadata/values", responses=NOT_FOUND)
async def metadata_values(request: Request, column: Annotated[str, Query(max_length=200)]) -> ValuesAnswer:
    """List the values that files have in a column, or the items of its lists, the most frequent first."""
    index = service_of(request).library.index()
    return ValuesAnswer(values=await run_in_threadpool(index.metadata_values, column, _MAX_VALUES))


_SEARCHES: dict[int | str, dict[str, Any]] = {
    **_WRITES,
    404: {"model": ErrorAnswer, "description": "No such search"},
    409: {"model": ErrorAnswer, "description": "There is a search of this name already"},
}
SearchName = Annotated[str, Path(max_length=400, description="Name of a saved search, in any case")]


@write_router.get("/searches", responses=ERRORS)
async def list_searches(request: Request) -> SearchesAnswer:
    """List the saved searches by name."""
    return await run_in_threadpool(service_of(request).saved.list, request)


@write_router.put("/searches/{name:path}", responses=_SEARCHES)
async def save_search(request: Request, name: SearchName, query: SearchQuery, replace: bool = False) -> SearchesAnswer:
    """Keep a search under a name. Uploaded files are not kept, so that a search by them cannot be."""
    service = service_of(request)
    await service.writes.run(lambda: service.saved.save(name, query, replace=replace))
    return await list_searches(request)


@write_router.patch("/searches/{name:path}", responses=_SEARCHES)
async def rename_search(request: Request, name: SearchName, new: NameQuery) -> SearchesAnswer:
    """Rename a search."""
    service = service_of(request)
    await service.writes.run(lambda: service.saved.rename(name, new.name))
    return await list_searches(request)


@write_router.delete("/searches/{name:path}", responses=_SEARCHES)
async def remove_search(request: Request, name: SearchName) -> SearchesAnswer:
    """Remove a search, and its alert."""
    service = service_of(request)
    await service.writes.run(lambda: service.saved.remove(name))
    return await list_searches(request)


@write_router.put("/alerts/{name:path}", responses=_SEARCHES)
async def set_webhook(request: Request, name: SearchName, alert: AlertQuery) -> SearchesAnswer:
    """Post what a search finds among new segments to an address. Only programs on the same machine may set it."""
    service = service_of(request)
    await service.writes.run(lambda: service.saved.set_webhook(name, alert.webhook, request))
    return await list_searches(request)


@write_router.delete("/alerts/{name:path}", responses=_SEARCHES)
async def remove_alert(request: Request, name: SearchName) -> SearchesAnswer:
    """End the alert of a search."""
    service = service_of(request)
    await service.writes.run(lambda: service.saved.remove_alert(name, request))
    return await list_searches(request)
