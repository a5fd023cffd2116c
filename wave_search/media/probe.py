"""What a file is, by its content."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from wave_search.errors import BrokenMediaError, UnsupportedMediaError
from wave_search.media import text
from wave_search.media.audio import check_rate, open_sndfile
from wave_search.media.demux import Source, choose_audio, choose_video, first_frame, open_container, scan
from wave_search.media.image import image_size
from wave_search.media.info import AudioStream, MediaInfo, VideoStream
from wave_search.media.sniff import HEAD_BYTES, PLAYLIST_SUFFIXES, TEXT_SUFFIXES, is_playlist, is_text, sniff
from wave_search.media.video_av import quarter_turns

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

    from wave_search.media.demux import Picture, Sound

MAX_DURATION_S = 7 * 86_400.0
"""Time stamps of damaged files can span thousands of years."""
_FALLBACK_FPS = 25.0
_MAX_FPS = 1000.0
_REPLACE = "Replace it by an intact copy."


def probe(path: Path, file: BinaryIO, size_bytes: int) -> MediaInfo:
    """Find out what a file is. The name only decides between kinds of text.

    Args:
        path: of the file; for its ending, and for messages.
        file: the open file.
        size_bytes: of the file.

    Returns:
        Everything but the digest, which is left empty.

    Raises:
        UnsupportedMediaError: it is not of a kind that is searched.
        BrokenMediaError: it is damaged.
    """
    head = file.read(HEAD_BYTES)
    suffix = path.suffix.lower()
    signature = sniff(head)
    if suffix in TEXT_SUFFIXES and (signature is None or is_text(head)):
        return _probe_text(path, file, size_bytes)
    if suffix in PLAYLIST_SUFFIXES or is_playlist(head):
        raise UnsupportedMediaError(path, "a playlist, not media", "Index the files that it names.")
    if signature is None:
        raise _unknown(path, head)
    source = Source(path, file, signature.format)
    if signature.kind == "image":
        return _probe_gif(source, size_bytes) or _probe_image(source, size_bytes)
    return _probe_sound(source, size_bytes) or probe_streams(source, size_bytes)


def _unknown(path: Path, head: bytes) -> UnsupportedMediaError | BrokenMediaError:
    if is_text(head):
        return UnsupportedMediaError(path, "a text, but not named as one", "Name it .txt if it is to be searched.")
    return BrokenMediaError(path, "its first bytes are not those of any known kind of media", _REPLACE)


def _probe_text(path: Path, file: BinaryIO, size_bytes: int) -> MediaInfo:
    container = path.suffix.lower().removeprefix(".")
    content = text.read_text(path, file)
    if container not in ("srt", "vtt"):
        return MediaInfo("text", container, size_bytes, "")
    cues = text.parse_cues(content)
    if not cues:
        raise BrokenMediaError(path, "holds no subtitles", "Name it .txt if it is ordinary text.")
    return MediaInfo("text", container, size_bytes, "", duration_s=max(cue.span.stop_s for cue in cues))


def _probe_image(source: Source, size_bytes: int) -> MediaInfo:
    width, height = image_size(source)
    return MediaInfo("image", source.demuxer, size_bytes, "", width=width, height=height)


def _probe_gif(source: Source, size_bytes: int) -> MediaInfo | None:
    """A GIF is a video if it moves."""
    if source.demuxer != "GIF":
        return None
    try:
        info = probe_streams(replace(source, demuxer="gif"), size_bytes)
    except BrokenMediaError:
        return None
    return info if info.video is not None and info.video.frames > 1 else None


def _probe_sound(source: Source, size_bytes: int) -> MediaInfo | None:
    """Sound that libsndfile reads; of an Ogg file with a picture it reads nothing."""
    sound = open_sndfile(source)
    if sound is None or (samples := sound.count()) == 0:
        return None
    duration_s = _checked_duration(source.path, samples / sound.sample_rate_hz)
    return MediaInfo("audio", source.demuxer, size_bytes, "", duration_s=duration_s, audio=sound.stream)


def probe_streams(source: Source, size_bytes: int) -> MediaInfo:
    """Find out what is in a container that FFmpeg reads.

    Raises:
        BrokenMediaError: nothing in it can be decoded.
    """
    container = open_container(source)
    picture, sound = scan(container, choose_video(container), choose_audio(container))
    video = _video_stream(source, picture) if picture else None
    audio = _audio_stream(source) if sound else None
    if video is None and audio is None:
        raise BrokenMediaError(source.path, "holds no sound or picture that can be decoded", _REPLACE)
    duration_s = max(
        video.frames / video.fps if video else 0.0,
        _sound_stop_s(sound, picture if video else None) if sound and audio else 0.0,
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


def zero_s(sound: Sound, picture: Picture | None) -> float:
    """Time stamp of the beginning of a file: its first frame, from which frames are counted, or else its sound."""
    return sound.start_s if picture is None else picture.start_s


def _sound_stop_s(sound: Sound, picture: Picture | None) -> float:
    return sound.stop_s - zero_s(sound, picture)


def _video_stream(source: Source, picture: Picture) -> VideoStream | None:
    container = open_container(source)
    stream = choose_video(container)
    frame = first_frame(container, stream)
    if stream is None or frame is None:
        return None
    turns = quarter_turns(frame)
    width, height = (frame.height, frame.width) if turns % 2 else (frame.width, frame.height)
    codec = stream.codec_context.codec.canonical_name
    return VideoStream(width, height, codec, _average_fps(stream, picture), picture.frames, turns * 90)


def _audio_stream(source: Source) -> AudioStream | None:
    container = open_container(source)
    stream = choose_audio(container)
    frame = first_frame(container, stream)
    if stream is None or frame is None:
        return None
    check_rate(source.path, frame.sample_rate)
    return AudioStream(stream.codec_context.codec.canonical_name, frame.sample_rate, frame.layout.nb_channels)


def _average_fps(stream: Any, picture: Picture) -> float:
    """What the container declares, unless its time stamps say otherwise."""
    declared = float(stream.average_rate or stream.guessed_rate or 0)
    counted = picture.frames / picture.length_s if picture.length_s > 0 else 0.0
    if 0 < declared <= _MAX_FPS and (
        counted == 0 or abs(picture.frames / declared - picture.length_s) <= max(0.5, 0.1 * picture.length_s)
    ):
        return declared
    return counted if 0 < counted <= _MAX_FPS else _FALLBACK_FPS


def _checked_duration(path: Path, duration_s: float) -> float:
    if not 0 < duration_s <= MAX_DURATION_S:
        raise BrokenMediaError(path, f"claims to last {duration_s:.6g} s", _REPLACE)
    return duration_s
