"""The tools: from arguments to an answer for a language model, as text and as data."""

from __future__ import annotations

import base64
import mimetypes
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from mcp_types import AudioContent, ContentBlock, ImageContent, ResourceLink, TextContent
from starlette.concurrency import run_in_threadpool

from wave_search.errors import UsageError
from wave_search.render.text import bytes_text, clock, counted, printable, span
from wave_search.serve import schemas as api
from wave_search.serve.details import cues_of
from wave_search.serve.library import in_folder, shown
from wave_search.serve.mcp import schemas
from wave_search.serve.media_routes import opened
from wave_search.serve.previews import JPEG, MP3
from wave_search.serve.service import Asked
from wave_search.store import BUILT_IN

if TYPE_CHECKING:
    from wave_search.query import FileDetails, SegmentDetails
    from wave_search.serve.mcp.schemas import (
        AskArguments,
        Filters,
        ListenArguments,
        LookArguments,
        SearchArguments,
        SimilarArguments,
    )
    from wave_search.serve.previews import Wanted
    from wave_search.serve.service import Service

URI = "wave-search://segments/{}"
MAX_PICTURE_BYTES = 600_000
"""Clients take a megabyte, and base64 adds a third."""
_MAX_FOLDERS = 100
_MAX_CUES = 50
_MAX_TEXT_CHARS = 1_000
_VERDICTS = ((6.0, "very clear"), (5.0, "clear"), (4.0, "likely"), (3.0, "possible"))
"""As on the page. The thresholds are those of docs/design/scores.md."""
_WEAK = "weak"
_SEEN_BY = {"whole": None, "sound": "audio", "picture": "video"}
_CONDITIONS = [
    "duration_s < 60",
    "kind = 'video' AND height >= 1080",
    "modified >= '2026-01-01'",
    "name LIKE '%.mp3'",
    "text LIKE '%harbour%'",
]


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of a tool."""

    result: api.Result
    """For programs."""
    content: list[ContentBlock]
    """The same for a language model: text, media, links."""


async def search(service: Service, arguments: SearchArguments) -> Answer:
    """Search by texts, or list files. Raises WaveSearchError."""
    terms = [api.Term(text=arguments.query)] if arguments.query.strip() else []
    what = f"for {printable(arguments.query)!r}" if terms else "by path"
    own = {"instruction": arguments.instruction, "rerank": arguments.rerank}
    return await _found(service, arguments, terms, what, **own)


async def similar(service: Service, arguments: SimilarArguments) -> Answer:
    """Search by a segment. Raises WaveSearchError."""
    segment, file = await run_in_threadpool(service.library.segment, arguments.segment)
    modality: Any = _SEEN_BY[arguments.by]
    if modality is not None and (file.kind in ("image", "text") or segment.modality == modality):
        modality = None  # it is the segment itself
    if (arguments.by, file.kind) in (("sound", "image"), ("sound", "text"), ("picture", "text")):
        raise UsageError(f"segment {arguments.segment} is {file.kind}, and has no {arguments.by}", 'Use by="whole".')
    terms = [api.Term(segment=arguments.segment, modality=modality)]
    return await _found(service, arguments, terms, f"similar to segment {arguments.segment}")


async def _found(
    service: Service,
    filters: Filters,
    terms: list[api.Term],
    what: str,
    **own: Any,
) -> Answer:
    terms = [*terms, *(api.Term(text=one.text, weight=one.weight, avoid=one.avoid) for one in filters.also)]
    query = api.SearchQuery(
        terms=terms,
        target=filters.target,
        limit=filters.limit,
        offset=filters.offset,
        min_z=filters.min_z,
        where=_condition(filters),
        per_file=filters.per_file,
        columns=list(filters.columns),
        **own,
    )
    found = await service.search(Asked(query), lambda: service.library.search(query, {}))
    moments = [_moment(hit) for hit in found.hits[: query.limit]]
    more = len(found.hits) > query.limit
    result = schemas.SearchResult(
        moments=moments, more=more, note=_note(moments, found.warnings), index_version=found.index_version
    )
    heading = f"{counted(len(moments), 'result')} {what}{', and more' if more else ''}. {result.note}".rstrip()
    links = [_link(moment) for moment in moments]
    return Answer(result, [_text("\n".join((heading, *map(_line, moments)))), *links])


def _condition(filters: Filters) -> str | None:
    """Return the filters as one condition."""
    conditions = []
    if filters.kind is not None:
        conditions.append(f"kind = '{filters.kind}'")
    if filters.folder is not None:
        name = filters.folder.strip("/").replace("'", "''")
        conditions.append(
            in_folder(filters.folder) if filters.folder.startswith("/") else f"contains(path, '/{name}/')"
        )
    if filters.where is not None:
        conditions.append(f"({filters.where}\n)" if conditions else filters.where)  # it may end with a comment
    return " AND ".join(conditions) or None


def _moment(hit: api.SearchHit) -> schemas.Moment:
    return schemas.Moment(
        rank=hit.rank,
        segment=hit.segment,
        uri=URI.format(hit.segment),
        path=hit.path,
        kind=hit.kind,
        modality=hit.modality,
        start_s=hit.start_s,
        stop_s=hit.stop_s,
        time=span(hit.start_s, hit.stop_s),
        peak_start_s=hit.peak_start_s,
        duration_s=hit.duration_s,
        z=hit.z,
        match="" if hit.z is None else next((word for least, word in _VERDICTS if hit.z >= least), _WEAK),
        text=None if hit.text is None else hit.text[:_MAX_TEXT_CHARS],
        columns=hit.columns,
        gone=hit.gone,
    )


def _note(moments: list[schemas.Moment], warnings: list[str]) -> str:
    best = moments[0].z if moments else None
    if not moments:
        notes = ["Nothing was found: leave out filters and min_z, or describe it otherwise."]
    elif best is not None and best < _VERDICTS[-1][0]:
        notes = ["All matches are weak: there is probably nothing like that here."]
    else:
        notes = []
    return " ".join((*notes, *(f"{warning}." for warning in warnings)))


def _line(moment: schemas.Moment) -> str:
    parts = [f"{moment.rank}. segment {moment.segment}", printable(moment.path), f"{moment.kind}, by {moment.modality}"]
    if moment.start_s is not None and moment.stop_s is not None:
        parts.append(f"{moment.time} ({moment.start_s:g}-{moment.stop_s:g} s)")
    if moment.duration_s is not None:
        parts.append(f"of {clock(moment.duration_s)}")
    if moment.z is not None:
        parts.append(f"z {moment.z:.1f}, {moment.match}")
    parts += [f"{name}: {printable(str(value))}" for name, value in moment.columns.items()]
    if moment.gone:
        parts.append("the file has disappeared")
    if moment.text is not None:
        parts.append(printable(moment.text))
    return " | ".join(parts)


def _link(moment: schemas.Moment) -> ResourceLink:
    name = moment.path.rsplit("/", 1)[-1]
    time = f" {moment.time}" if moment.start_s is not None else ""
    return ResourceLink(
        type="resource_link",
        uri=moment.uri,
        name=f"{name}{time}",
        description=moment.path,
        mime_type="application/json",
    )


async def look(service: Service, arguments: LookArguments) -> Answer:
    """Show a picture of a segment, or a contact sheet of a range of its file. Raises WaveSearchError."""
    segment, file = await run_in_threadpool(service.library.segment, arguments.segment)
    if file.kind == "text":
        raise UsageError(f"segment {arguments.segment} is a text, and has no picture", "Read it: search returns it.")
    if file.kind == "audio":
        raise UsageError(f"segment {arguments.segment} is a sound, and has no picture", "Use listen.")
    times_s: tuple[float, ...] = ()
    start_s, stop_s = 0.0, 0.0
    if file.kind == "video":
        start_s, stop_s = _range(segment, file, arguments.start_s, arguments.stop_s)
        step_s = (stop_s - start_s) / arguments.frames
        times_s = tuple(round(start_s + (number + 0.5) * step_s, 3) for number in range(arguments.frames))
    wanted = service.previews.frames(file, times_s or (0.0,), arguments.max_side, MAX_PICTURE_BYTES)
    data = await _content(service, wanted)
    result = schemas.LookResult(
        segment=arguments.segment,
        path=shown(file.path),
        kind=file.kind,
        times_s=list(times_s),
        subtitles=await _cues(service, file, start_s, stop_s),
    )
    at = ", ".join(f"{clock(time_s)}" for time_s in times_s)
    lines = [f"{printable(result.path)}{f' at {at}' if at else ''}", *_cue_lines(result.subtitles)]
    picture = ImageContent(type="image", data=data, mime_type=JPEG)
    return Answer(result, [_text("\n".join(lines)), picture, _file_link(arguments.segment, file)])


async def listen(service: Service, arguments: ListenArguments) -> Answer:
    """Return the sound of a segment, or of a range of its file. Raises WaveSearchError."""
    segment, file = await run_in_threadpool(service.library.segment, arguments.segment)
    if file.kind in ("text", "image"):
        raise UsageError(f"segment {arguments.segment} is {file.kind}, and has no sound", "Use look, or read its text.")
    start_s, stop_s = _range(segment, file, arguments.start_s, arguments.stop_s)
    cut = stop_s - start_s > schemas.MAX_LISTEN_S
    stop_s = min(stop_s, start_s + schemas.MAX_LISTEN_S)
    data = await _content(service, service.previews.sound(file, start_s, stop_s))
    result = schemas.ListenResult(
        segment=arguments.segment,
        path=shown(file.path),
        start_s=start_s,
        stop_s=stop_s,
        cut=cut,
        subtitles=await _cues(service, file, start_s, stop_s),
    )
    lines = [f"{printable(result.path)} {span(start_s, stop_s)}", *_cue_lines(result.subtitles)]
    if cut:
        lines.insert(1, f"These are the first {schemas.MAX_LISTEN_S:g} s of the range; go on with start_s={stop_s:g}.")
    sound = AudioContent(type="audio", data=data, mime_type=MP3)
    return Answer(result, [_text("\n".join(lines)), sound, _file_link(arguments.segment, file)])


async def ask(service: Service, arguments: AskArguments) -> Answer:
    """Answer a question about a segment. Raises WaveSearchError."""
    _, file = await run_in_threadpool(service.library.segment, arguments.segment)
    (await run_in_threadpool(service.previews.original, file)).close()  # raises if it has changed
    work = partial(service.library.ask, arguments.segment, arguments.question, arguments.choices)
    answers = await service.search(Asked(api.SearchQuery()), work)
    choices = [schemas.Choice(answer=one.text, score=round(one.score, 4)) for one in answers]
    result = schemas.AskResult(choices=choices, margin=round(answers[0].score - answers[1].score, 4))
    lines = [f"{one.score:.3f} {printable(one.answer)}" for one in choices]
    remark = "Scores are cosines, no probabilities; without a margin, the model does not know."
    return Answer(result, [_text("\n".join((*lines, f"margin {result.margin:.3f}. {remark}")))])


async def library(service: Service, _: schemas.LibraryArguments) -> Answer:
    """Describe what the index contains. Raises WaveSearchError."""
    described = await run_in_threadpool(service.library.describe)
    folders = sorted(described.folders, key=lambda folder: -folder.files)[:_MAX_FOLDERS]
    result = schemas.LibraryResult(
        index=described.path,
        model=described.model.name,
        files=described.files,
        segments=described.segments,
        duration_s=described.duration_s,
        targets=described.targets,
        instructions=described.instructions,
        folders=sorted(folders, key=lambda folder: folder.name),
        more_folders=len(described.folders) - len(folders),
        columns=described.columns,
        built_in_columns=list(BUILT_IN),
        conditions=_CONDITIONS,
        index_version=described.index_version,
    )
    return Answer(result, [_text("\n".join(_description(result)))])


def _description(result: schemas.LibraryResult) -> list[str]:
    files = ", ".join(f"{count:,} {kind}" for kind, count in result.files.items()) or "none"
    own = ", ".join(f"{printable(one.name)} ({one.type})" for one in result.columns)
    return [
        f"Index {printable(result.index)}, model {printable(result.model)}",
        f"Files: {files}; {clock(result.duration_s)} of audio and video",
        f"Targets: {', '.join(result.targets)}",
        *(f"Instruction: {printable(one)}" for one in result.instructions),
        "Folders:",
        *(f"  {printable(folder.name)} ({counted(folder.files, 'file')})" for folder in result.folders),
        *([f"  and {result.more_folders} more"] if result.more_folders else []),
        f"Columns for where: {', '.join(result.built_in_columns)}{f'; of the user: {own}' if own else ''}",
        f"Conditions, for example: {'; '.join(result.conditions)}",
    ]


def _range(
    segment: SegmentDetails, file: FileDetails, start_s: float | None, stop_s: float | None
) -> tuple[float, float]:
    """Return the range that is asked for, within the file; by default, that of the segment.

    Raises:
        UsageError: it is empty.
    """
    duration_s = file.duration_s or 0.0
    given = start_s is not None or stop_s is not None
    begin_s = start_s if start_s is not None else (segment.start_s or 0.0)
    end_s = stop_s
    if end_s is None:
        length_s = (segment.stop_s or duration_s) - (segment.start_s or 0.0)
        end_s = begin_s + length_s
    end_s = min(end_s, duration_s)
    if begin_s >= end_s:
        if given:
            raise UsageError(f"{begin_s:g} to {end_s:g} s is not a range of the file", f"It ends at {duration_s:g} s.")
        begin_s, end_s = 0.0, duration_s
    return round(begin_s, 3), round(end_s, 3)


async def _content(service: Service, wanted: Wanted) -> str:
    """Return a preview in base64."""
    media = await opened(service, wanted)
    with media.file as file:
        return base64.b64encode(await run_in_threadpool(file.read)).decode()


async def _cues(service: Service, file: FileDetails, start_s: float, stop_s: float) -> list[api.SubtitleCue]:
    cues = await run_in_threadpool(cues_of, service, file)
    inside = [cue for cue in cues if cue.start_s < stop_s and cue.stop_s > start_s]
    return [api.SubtitleCue(start_s=cue.start_s, stop_s=cue.stop_s, text=cue.text) for cue in inside[:_MAX_CUES]]


def _cue_lines(cues: list[api.SubtitleCue]) -> list[str]:
    return [f"subtitle {span(cue.start_s, cue.stop_s)}: {printable(cue.text)}" for cue in cues]


def _file_link(segment_id: int, file: FileDetails) -> ResourceLink:
    return ResourceLink(
        type="resource_link",
        uri=f"{URI.format(segment_id)}/file",
        name=shown(file.path).rsplit("/", 1)[-1],
        description=f"The file, {bytes_text(file.size_bytes)}",
        mime_type=mimetypes.guess_type(file.path.name)[0],
        size=file.size_bytes,
    )


def _text(text: str) -> TextContent:
    return TextContent(type="text", text=text)
