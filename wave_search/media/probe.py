"""Identification of a file by its content: kind, format, streams and duration."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from wave_search.errors import BrokenMediaError, UnsupportedMediaError
from wave_search.media import subtitles, text
from wave_search.media.audio import check_rate, open_sndfile
from wave_search.media.demux import choose_audio, choose_video, first_frame, open_container, origin_s, scan_packets
from wave_search.media.image import image_size
from wave_search.media.info import AudioStream, MediaInfo, VideoStream
from wave_search.media.sniff import HEAD_BYTES, PLAYLIST_SUFFIXES, TEXT_SUFFIXES, is_playlist, is_text, sniff
from wave_search.media.source import REPLACE, Source
from wave_search.media.video import quarter_turns

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

    from wave_search.media.demux import AudioPackets, VideoPackets

MAX_DURATION_S = 7 * 86_400.0
"""Longest plausible duration: time stamps of damaged files can span thousands of years."""
_FALLBACK_FPS = 25.0
_MAX_FPS = 1000.0


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
    head = file.read(HEAD_BYTES)
    suffix = path.suffix.lower()
    signature = sniff(head)
    if suffix in TEXT_SUFFIXES and (signature is None or is_text(head)):
        return _probe_text(path, file, size_bytes)
    if suffix in PLAYLIST_SUFFIXES or is_playlist(head):
        raise UnsupportedMediaError(path, "a playlist, not media", "Index the files that it lists.")
    if signature is None:
        raise _unknown(path, head)
    source = Source(path, file, signature.format)
    if signature.kind == "image":
        return _probe_gif(source, size_bytes) or _probe_image(source, size_bytes)
    return _probe_audio(source, size_bytes) or probe_streams(source, size_bytes)


def _unknown(path: Path, head: bytes) -> UnsupportedMediaError | BrokenMediaError:
    if is_text(head):
        return UnsupportedMediaError(path, "text, but not named as text", "Give it the suffix .txt or .md to index it.")
    return BrokenMediaError(path, "not in any known media format (by its first bytes)", REPLACE)


def _probe_text(path: Path, file: BinaryIO, size_bytes: int) -> MediaInfo:
    container = path.suffix.lower().removeprefix(".")
    content = text.read_text(path, file)
    if container not in subtitles.CONTAINERS:
        return MediaInfo("text", container, size_bytes, "")
    cues = subtitles.parse_cues(content, container)
    if not cues:
        raise BrokenMediaError(path, "contains no subtitles", "Give it the suffix .txt if it is ordinary text.")
    return MediaInfo("text", container, size_bytes, "", duration_s=max(cue.span.stop_s for cue in cues))


def _probe_image(source: Source, size_bytes: int) -> MediaInfo:
    width, height = image_size(source)
    return MediaInfo("image", source.demuxer, size_bytes, "", width=width, height=height)


def _probe_gif(source: Source, size_bytes: int) -> MediaInfo | None:
    """Probe an animated GIF as a video; None for other images."""
    if source.demuxer != "GIF":
        return None
    try:
        info = probe_streams(replace(source, demuxer="gif"), size_bytes)
    except BrokenMediaError:
        return None
    return info if info.video is not None and info.video.frames > 1 else None


def _probe_audio(source: Source, size_bytes: int) -> MediaInfo | None:
    """Probe with libsndfile; None if it cannot read the file, for example an Ogg file with video."""
    audio = open_sndfile(source)
    if audio is None or (samples := audio.count()) == 0:
        return None
    duration_s = _checked_duration(source.path, samples / audio.sample_rate_hz)
    return MediaInfo("audio", source.demuxer, size_bytes, "", duration_s=duration_s, audio=audio.stream)


def probe_streams(source: Source, size_bytes: int) -> MediaInfo:
    """Identify a container that FFmpeg reads.

    Raises:
        BrokenMediaError: nothing in it can be decoded.
    """
    container = open_container(source)
    video_packets, audio_packets = scan_packets(container, choose_video(container), choose_audio(container))
    video = _video_stream(source, video_packets) if video_packets else None
    audio = _audio_stream(source) if audio_packets else None
    if video is None and audio is None:
        raise BrokenMediaError(source.path, "contains no audio or video track that can be decoded", REPLACE)
    duration_s = max(
        video.frames / video.fps if video else 0.0,
        _audio_stop_s(audio_packets, video_packets if video else None) if audio_packets and audio else 0.0,
    )
    return MediaInfo(
        "audio" if video is None else "video",
        source.demuxer,
        size_bytes,
        "",
        duration_s=_checked_duration(source.path, duration_s),
        video=video,
        audio=audio,
    )


def _audio_stop_s(audio: AudioPackets, video: VideoPackets | None) -> float:
    return audio.stop_s - origin_s(audio, video)


def _video_stream(source: Source, packets: VideoPackets) -> VideoStream | None:
    container = open_container(source)
    stream = choose_video(container)
    frame = first_frame(container, stream)
    if stream is None or frame is None:
        return None
    turns = quarter_turns(frame)
    width, height = (frame.height, frame.width) if turns % 2 else (frame.width, frame.height)
    codec = stream.codec_context.codec.canonical_name
    return VideoStream(width, height, codec, _average_fps(stream, packets), packets.frames)


def _audio_stream(source: Source) -> AudioStream | None:
    container = open_container(source)
    stream = choose_audio(container)
    frame = first_frame(container, stream)
    if stream is None or frame is None:
        return None
    check_rate(source.path, frame.sample_rate)
    return AudioStream(stream.codec_context.codec.canonical_name, frame.sample_rate, frame.layout.nb_channels)


def _average_fps(stream: Any, packets: VideoPackets) -> float:
    """Return the frame rate that the container declares, unless its time stamps contradict it."""
    declared = float(stream.average_rate or stream.guessed_rate or 0)
    counted = packets.frames / packets.length_s if packets.length_s > 0 else 0.0
    if 0 < declared <= _MAX_FPS and (
        counted == 0 or abs(packets.frames / declared - packets.length_s) <= max(0.5, 0.1 * packets.length_s)
    ):
        return declared
    return counted if 0 < counted <= _MAX_FPS else _FALLBACK_FPS


def _checked_duration(path: Path, duration_s: float) -> float:
    if not 0 < duration_s <= MAX_DURATION_S:
        raise BrokenMediaError(path, f"declares an impossible duration of {duration_s:.6g} s", REPLACE)
    return duration_s
