"""Previews of indexed files for people: what browsers can play of them, thumbnails, peaks of sound, subtitles.

They are made in the worker processes, because the files come from anyone. As when indexing, the format is named by us,
from the first bytes of the file, and not by what the index says of it.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from wave_search.errors import BrokenMediaError, UnsupportedMediaError
from wave_search.media.av_frames import numbers_per_second
from wave_search.media.contents import played_parts
from wave_search.media.demux import (
    choose_video,
    decode,
    first_frame,
    is_default,
    open_container,
    origin_s,
    packets,
)
from wave_search.media.further import without_further
from wave_search.media.image import image_size, read_pixels
from wave_search.media.picture import shown_size, to_rgb
from wave_search.media.played import mono, played_audio, seek_before
from wave_search.media.probe import MOVING
from wave_search.media.refusals import refuse_encrypted
from wave_search.media.sniff import PLAYLIST_SUFFIXES, find_media
from wave_search.media.source import CONVERT, REPLACE, Source
from wave_search.media.subtitles import CONTAINERS, TRACK_CODECS, Cue, packet_cues, parse_cues
from wave_search.media.text import read_text
from wave_search.media.webp import WebpReader, animation

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from numpy.typing import NDArray

    from wave_search.media.source import IndexedFile
    from wave_search.types import FileKind

ANIMATED = "WEBP"
"""Format of animations that FFmpeg does not read."""
MAX_CUES = 20_000
"""Of a file of subtitles."""
_WEBP_QUALITY = 78
_MAX_SOUGHT_FRAMES = 2_000
"""Frames decoded to reach a time, after which the newest one is taken: key frames may be minutes apart."""


@dataclass(frozen=True, slots=True)
class StreamDetails:
    """What decides whether a browser plays a file."""

    format: str
    """Name of the format: Pillow's for images, FFmpeg's demuxer for audio and video."""
    video_codec: str | None = None
    pixel_format: str | None = None
    width: int | None = None
    """Width and height of the picture as shown, in pixels."""
    height: int | None = None
    audio_codec: str | None = None
    """Of the track that a player plays."""
    has_subtitles: bool = False
    """Whether there is a track of subtitles that is text."""
    hidden_start: bool = False
    """Whether bytes of something else precede the media, which only our own readers skip."""


@dataclass(frozen=True, slots=True)
class Peaks:
    """The loudness of a range of sound, for drawing it."""

    values: bytes
    """(count,) largest absolute sample of each part of the range, 255 for full scale."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a conversion has come, in seconds of media."""

    done_s: float


Preview = StreamDetails | Peaks | Progress | bytes | tuple[Cue, ...]


class PreviewTask(Protocol):
    """What to make of a file; picklable."""

    @property
    def file(self) -> IndexedFile:
        """The file."""

    @property
    def reach_s(self) -> float:
        """Seconds of media that are decoded before each value, at most: with the size of the file, the time limit."""

    def previews(self) -> Iterator[Preview]:
        """Yield one or several values. Raises MediaError."""


@dataclass(frozen=True, slots=True)
class ExamineStreams:
    """Find out what browsers need to know. Yields `StreamDetails`."""

    file: IndexedFile
    reach_s: float = 10.0

    def previews(self) -> Iterator[StreamDetails]:
        """See `PreviewTask`."""
        with self.file.open() as file:
            source = source_of(self.file, file)
            hidden = source.offset_bytes > 0
            if self.file.kind == "image":
                width, height = image_size(source)
                yield StreamDetails(source.demuxer, width=width, height=height, hidden_start=hidden)
                return
            if source.demuxer == ANIMATED:
                width, height = image_size(source)
                yield StreamDetails(ANIMATED, "webp", None, width, height, hidden_start=hidden)
                return
            container = open_container(source)
            video, audio = choose_video(container), played_audio(container)
            sound = None if audio is None else audio.codec_context.codec.canonical_name
            texts = subtitle_track(container) is not None
            found = StreamDetails(source.demuxer, audio_codec=sound, has_subtitles=texts, hidden_start=hidden)
            if video is not None and (frame := first_frame(container, video)) is not None:
                width, height = shown_size(frame, video)
                codec = video.codec_context.codec.canonical_name
                found = replace(found, video_codec=codec, pixel_format=frame.format.name, width=width, height=height)
            yield found


