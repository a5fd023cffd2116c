"""What is in a container: its picture and its sound; or in each of several that were joined to one file."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from wave_search.errors import BrokenMediaError, MediaError, UnsupportedMediaError
from wave_search.media.demux import (
    assumes_rate,
    audio_tracks,
    choose_video,
    declared_stop_s,
    first_frame,
    open_container,
    scan_packets,
)
from wave_search.media.demux import (
    packets as packets_of,
)
from wave_search.media.info import Note, Part, VideoStream
from wave_search.media.joined import part_source, part_starts
from wave_search.media.picture import shown_size
from wave_search.media.refusals import convert_with_ffmpeg, is_initialization_segment, lacks_index
from wave_search.media.restarts import clocked_parts
from wave_search.media.source import CONVERT
from wave_search.media.timecode import container_timecode
from wave_search.media.timeline import MAX_DURATION_S
from wave_search.media.timing import clock_of
from wave_search.media.tracks import tracks_of
from wave_search.media.video import suits_decord

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wave_search.media.info import AudioStream
    from wave_search.media.source import Source
    from wave_search.media.timing import VideoPackets

_CONVERT_ALL = "Convert it with a program that plays all of it."
_COPY_AGAIN = "Copy it again, or repair it with a program for recordings that broke off."


@dataclass(frozen=True, slots=True)
class Content:
    """What is in a container, which may be only a part of the file."""

    part: Part
    """With the end of its picture and sound."""
    video: VideoStream | None
    tracks: tuple[AudioStream, ...]
    notes: tuple[Note, ...]
    timecode: str | None


def contents_of(source: Source) -> Iterator[Content | MediaError]:
    """Probe the parts of a file, of which there usually is one. Yields an error for each that cannot be decoded."""
    stop_s = 0.0
    for first, stop in itertools.pairwise([*part_starts(source), None]):
        try:
            content = _probe_part(source, Part(first or 0, stop, stop_s, stop_s, 0.0))
        except MediaError as error:
            yield error
            continue
        stop_s = content.part.stop_s
        yield content


def played_parts(source: Source, start_s: float, stop_s: float) -> list[tuple[Source, float]]:
    """Return the parts of a file that are played in a range, and when each begins: in a file of one part, that one."""
    if len(part_starts(source)) == 1:
        return clocked_parts(source, start_s, stop_s)
    parts: list[tuple[Source, float]] = []
    for content in contents_of(source):
        if isinstance(content, MediaError):
            continue
        if content.part.start_s >= stop_s and parts:
            break
        if content.part.stop_s <= start_s:
            parts.clear()
        parts.append((part_source(source, content.part), content.part.start_s))
    return parts or [(source, 0.0)]


def _probe_part(source: Source, part: Part) -> Content:
    source = part_source(source, part)
    try:
        container = open_container(source)
    except BrokenMediaError as error:
        raise (_without_index(source) if lacks_index(source) else error) from error
    video_packets, scans, _ = scan_packets(container, choose_video(container), audio_tracks(container))
    video, picture_stop_s = _video_stream(source, video_packets) if video_packets else (None, 0.0)
    tracks = tracks_of(source, container, scans, part)
    if video is None and not tracks:
        raise _nothing_to_decode(source, container)
    stop_s = max(part.start_s + picture_stop_s, max((track.stop_s for track in tracks), default=0.0))
    note = _note(source, container, video, has_pictures=video_packets is not None)
    notes = () if note is None else (note,)
    return Content(replace(part, stop_s=stop_s), video, tracks, notes, container_timecode(container))


def _note(source: Source, container: Any, video: VideoStream | None, *, has_pictures: bool) -> Note | None:
    """Return what of a container is not indexed, although the rest is: its picture; or that its rate is assumed.

    Args:
        source: the container.
        container: opened from it.
        video: the video stream that can be decoded.
        has_pictures: whether there are packets of a video stream whose codec is known.
    """
    if video is not None:
        return _rate_note(source, video.fps) if assumes_rate(source, container) else None
    picture = choose_video(container)
    if has_pictures and picture is not None:
        codec = picture.codec_context.codec.name
        return Note(f"only its sound can be decoded, not its picture ({codec})", _CONVERT_ALL)
    unknown = [stream for stream in container.streams.video if stream.codec_context is None]
    if unknown and any(packets_of(opened := open_container(source), [opened.streams[it.index] for it in unknown])):
        return Note("only its sound is used, because the codec of its picture is not supported", _CONVERT_ALL)
    return None


def _rate_note(source: Source, fps: float) -> Note:
    converted = convert_with_ffmpeg(source.path, "mkv", f"-f {source.demuxer} -r RATE ")
    return Note(
        f"it does not state its frame rate: {fps:.5g} frames per second are assumed",
        f"If it is another one: {converted}",
    )


def _nothing_to_decode(source: Source, container: Any) -> MediaError:
    """Return why nothing in a container can be decoded."""
    path = source.path
    tracks = [*container.streams.video, *container.streams.audio]
    if not tracks and any(stream.type == "subtitle" for stream in container.streams):
        return UnsupportedMediaError(path, "contains subtitles, but neither audio nor video", "Extract them as .srt.")
    if is_initialization_segment(source):
        cause = "its tracks contain nothing, as in the initialization segment of a stream"
        return UnsupportedMediaError(path, cause, "Join it with the segments that belong to it.")
    unknown = [stream for stream in tracks if stream.codec_context is None]
    # A file that is cut off in its header does not name its codecs either, but has no content.
    if unknown and len(unknown) == len(tracks) and any(packets_of(container, unknown)):
        cause = f"contains {' and '.join(sorted({stream.type for stream in unknown}))} of a codec that is not supported"
        return UnsupportedMediaError(path, cause, "Convert it with a program that plays it.")
    if audio_tracks(container) and first_frame(opened := open_container(source), audio_tracks(opened)[0]) is not None:
        cause = "the packets of its sound declare neither times nor durations"
        return UnsupportedMediaError(path, cause, convert_with_ffmpeg(path, "flac"))
    if lacks_index(source):
        return _without_index(source)
    return BrokenMediaError(path, "contains no audio or video track that can be decoded", CONVERT)


def _without_index(source: Source) -> BrokenMediaError:
    return BrokenMediaError(source.path, "its end is missing, and with it the index", _COPY_AGAIN)


def _video_stream(source: Source, packets: VideoPackets) -> tuple[VideoStream | None, float]:
    """Return the video stream, and when its picture ends; None and 0.0 if no frame can be decoded."""
    container = open_container(source)
    stream = choose_video(container)
    frame = first_frame(container, stream)
    if stream is None or frame is None:
        return None, 0.0
    # A stream without a container has no time stamps, and only the codec may declare a rate.
    rates = (stream.guessed_rate, stream.average_rate) if packets.times_s is None else (stream.average_rate,)
    declared_fps = float(next((rate for rate in (*rates, stream.guessed_rate) if rate), 0))
    clock = clock_of(packets, declared_fps, min(declared_stop_s(container), MAX_DURATION_S))
    width, height = shown_size(frame, stream)
    codec = stream.codec_context.codec.canonical_name
    is_whole = not source.offset_bytes and source.stop_bytes is None
    by_decord = is_whole and suits_decord(source.demuxer, packets, clock.timing, frame, stream)
    video = VideoStream(width, height, codec, clock.fps, packets.frames, clock.timing, clock.start_s, by_decord)
    return video, clock.stop_s
