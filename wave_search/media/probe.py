"""Identification of a file by its content: kind, format, streams and duration."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from wave_search.errors import BrokenMediaError, MediaError, UnsupportedMediaError
from wave_search.media import subtitles, text
from wave_search.media.demux import (
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
from wave_search.media.image import image_size
from wave_search.media.info import MediaInfo, VideoStream
from wave_search.media.picture import shown_size
from wave_search.media.refusals import (
    FOREIGN_HEAD_BYTES,
    convert_with_ffmpeg,
    foreign_kind,
    headerless,
    is_initialization_segment,
    lacks_index,
    refuse_encrypted,
)
from wave_search.media.signatures import signature_of
from wave_search.media.sniff import (
    HEAD_BYTES,
    MOTION_JPEG_SUFFIXES,
    PLAYLIST_SUFFIXES,
    TAG_STARTS,
    TEXT_SUFFIXES,
    find_media,
    is_playlist,
    is_text,
    leading_bytes,
)
from wave_search.media.source import CONVERT, REPLACE, IndependentReader, Source
from wave_search.media.timecode import container_timecode, wave_timecode
from wave_search.media.timeline import MAX_DURATION_S
from wave_search.media.timing import clock_of
from wave_search.media.tracks import part_starts, preferred, probe_sndfile, probe_tracks
from wave_search.media.video import suits_decord
from wave_search.media.webp import animation

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

    from wave_search.media.signatures import Signature
    from wave_search.media.timing import VideoPackets

_COPY_AGAIN = "Copy it again, or repair it with a program for recordings that broke off."
MOVING = {"GIF": "gif", "PNG": "apng", "JPEG": "mjpeg"}
"""Format of an image -> demuxer of many of them."""


def probe(path: Path, file: BinaryIO, size_bytes: int) -> MediaInfo:
    """Identify a file by its content. Its name matters only for the kind of text.

    Args:
        path: of the file; used for its suffix and in messages.
        file: the open file.
        size_bytes: of the file.

    Returns:
        Everything but the digest, which is left empty.

    Raises:
        UnsupportedMediaError: it is of a kind that cannot be indexed.
        BrokenMediaError: it is damaged.
    """
    head = file.read(FOREIGN_HEAD_BYTES)
    suffix = path.suffix.lower()
    if suffix in TEXT_SUFFIXES and (is_text(head) or signature_of(head) is None):
        return _probe_text(path, file, size_bytes)
    foreign = foreign_kind(path, head)
    if foreign is not None:
        raise foreign
    found = find_media(file, suffix)
    raw = headerless(path)
    if raw is not None and (found is None or not found.signature.distinctive):
        raise raw
    if suffix in PLAYLIST_SUFFIXES or found is None:
        raise _unknown(path, file)
    info = _probe_media(Source(path, file, found.signature.format, found.offset_bytes), found.signature, size_bytes)
    return replace(info, offset_bytes=found.offset_bytes)


def _probe_media(source: Source, signature: Signature, size_bytes: int) -> MediaInfo:
    refuse_encrypted(source)
    if signature.kind == "image":
        return _probe_moving_image(source, size_bytes) or _probe_image(source, size_bytes)
    return _probe_audio(source, size_bytes) or probe_streams(source, size_bytes)


def _unknown(path: Path, file: BinaryIO) -> UnsupportedMediaError | BrokenMediaError:
    start = leading_bytes(file)
    head = IndependentReader(file, start).read(HEAD_BYTES)
    if path.suffix.lower() in PLAYLIST_SUFFIXES or is_playlist(head):
        return UnsupportedMediaError(path, "a playlist, not media", "Index the files that it lists.")
    if is_text(head):
        return UnsupportedMediaError(path, "text, but not named as text", "Rename it to .txt or .md to index it.")
    if start == 0 and head.startswith(TAG_STARTS):
        return BrokenMediaError(path, "contains a tag and nothing else", REPLACE)
    return BrokenMediaError(path, "not in any known media format (by its first bytes)", CONVERT)


def _probe_text(path: Path, file: BinaryIO, size_bytes: int) -> MediaInfo:
    container = path.suffix.lower().removeprefix(".")
    content = text.read_text(path, file)
    if container not in subtitles.CONTAINERS:
        return MediaInfo("text", container, size_bytes, "")
    stop_s = max((cue.stop_s for cue in subtitles.parse_cues(content, container)), default=None)
    if stop_s is None and subtitles.lie_beyond(content):
        raise UnsupportedMediaError(path, "its subtitles are at 1000 hours or later", "Correct their times.")
    if stop_s is None:
        raise BrokenMediaError(path, "contains no subtitles", "Rename it to .txt if it is ordinary text.")
    return MediaInfo("text", container, size_bytes, "", duration_s=stop_s)


def _probe_image(source: Source, size_bytes: int) -> MediaInfo:
    width, height = image_size(source)
    return MediaInfo("image", source.demuxer, size_bytes, "", width=width, height=height)


def _probe_moving_image(source: Source, size_bytes: int) -> MediaInfo | None:
    """Probe an animated GIF, PNG or WebP, or JPEG images in a row, as a video; None for other images."""
    if source.demuxer == "WEBP":
        return _probe_webp(source, size_bytes)
    demuxer = MOVING.get(source.demuxer)
    if demuxer is None or (demuxer == "mjpeg" and source.path.suffix.lower() not in MOTION_JPEG_SUFFIXES):
        return None
    try:
        info = probe_streams(replace(source, demuxer=demuxer), size_bytes)
    except BrokenMediaError:
        return None
    return info if info.video is not None and info.video.frames > 1 else None


def _probe_webp(source: Source, size_bytes: int) -> MediaInfo | None:
    found = animation(source)
    if found is None:
        return None
    stream, duration_s = found
    duration_s = _checked_duration(source.path, duration_s)
    return MediaInfo("video", source.demuxer, size_bytes, "", duration_s=duration_s, video=stream)


def _probe_audio(source: Source, size_bytes: int) -> MediaInfo | None:
    """Probe with libsndfile; None if it cannot read all of the file, for example an Ogg file with video."""
    found = probe_sndfile(source)
    if found is None:
        return None
    stream, stop_s = found
    duration_s = _checked_duration(source.path, stop_s)
    return MediaInfo(
        "audio",
        source.demuxer,
        size_bytes,
        "",
        duration_s=duration_s,
        audio=stream,
        tracks=(stream,),
        timecode=wave_timecode(source, stream.sample_rate_hz),
    )


def probe_streams(source: Source, size_bytes: int) -> MediaInfo:
    """Identify a container that FFmpeg reads.

    Raises:
        BrokenMediaError: nothing in it can be decoded.
    """
    try:
        container = open_container(source)
    except BrokenMediaError as error:
        if lacks_index(source):
            raise BrokenMediaError(source.path, "its end is missing, and with it the index", _COPY_AGAIN) from error
        raise
    video_packets, scans = scan_packets(container, choose_video(container), audio_tracks(container))
    video, picture_stop_s = _video_stream(source, video_packets) if video_packets else (None, 0.0)
    tracks = probe_tracks(source, container, scans, alone=video is None)
    if video is None and not tracks:
        raise _nothing_to_decode(source, container)
    duration_s = max(picture_stop_s, max((track.stop_s for track in tracks), default=0.0))
    return MediaInfo(
        "audio" if video is None else "video",
        source.demuxer,
        size_bytes,
        "",
        duration_s=_checked_duration(source.path, duration_s),
        loss=_loss(source, container, video, has_pictures=video_packets is not None),
        video=video,
        audio=preferred(source, tracks),
        tracks=tracks,
        timecode=container_timecode(container),
    )


def _loss(source: Source, container: Any, video: VideoStream | None, *, has_pictures: bool) -> str | None:
    """Return what of a container is not indexed, although the rest is: its picture, or what was appended to it.

    Args:
        source: the file.
        container: opened from it.
        video: the video stream that can be decoded.
        has_pictures: whether there are packets of a video stream whose codec is known.
    """
    if video is not None:
        parts = len(part_starts(source))
        return f"only the first of its {parts} parts is used" if parts > 1 else None
    picture = choose_video(container)
    if has_pictures and picture is not None:
        return f"only its sound can be decoded, not its picture ({picture.codec_context.codec.name})"
    unknown = [stream for stream in container.streams.video if stream.codec_context is None]
    if unknown and any(packets_of(opened := open_container(source), [opened.streams[it.index] for it in unknown])):
        return "only its sound is used, because the codec of its picture is not supported"
    return None


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
    return BrokenMediaError(path, "contains no audio or video track that can be decoded", CONVERT)


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
    by_decord = not source.offset_bytes and suits_decord(source.demuxer, packets, clock.timing, frame, stream)
    video = VideoStream(width, height, codec, clock.fps, packets.frames, clock.timing, clock.start_s, by_decord)
    return video, clock.stop_s


def _checked_duration(path: Path, duration_s: float) -> float:
    if not 0 < duration_s <= MAX_DURATION_S:
        raise BrokenMediaError(path, f"declares an impossible duration of {duration_s:.6g} s", CONVERT)
    return duration_s
