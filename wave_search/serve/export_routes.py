"""Routes of the API for chosen segments: whether they are still there, and their export to other programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, Literal
from urllib.parse import quote

from fastapi import APIRouter
from pydantic import ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from wave_search.errors import UsageError
from wave_search.render.archive import Chosen, Missing, pack, plain_name, zip_pieces
from wave_search.render.export import FORMATS, NAME, Excerpt
from wave_search.render.text import printable
from wave_search.serve.errors import BusyError
from wave_search.serve.routes import ERRORS
from wave_search.serve.schemas import ErrorAnswer, Model, Result, SearchHit, SegmentId
from wave_search.serve.service import Service, service_of
from wave_search.types import Modality

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.types import Receive, Scope, Send

    from wave_search.query import FileDetails

MAX_ITEMS = 500
MAX_ZIP_S = 3_600.0
"""Duration of the clips of a ZIP file together, in seconds."""
_EXPORTS: dict[int | str, dict[str, Any]] = {
    **ERRORS,
    200: {"description": "A file", "content": {"*/*": {}}},
    404: {"model": ErrorAnswer, "description": "A segment is not in the index"},
    429: {"model": ErrorAnswer, "description": "Too many ZIP files at once"},
}
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
export_router = APIRouter()


class ExportItem(Model):
    """A segment, or a range of its file."""

    segment: SegmentId
    start_s: Seconds | None = None
    """Without both, the range of the segment."""
    stop_s: Seconds | None = None


class ExportQuery(Model):
    """What to export, and how."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"format": "zip", "items": [{"segment": 81}, {"segment": 95, "start_s": 1.0, "stop_s": 2.5}]}]
        }
    )

    format: Literal["csv", "jsonl", "m3u8", "otio", "edl", "fcpxml", "zip"]
    items: Annotated[list[ExportItem], Field(min_length=1, max_length=MAX_ITEMS)]
    name: Annotated[str, Field(min_length=1, max_length=100)] = NAME
    """Of the file, without its suffix, and of a timeline."""


class SegmentsQuery(Model):
    """Ids of segments."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"segments": [81, 95]}]})

    segments: Annotated[list[SegmentId], Field(max_length=MAX_ITEMS)]


class SegmentsAnswer(Result):
    """Segments as hits without scores."""

    hits: list[SearchHit | None]
    """In the order of the ids; null for a segment that is not in the index."""


class _ZipResponse(StreamingResponse):
    """Sends a ZIP file while it is written, and lets another one begin at the end, however it ends."""

    def __init__(self, pieces: Iterator[bytes], headers: dict[str, str], ended: Callable[[], None]) -> None:
        super().__init__(pieces, media_type="application/zip", headers=headers)
        self._ended = ended

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._ended()


@export_router.post("/segments", responses=ERRORS)
async def segments(request: Request, query: SegmentsQuery) -> SegmentsAnswer:
    """Which segments are still in the index, and where."""
    return SegmentsAnswer(hits=await run_in_threadpool(service_of(request).library.hits, query.segments))


@export_router.post("/export", responses=_EXPORTS, response_class=Response)
async def export(request: Request, query: ExportQuery) -> Response:
    """Ranges of files as a table, a playlist, a timeline, or a ZIP file of clips."""
    service = service_of(request)
    headers = {"content-disposition": _attachment(f"{plain_name(query.name)}.{query.format}")}
    if query.format != "zip":
        format_ = FORMATS[f".{query.format}"]

        def written() -> bytes:
            chosen = (_chosen(service, item) for item in query.items)
            return format_.write([_excerpt(rank, one) for rank, one in enumerate(chosen, start=1)], query.name)

        return Response(await service.exports.run(written), media_type=format_.media_type, headers=headers)
    found = await service.exports.run(lambda: [_found(service, item) for item in query.items])
    total_s = sum((one.stop_s or 0.0) - (one.start_s or 0.0) for one in found if isinstance(one, Chosen))
    if total_s > MAX_ZIP_S:
        raise UsageError(
            f"a ZIP file has at most {MAX_ZIP_S / 60:g} minutes of clips, these have {total_s / 60:.0f}",
            "Choose shorter ranges, or fewer clips at once.",
        )
    if not service.zips.acquire(blocking=False):
        raise BusyError("too many ZIP files are being written already", "Try again when one is finished.")

    def cut(file: FileDetails, start_s: float, stop_s: float) -> BinaryIO:
        wanted = service.previews.clip(file, start_s, stop_s)
        return (service.previews.kept(wanted) or service.previews.made(wanted)).file

    return _ZipResponse(zip_pieces(pack(found, cut)), headers, service.zips.release)


def _chosen(service: Service, item: ExportItem) -> Chosen:
    """Return the file and the range of an item.

    Raises:
        GoneError: the segment is not in the index.
        UsageError: the range is not one of the file.
    """
    segment, file = service.library.segment(item.segment)
    if item.start_s is None and item.stop_s is None:
        return Chosen(file, segment.start_s, segment.stop_s)
    if file.duration_s is None:
        return Chosen(file, None, None)
    start_s, stop_s = item.start_s or 0.0, min(file.duration_s if item.stop_s is None else item.stop_s, file.duration_s)
    if start_s >= stop_s:
        cause = f"{printable(file.path.name)}: {start_s:g} to {stop_s:g} s is not a range of the file"
        raise UsageError(cause, f"It ends at {file.duration_s:g} s.")
    return Chosen(file, start_s, stop_s)


def _found(service: Service, item: ExportItem) -> Chosen | Missing:
    try:
        return _chosen(service, item)
    except UsageError as error:
        return Missing(f"segment {item.segment}", str(error))


def _excerpt(rank: int, one: Chosen) -> Excerpt:
    file = one.file
    if file.kind == "video":
        modality = Modality.AV if file.columns.get("audio_codec") else Modality.VIDEO
    else:
        modality = Modality(file.kind)
    return Excerpt(
        path=file.path,
        modality=modality,
        start_s=one.start_s,
        stop_s=one.stop_s,
        duration_s=file.duration_s,
        record={
            "rank": rank,
            "path": str(file.path),
            "kind": file.kind,
            "start_s": one.start_s,
            "stop_s": one.stop_s,
            "duration_s": file.duration_s,
        },
        columns=file.columns,
    )


def _attachment(name: str) -> str:
    encoded = quote(name.encode("utf-8", "replace"))
    return f'attachment; filename="{name}"' if encoded == name else f"attachment; filename*=utf-8''{encoded}"
