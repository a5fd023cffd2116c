"""The view of one file: its segments, its subtitles, and how it can be played."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from wave_search.errors import MediaError
from wave_search.files import is_gone
from wave_search.serve.library import MAX_MOMENTS, segment_hit, shown
from wave_search.serve.schemas import FileEntry, SegmentAnswer, SegmentEntry, SubtitleCue

if TYPE_CHECKING:
    from wave_search.media.subtitles import Cue
    from wave_search.query import FileDetails
    from wave_search.serve.service import Service

_STAMP = "{:02}:{:02}:{:02}.{:03}"


def segment_answer(service: Service, segment_id: int) -> SegmentAnswer:
    """Return a segment with its file.

    Raises:
        GoneError: the segment is not in the index.
    """
    segment, file = service.library.segment(segment_id)
    playable, streams = service.previews.playable(file)
    path = shown(file.path)
    has_audio = streams is not None and streams.audio_codec is not None
    modified = file.columns["modified"]
    return SegmentAnswer(
        hit=segment_hit(file.path, file.kind, file.duration_s, segment),
        file=FileEntry(
            path=path,
            name=os.path.basename(path),  # noqa: PTH119 - text, not a file
            folder=os.path.dirname(path),  # noqa: PTH120
            kind=file.kind,
            size_bytes=file.size_bytes,
            modified=None if modified is None else str(modified),
            duration_s=file.duration_s,
            status=file.status,
            cause=file.cause,
            gone=is_gone(file.path),
            columns=dict(file.columns),
            copies=[shown(copy) for copy in file.copies],
            playable=playable,
            width=None if streams is None else streams.width,
            height=None if streams is None else streams.height,
            has_audio=has_audio,
            has_video=file.kind == "video",
        ),
        moments=[
            SegmentEntry(
                segment=one.segment_id, modality=one.modality, start_s=one.start_s, stop_s=one.stop_s, text=one.text
            )
            for one in file.segments[:MAX_MOMENTS]
        ],
        subtitles=[
            SubtitleCue(start_s=cue.start_s, stop_s=cue.stop_s, text=cue.text) for cue in cues_of(service, file)
        ],
    )


def cues_of(service: Service, file: FileDetails) -> tuple[Cue, ...]:
    """Return the subtitles of a file: those of an indexed file of the same name beside it, or its own."""
    if file.kind == "text":
        beside = file if file.duration_s is not None else None
    else:
        beside = service.library.subtitles_beside(file)
    try:
        if beside is None and file.kind == "video" and service.previews.has_subtitles(file):
            beside = file
        return () if beside is None else service.previews.cues(beside)
    except MediaError:
        return ()


def webvtt(cues: tuple[Cue, ...]) -> str:
    """Return subtitles as a WebVTT file."""
    blocks = (f"{_stamp(cue.start_s)} --> {_stamp(cue.stop_s)}\n{_escaped(cue.text)}\n" for cue in cues)
    return "\n".join(("WEBVTT\n", *blocks))


def _stamp(time_s: float) -> str:
    milliseconds = round(time_s * 1000)
    return _STAMP.format(
        milliseconds // 3_600_000, milliseconds // 60_000 % 60, milliseconds // 1000 % 60, milliseconds % 1000
    )


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