@dataclass(frozen=True, slots=True)
class MakeThumbnail:
    """Make a picture of an image, or of the frame shown at a time of a video. Yields a WebP file."""

    file: IndexedFile
    at_s: float
    """In seconds from the beginning of a video."""
    width: int
    """Largest width and height, in pixels. A smaller picture keeps its size."""
    reach_s: float = 10.0

    def previews(self) -> Iterator[bytes]:
        """See `PreviewTask`."""
        from PIL import Image

        with self.file.open() as file:
            pixels, (width, height) = shown_picture(source_of(self.file, file), self.file.kind, self.at_s)
        shrink = max(1.0, max(width, height) / self.width)
        size = max(1, round(width / shrink)), max(1, round(height / shrink))
        picture = Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0)
        buffer = io.BytesIO()
        picture.save(buffer, "WEBP", quality=_WEBP_QUALITY)
        yield buffer.getvalue()


@dataclass(frozen=True, slots=True)
class MeasurePeaks:
    """Measure the loudness of a range of the sound that a player plays. Yields `Peaks`."""

    file: IndexedFile
    count: int
    start_s: float
    stop_s: float

    @property
    def reach_s(self) -> float:
        """See `PreviewTask`."""
        return self.stop_s - self.start_s

    def previews(self) -> Iterator[Peaks]:
        """See `PreviewTask`."""
        with self.file.open() as file:
            source = source_of(self.file, file)
            peaks = np.zeros(self.count, np.float32)
            for start_s, samples, rate_hz in mono(source, self.start_s, self.stop_s):
                places = (start_s - self.start_s + np.arange(len(samples)) / rate_hz) * (self.count / self.reach_s)
                inside = (places >= 0) & (places < self.count)
                np.maximum.at(peaks, places[inside].astype(np.intp), np.abs(samples[inside]))
        yield Peaks(np.rint(255 * np.clip(np.nan_to_num(peaks), 0.0, 1.0)).astype(np.uint8).tobytes())


@dataclass(frozen=True, slots=True)
class ReadCues:
    """Read a file of subtitles, or the first track of subtitles inside a film. Yields the cues, by time."""

    file: IndexedFile
    reach_s: float = 0.0

    def previews(self) -> Iterator[tuple[Cue, ...]]:
        """See `PreviewTask`."""
        cues = self._of_file() if self.file.kind == "text" else self._of_track()
        yield tuple(cue for cue, _ in zip(cues, range(MAX_CUES), strict=False))

    def _of_track(self) -> Iterator[Cue]:
        with self.file.open() as file:
            container = open_container(source_of(self.file, file))
            stream = subtitle_track(container)
            if stream is None:
                raise UnsupportedMediaError(self.file.path, "it has no subtitles", "Name a file of subtitles.")
            begin_s = origin_s(container)
            found = (
                (
                    float(packet.pts * packet.time_base) - begin_s,
                    float(packet.duration * packet.time_base),
                    bytes(packet),
                )
                for packet in packets(container, [stream])
                if packet.pts is not None and packet.duration
            )
            timed = ((max(0.0, start_s), start_s + length_s, data) for start_s, length_s, data in found)
            yield from packet_cues(timed, stream.codec_context.codec.canonical_name)

    def _of_file(self) -> Iterator[Cue]:
        container = self.file.path.suffix.lower().removeprefix(".")
        if container not in CONTAINERS:
            raise UnsupportedMediaError(self.file.path, "it has no subtitles", "Name a file of subtitles.")
        with self.file.open() as file:
            content = read_text(self.file.path, file)
        return parse_cues(content, container)


