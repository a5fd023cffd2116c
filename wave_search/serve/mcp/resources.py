"""Resources: what is known of a segment, its picture, its sound and its file, by URI."""

from __future__ import annotations

import base64
import mimetypes
import re
from typing import TYPE_CHECKING, Any

from mcp_types import BlobResourceContents, ReadResourceResult, Resource, ResourceTemplate, TextResourceContents
from starlette.concurrency import run_in_threadpool

from wave_search.errors import UsageError
from wave_search.render.text import bytes_text
from wave_search.serve.details import segment_answer
from wave_search.serve.errors import GoneError
from wave_search.serve.mcp import tools
from wave_search.serve.mcp.schemas import LibraryArguments, ListenArguments, LookArguments

if TYPE_CHECKING:
    from wave_search.serve.service import Service

JSON = "application/json"
LIBRARY = Resource(uri="wave-search://library", name="library", title="What can be searched", mime_type=JSON)
TEMPLATES = (
    ResourceTemplate(
        uri_template="wave-search://segments/{id}",
        name="segment",
        title="All that is known of a segment and its file",
        mime_type=JSON,
    ),
    ResourceTemplate(
        uri_template="wave-search://segments/{id}/picture",
        name="picture",
        title="A picture of a segment",
        mime_type="image/jpeg",
    ),
    ResourceTemplate(
        uri_template="wave-search://segments/{id}/sound",
        name="sound",
        title="The sound of a segment, up to 60 seconds",
        mime_type="audio/mpeg",
    ),
    ResourceTemplate(
        uri_template="wave-search://segments/{id}/file",
        name="file",
        title="The file of a segment, if it is small",
    ),
)
MAX_FILE_BYTES = 8 << 20
_MAX_ENTRIES = 200
"""Segments and subtitles of a file that are listed."""
_SEGMENT = re.compile(r"wave-search://segments/(?P<id>\d{1,18})(?:/(?P<what>picture|sound|file))?", re.ASCII)


class UnknownResourceError(UsageError):
    """There is no such resource."""


async def read(service: Service, uri: str) -> ReadResourceResult:
    """Return a resource.

    Raises:
        UnknownResourceError: there is none of this name.
        WaveSearchError: it cannot be made.
    """
    if uri == LIBRARY.uri:
        described = await tools.library(service, LibraryArguments())
        return _json(uri, described.result)
    match = _SEGMENT.fullmatch(uri)
    if match is None:
        templates = ", ".join((LIBRARY.uri, *(template.uri_template for template in TEMPLATES)))
        raise UnknownResourceError("there is no such resource", f"There are {templates}.")
    segment_id, what = int(match["id"]), match["what"]
    try:
        if what == "file":
            return await run_in_threadpool(_file, service, uri, segment_id)
        if what is not None:
            return await _excerpt(service, uri, segment_id, what)
        answer = await run_in_threadpool(segment_answer, service, segment_id)
    except GoneError as error:
        raise UnknownResourceError(error.message, error.remedy) from error
    shortened = {"moments": answer.moments[:_MAX_ENTRIES], "subtitles": answer.subtitles[:_MAX_ENTRIES]}
    return _json(uri, answer.model_copy(update=shortened))


async def _excerpt(service: Service, uri: str, segment_id: int, what: str) -> ReadResourceResult:
    if what == "picture":
        answer = await tools.look(service, LookArguments(segment=segment_id))
    else:
        answer = await tools.listen(service, ListenArguments(segment=segment_id))
    media: Any = answer.content[1]
    return ReadResourceResult(contents=[BlobResourceContents(uri=uri, blob=media.data, mime_type=media.mime_type)])


def _file(service: Service, uri: str, segment_id: int) -> ReadResourceResult:
    _, file = service.library.segment(segment_id)
    if file.size_bytes > MAX_FILE_BYTES:
        limit = f"the file has {bytes_text(file.size_bytes)}, more than {bytes_text(MAX_FILE_BYTES)}"
        raise UsageError(limit, f"Read {uri.removesuffix('file')}picture or sound, or open its path.")
    with service.previews.original(file) as opened:
        blob = base64.b64encode(opened.read(MAX_FILE_BYTES + 1)).decode()
    media_type = mimetypes.guess_type(file.path.name)[0] or "application/octet-stream"
    return ReadResourceResult(contents=[BlobResourceContents(uri=uri, blob=blob, mime_type=media_type)])


def _json(uri: str, result: Any) -> ReadResourceResult:
    text = result.model_dump_json()
    return ReadResourceResult(contents=[TextResourceContents(uri=uri, text=text, mime_type=JSON)])
