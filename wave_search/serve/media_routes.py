"""Routes of the API that answer with media: pictures, sound, video, subtitles of a segment and its file."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from fastapi import APIRouter, Query
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from wave_search.descriptors import descriptor_path
from wave_search.errors import UnsupportedMediaError
from wave_search.render.archive import clip_name
from wave_search.serve.details import cues_of, webvtt
from wave_search.serve.previews import PEAKS, WIDTHS, Media, Wanted, fewer_peaks
from wave_search.serve.routes import NOT_FOUND, SegmentPath
from wave_search.serve.schemas import ErrorAnswer, PeaksAnswer
from wave_search.serve.service import Service, service_of

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from starlette.types import Receive, Scope, Send


Route = TypeVar("Route", bound="Callable[..., Any]")
_CONVERTED: dict[int | str, dict[str, Any]] = {
    **NOT_FOUND,
    429: {"model": ErrorAnswer, "description": "Too many conversions at once"},
}
_HEADERS = {"content-security-policy": "default-src 'none'; sandbox", "cache-control": "private, no-cache"}
"""A browser asks each time whether its copy is still right, and is told so by the tag, because a file may be removed
from the index."""
media_router = APIRouter()


class OpenFileResponse(FileResponse):
    """Sends an open file, or ranges of it: the one that was checked, whatever its name leads to by now."""

    def __init__(self, media: Media, filename: str | None = None) -> None:
        self._file = media.file
        super().__init__(
            descriptor_path(media.file),
            media_type=media.media_type,
            headers={**_HEADERS, "etag": f'"{media.tag}"'},
            filename=filename,
            stat_result=_status(media),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._file.close()


def _status(media: Media) -> os.stat_result:
    import os

    return os.fstat(media.file.fileno())


def sent(request: Request, media: Media, filename: str | None = None) -> Response:
    """Return the answer with an open file, or without it if the browser has it already."""
    if _has(request, f'"{media.tag}"'):
        media.file.close()
        return Response(status_code=304, headers={**_HEADERS, "etag": f'"{media.tag}"'})
    return OpenFileResponse(media, filename)


def _has(request: Request, etag: str) -> bool:
    """Return whether the browser has the answer with a tag already."""
    tags = [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]
    return etag in tags or "*" in tags


def _media_route(path: str, description: str) -> Callable[[Route], Route]:
    """Register a route for GET, and for HEAD, which does not appear in the description of the API."""
    responses: dict[int | str, dict[str, Any]] = {
        **_CONVERTED,
        200: {"description": description, "content": {"*/*": {}}},
    }

    def register(function: Route) -> Route:
        media_router.head(path, include_in_schema=False)(function)
        return media_router.get(path, responses=responses, response_class=Response)(function)

    return register


@_media_route("/segments/{segment_id}/thumb", "A WebP picture")
async def thumb(
    request: Request, segment_id: SegmentPath, width: Annotated[int, Query(ge=1, le=WIDTHS[-1])] = 320
) -> Response:
    """A picture of a segment: of the image, or of the middle of the range of a video. A sound has none."""
    service = service_of(request)
    segment, file = await run_in_threadpool(service.library.segment, segment_id)
    return sent(request, await opened(service, service.previews.thumbnail(file, segment, width)))


@media_router.head("/segments/{segment_id}/peaks", response_model=PeaksAnswer, include_in_schema=False)
@media_router.get("/segments/{segment_id}/peaks", responses=_CONVERTED, response_model=PeaksAnswer)
async def peaks(
    request: Request,
    response: Response,
    segment_id: SegmentPath,
    count: Annotated[int, Query(ge=1, le=PEAKS)] = 400,
    whole: Annotated[bool, Query(description="Of the whole file")] = False,
) -> PeaksAnswer | Response:
    """The loudness of a segment, or of its whole file, for drawing it."""
    service = service_of(request)
    segment, file = await run_in_threadpool(service.library.segment, segment_id)
    if file.kind not in ("audio", "video") or not file.duration_s:
        raise UnsupportedMediaError(file.path, "it has no sound", "Ask for its picture.")
    start_s, stop_s = segment.start_s, segment.stop_s
    if whole or start_s is None or stop_s is None or start_s >= stop_s:
        start_s, stop_s = 0.0, file.duration_s
    measured = await opened(service, service.previews.peaks(file, start_s, stop_s))
    headers = {**_HEADERS, "etag": f'"{measured.tag}-{count}"'}
    if _has(request, headers["etag"]):
        measured.file.close()
        return Response(status_code=304, headers=headers)
    response.headers.update(headers)
    values = await run_in_threadpool(fewer_peaks, measured, count)
    return PeaksAnswer(peaks=values, start_s=start_s, stop_s=stop_s)


@_media_route("/segments/{segment_id}/media", "The file, or a range of it")
async def media(request: Request, segment_id: SegmentPath) -> Response:
    """The whole file if browsers play it, otherwise a conversion of it, which the first request waits for."""
    service = service_of(request)
    _, file = await run_in_threadpool(service.library.segment, segment_id)
    found = await run_in_threadpool(service.previews.media, file)
    return sent(request, found if isinstance(found, Media) else await opened(service, found))


@_media_route("/segments/{segment_id}/clip", "An MP4 file")
async def clip(
    request: Request,
    segment_id: SegmentPath,
    start: Annotated[float | None, Query(ge=0, allow_inf_nan=False, description="Seconds; of the segment")] = None,
    stop: Annotated[float | None, Query(gt=0, allow_inf_nan=False, description="Seconds; of the segment")] = None,
    download: Annotated[bool, Query(description="As an attachment")] = False,
) -> Response:
    """A range of the file as MP4: copied without a loss where possible, otherwise converted."""
    service = service_of(request)
    segment, file = await run_in_threadpool(service.library.segment, segment_id)
    # To the millisecond, so that a slider does not fill the cache with copies of nearly the same.
    start_s = round((segment.start_s or 0.0) if start is None else start, 3)
    stop_s = round((segment.stop_s or file.duration_s or 0.0) if stop is None else stop, 3)
    cut = await opened(service, service.previews.clip(file, start_s, stop_s))
    return sent(request, cut, clip_name(file, start_s, stop_s) if download else None)


async def opened(service: Service, wanted: Wanted) -> Media:
    """Return a preview: a kept one at once, however many others are being made."""
    kept = await run_in_threadpool(service.previews.kept, wanted)
    if kept is not None:
        return kept
    make = partial(service.previews.made, wanted)
    return await (service.conversions.run(make) if wanted.is_long else run_in_threadpool(make))


@_media_route("/segments/{segment_id}/subtitles.vtt", "WebVTT")
async def subtitles(request: Request, segment_id: SegmentPath) -> Response:
    """The subtitles of an indexed file of the same name beside it, or of the file itself."""
    cues = await run_in_threadpool(_cues, service_of(request), segment_id)
    return Response(cues, media_type="text/vtt; charset=utf-8", headers=_HEADERS)


def _cues(service: Service, segment_id: int) -> str:
    _, file = service.library.segment(segment_id)
    cues = cues_of(service, file)
    if not cues:
        raise UnsupportedMediaError(file.path, "there are no subtitles in it or beside it", "Index them with the file.")
    return webvtt(cues)