def subtitle_track(container: Any) -> Any | None:
    """Return the stream of subtitles that a player shows, the first one without a default; None if none is of text."""
    streams = [
        stream
        for stream in container.streams.subtitles
        if stream.codec_context is not None and stream.codec_context.codec.canonical_name in TRACK_CODECS
    ]
    return next(filter(is_default, streams), next(iter(streams), None))


def source_of(indexed: IndexedFile, file: BinaryIO) -> Source:
    """Return the source of an open file, of which the format is determined by its first bytes.

    Raises:
        UnsupportedMediaError: it is of another kind than the index says, or encrypted.
        BrokenMediaError: it is not in any known format.
    """
    path = indexed.path
    found = None if path.suffix.lower() in PLAYLIST_SUFFIXES else find_media(file, path.suffix)
    if found is None:
        raise BrokenMediaError(path, "not in any known media format (by its first bytes)", CONVERT)
    demuxer, is_image = found.signature.format, found.signature.kind == "image"
    if indexed.kind == "video" and (demuxer in MOVING or demuxer == ANIMATED):
        demuxer, is_image = MOVING.get(demuxer, demuxer), False
    if is_image != (indexed.kind == "image"):
        raise UnsupportedMediaError(path, f"it is not the {indexed.kind} that the index says", "Index it again.")
    source = Source(path, file, demuxer, found.offset_bytes)
    refuse_encrypted(source)
    return without_further(source, scan=False)


def shown_picture(source: Source, kind: FileKind, at_s: float) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """Decode an image, or the frame shown at a time of a video.

    Returns:
        (height, width, 3) RGB, upright, and the width and height in square pixels.
    """
    if kind == "image" or source.demuxer == ANIMATED:
        pixels = read_pixels(source) if kind == "image" else _picture_at(source, at_s)
        height, width, _ = pixels.shape
        return pixels, (width, height)
    return _frame_at(source, at_s)


def _picture_at(source: Source, at_s: float) -> NDArray[np.uint8]:
    """Decode the frame of an animated WebP that is shown at a time: (height, width, 3) RGB."""
    found = animation(source)
    if found is None:
        return read_pixels(source)
    stream, _ = found
    return WebpReader(source, stream).get(int(at_s * numbers_per_second(stream)))


def _frame_at(source: Source, at_s: float) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """Decode the frame of a video that is shown at a time, or the first one.

    Returns:
        (height, width, 3) RGB, upright, and the width and height in square pixels.
    """
    shown = stream = None
    # The picture of an earlier part stays during one without; behind some seeks, as near the end of a damaged file,
    # there is nothing.
    for part, begin_s in reversed(played_parts(source, 0.0, at_s)):
        for sought_s in (at_s - begin_s, 0.0):
            container = open_container(part)
            stream = choose_video(container)
            if stream is None:
                break
            shown = _shown_at(container, stream, at_s - begin_s, sought_s)
            if shown is not None:
                return to_rgb(shown), shown_size(shown, stream)
    if stream is None:
        raise UnsupportedMediaError(source.path, "it has no picture", "Ask for its sound.")
    raise BrokenMediaError(source.path, "no frame of its video can be decoded", REPLACE)


def _shown_at(container: Any, stream: Any, at_s: float, sought_s: float) -> Any | None:
    """Decode from `sought_s` on to the frame that is shown at a time, or the first one."""
    shown = None
    seek_before(container, stream, sought_s)
    begin_s = origin_s(container)
    frames = decode(container, stream, from_key=sought_s > 0)
    for frame, _ in zip(frames, range(_MAX_SOUGHT_FRAMES), strict=False):
        if shown is not None and frame.pts is not None and float(frame.pts * stream.time_base) - begin_s > at_s:
            break
        shown = frame
    return shown
