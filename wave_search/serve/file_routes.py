"""Routes of the API for work on files beside searching: duplicates, and the file manager of this machine."""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from wave_search.desktop import reveal as show_in_file_manager
from wave_search.errors import ChangedMediaError
from wave_search.files import is_gone
from wave_search.serve.duplicates import DuplicatesAnswer
from wave_search.serve.errors import ForbiddenError, TooLateError
from wave_search.serve.routes import ERRORS, NOT_FOUND, SegmentPath
from wave_search.serve.schemas import MAX_DEPTH, ErrorAnswer, RevealAnswer
from wave_search.serve.service import service_of
from wave_search.types import Modality

_MAX_GROUPS = 100
_DUPLICATES: dict[int | str, dict[str, Any]] = {
    **ERRORS,
    429: {"model": ErrorAnswer, "description": "Too many comparisons at once"},
    504: {"model": ErrorAnswer, "description": "The comparison takes longer, and goes on"},
}
files_router = APIRouter()


@files_router.get("/duplicates", responses=_DUPLICATES)
async def duplicates(
    request: Request,
    threshold: Annotated[float, Query(ge=0.5, le=1, description="Minimum cosine of similar segments")] = 0.98,
    modality: Annotated[Modality | None, Query(description="Of similar segments; without it, all groups")] = None,
    offset: Annotated[int, Query(ge=0, le=MAX_DEPTH)] = 0,
    limit: Annotated[int, Query(ge=1, le=_MAX_GROUPS)] = 20,
) -> DuplicatesAnswer:
    """Identical files and near duplicates. Comparing a large index takes a while, and is done once for a version."""
    service = service_of(request)
    compared = service.comparisons.run(
        lambda: service.duplicates.answer(service.library, threshold, modality, offset, limit)
    )
    try:
        return await asyncio.wait_for(compared, service.limits.query_s)
    except TimeoutError:
        cause = f"comparing takes longer than {service.limits.query_s:g} s"
        raise TooLateError(cause, "It goes on: ask again in a few minutes.") from None


@files_router.post("/segments/{segment_id}/reveal", responses=NOT_FOUND)
async def reveal(
    request: Request,
    segment_id: SegmentPath,
    copy: Annotated[int | None, Query(ge=0, description="Place of a copy in `copies`, instead of the file")] = None,
) -> RevealAnswer:
    """Show the file of a segment in the file manager of this machine, for a request that comes from it."""
    service = service_of(request)
    if not service.can_reveal(request):
        raise ForbiddenError(
            "files are shown only on the desktop of the machine that the server runs on", "Copy the path instead."
        )

    def show() -> None:
        _, file = service.library.segment(segment_id)
        path = file.path if copy is None else next(islice(file.copies, copy, None), file.path)
        if is_gone(path):
            raise ChangedMediaError(path, "there is no such file any more", "Index its folder again.")
        show_in_file_manager(path)

    await run_in_threadpool(show)
    return RevealAnswer(shown=True)
