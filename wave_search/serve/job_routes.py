"""Routes of the API for the folders of the index, and for runs of `index`."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Header, Path
from fastapi.sse import KEEPALIVE_COMMENT, EventSourceResponse, format_sse_event
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from wave_search.serve.job_schemas import IndexAnswer, JobAnswer, JobRequest, JobsAnswer, SkippedAnswer
from wave_search.serve.routes import ERRORS
from wave_search.serve.schemas import ErrorAnswer
from wave_search.serve.service import service_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from wave_search.serve.job import Job
    from wave_search.serve.jobs import Jobs

HEARTBEAT_S = 15.0
"""Time after which something is sent, so that nobody between here and the listener gives the connection up."""
_EVERY_S = 0.25
"""Time between two parts of a stream, in which events of progress replace each other."""
_NO_JOB: dict[int | str, dict[str, Any]] = {**ERRORS, 404: {"model": ErrorAnswer, "description": "No such run"}}
_NOT_NOW: dict[int | str, dict[str, Any]] = {
    **_NO_JOB,
    409: {"model": ErrorAnswer, "description": "Its state does not allow that"},
}
_STARTS: dict[int | str, dict[str, Any]] = {
    **ERRORS,
    409: {"model": ErrorAnswer, "description": "A run has not ended yet"},
}
_STREAM: dict[int | str, dict[str, Any]] = {
    **_NO_JOB,
    200: {"content": {"text/event-stream": {}}, "description": "Events until the run ends"},
    204: {"description": "The run has ended, and there are no events after Last-Event-ID"},
    429: {"model": ErrorAnswer, "description": "Too many listeners"},
}
JobId = Annotated[str, Path(max_length=64, description="Id of a run")]
job_router = APIRouter()


@job_router.get("", responses=ERRORS)
async def index(request: Request) -> IndexAnswer:
    """The folders of the index, and which others may be indexed."""
    service = service_of(request)
    return await run_in_threadpool(service.folders.describe, service.jobs.allowed)


@job_router.get("/skipped", responses=ERRORS)
async def skipped(request: Request) -> SkippedAnswer:
    """What earlier runs could not use, or only in part, by cause."""
    return await run_in_threadpool(service_of(request).folders.skipped)


@job_router.post("/jobs", status_code=202, responses=_STARTS)
async def start(request: Request, wanted: JobRequest) -> JobAnswer:
    """Start a run that brings the index up to date with folders. One at a time."""
    jobs = service_of(request).jobs
    it = await run_in_threadpool(jobs.start, wanted)
    return it.answer()


@job_router.get("/jobs", responses=ERRORS)
async def jobs(request: Request) -> JobsAnswer:
    """The runs since the server was started, the newest first."""
    return JobsAnswer(jobs=[job.answer() for job in service_of(request).jobs.all()])


@job_router.get("/jobs/{job_id}", responses=_NO_JOB)
async def job(request: Request, job_id: JobId) -> JobAnswer:
    """One run."""
    it: Job = service_of(request).jobs.get(job_id)
    return it.answer()


@job_router.post("/jobs/{job_id}/pause", responses=_NOT_NOW)
async def pause(request: Request, job_id: JobId) -> JobAnswer:
    """Stop a run until it is resumed. It keeps its memory, and other writers out of the index."""
    it: Job = service_of(request).jobs.get(job_id)
    await run_in_threadpool(it.pause)
    return it.answer()


@job_router.post("/jobs/{job_id}/resume", responses=_NOT_NOW)
async def resume(request: Request, job_id: JobId) -> JobAnswer:
    """Let a run continue after a pause."""
    it: Job = service_of(request).jobs.get(job_id)
    await run_in_threadpool(it.resume)
    return it.answer()


@job_router.post("/jobs/{job_id}/cancel", responses=_NOT_NOW)
async def cancel(request: Request, job_id: JobId) -> JobAnswer:
    """End a run early. Files that are complete stay in the index, and the next run continues with the others."""
    it: Job = service_of(request).jobs.get(job_id)
    await run_in_threadpool(it.cancel)
    return it.answer()


@job_router.get("/jobs/{job_id}/events", responses=_STREAM, response_class=Response)
async def events(
    request: Request, job_id: JobId, last_event_id: Annotated[int, Header(ge=0, lt=1 << 63)] = 0
) -> Response:
    """Follow a run: events "job" (a new state), "progress" and "skipped" (a file, with the cause), until it ends.

    Their data are `JobAnswer`, `JobProgress` and `SkippedEntry`. A listener who comes later is sent the newest of the
    former two, and the last 1,000 files.
    """
    jobs = service_of(request).jobs
    it = jobs.get(job_id)
    if it.is_over and not it.events(last_event_id):
        return Response(status_code=204)  # an EventSource does not ask again
    woken, loop, listening = asyncio.Event(), asyncio.get_running_loop(), ExitStack()
    listening.enter_context(jobs.listening(it, lambda: loop.call_soon_threadsafe(woken.set)))
    return EventSourceResponse(
        _events(jobs, it, last_event_id, woken, listening),
        headers={"x-accel-buffering": "no"},  # nginx would keep them until there are many
    )


async def _events(jobs: Jobs, job: Job, last: int, woken: asyncio.Event, listening: ExitStack) -> AsyncIterator[bytes]:
    """Yield the events of a job after a number as they happen, until it has ended or the server ends."""
    with listening:
        while True:
            woken.clear()
            is_last = job.is_over or jobs.closing
            for event in job.events(last):
                last = event.number
                yield format_sse_event(event=event.kind, data_str=event.data.model_dump_json(), id=str(last))
            if is_last:
                return
            await asyncio.sleep(_EVERY_S)
            try:
                await asyncio.wait_for(woken.wait(), HEARTBEAT_S)
            except TimeoutError:
                yield KEEPALIVE_COMMENT
