"""Identification of a file by its content: kind, format, streams and duration."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from wave_search.errors import BrokenMediaError, MediaError, UnsupportedMediaError
from wave_search.media import subtitles, text
from wave_search.media.contents import Content, contents_of
from wave_search.media.further import further_note, without_further
from wave_search.media.image import image_size
from wave_search.media.info import MediaInfo, VideoPart, VideoStream
from wave_search.media.joined import brands
from wave_search.media.refusals import (
    FOREIGN_HEAD_BYTES,
    foreign_kind,
    headerless,
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
from wave_search.media.source import (
    CONVERT,
    RENAME,
    REPLACE,
    USE_LISTED,
    IndependentReader,
    Source,
)
from wave_search.media.timecode import wave_timecode
from wave_search.media.timeline import MAX_DURATION_S
from wave_search.media.tracks import joined_tracks, preferred, probe_sndfile
from wave_search.media.webp import animation

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import BinaryIO

    from wave_search.media.signatures import Signature

MOVING = {"GIF": "gif", "PNG": "apng", "JPEG": "mjpeg", "AVIF": "mov", "HEIF": "mov"}
"""Format of an image -> demuxer of many of them."""
_SEQUENCES = frozenset({b"avis", b"msf1", b"hevc", b"hevx"})
"""Brands of HEIF with several pictures, each at its time."""


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
    source = without_further(Source(path, file, found.signature.format, found.offset_bytes), scan=True)
    info = _probe_media(source, found.signature, size_bytes)
    further = () if source.stop_bytes is None else (further_note(path, source.stop_bytes, size_bytes),)
    return replace(info, offset_bytes=found.offset_bytes, stop_bytes=source.stop_bytes, notes=info.notes + further)


def _probe_media(source: Source, signature: Signature, size_bytes: int) -> MediaInfo:
    refuse_encrypted(source)
    if signature.kind == "image":
        return _probe_moving_image(source, size_bytes) or _probe_image(source, size_bytes)
    return _probe_audio(source, size_bytes) or probe_streams(source, size_bytes)


def _unknown(path: Path, file: BinaryIO) -> UnsupportedMediaError | BrokenMediaError:
    start = leading_bytes(file)
    head = IndependentReader(file, start).read(HEAD_BYTES)
    if path.suffix.lower() in PLAYLIST_SUFFIXES or is_playlist(head):
        return UnsupportedMediaError(path, "a playlist, not media", USE_LISTED)
    if is_text(head):
        return UnsupportedMediaError(path, "text, but not named as text", RENAME)
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
    if demuxer == "mov" and _SEQUENCES.isdisjoint(brands(source.reader())):
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
    """Identify a container that FFmpeg reads, or several that were joined.

    Raises:
        BrokenMediaError: nothing in it can be decoded.
    """
    contents: list[Content] = []
    errors: list[MediaError] = []
    for found in contents_of(source):
        if isinstance(found, Content):
            contents.append(found)
        else:
            errors.append(found)
    if not contents:
        raise errors[0]
    joined = len(contents) + len(errors) > 1
    video = _joined_video(contents) if joined else contents[0].video
    tracks = joined_tracks(content.tracks for content in contents) if joined else contents[0].tracks
    return MediaInfo(
        "audio" if video is None else "video",
        source.demuxer,
        size_bytes,
        "",
        duration_s=_checked_duration(source.path, contents[-1].part.stop_s),
        notes=tuple({note: None for content in contents for note in content.notes}),
        video=video,
        audio=preferred(source, tracks),
        tracks=tracks,
        timecode=contents[0].timecode,
    )


def _joined_video(contents: Sequence[Content]) -> VideoStream | None:
    """Return the picture of a file that consists of parts."""
    parts = tuple(VideoPart(content.part, content.video) for content in contents if content.video)
    if not parts:
        return None
    first, frames = parts[0].stream, sum(part.stream.frames for part in parts)
    start_s = parts[0].part.start_s + first.start_s
    fps = frames / (parts[-1].part.stop_s - start_s)
    return VideoStream(first.width, first.height, first.codec, fps, frames, "variable", start_s, False, parts)


def _checked_duration(path: Path, duration_s: float) -> float:
    if not 0 < duration_s <= MAX_DURATION_S:
        raise BrokenMediaError(path, f"declares an impossible duration of {duration_s:.6g} s", CONVERT)
    return duration_s
