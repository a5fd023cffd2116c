"""Routes of the API that change something: tags and columns."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from wave_search.serve.edits import EditAnswer, EditQuery, UndoQuery, ValuesAnswer
from wave_search.serve.routes import NOT_FOUND
from wave_search.serve.schemas import ErrorAnswer
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
