"""The records of media files and decoded segments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from wave_search.types import Modality

if TYPE_CHECKING:
    from wave_search.media.segmentation import Segmentation
    from wave_search.types import Clip, FileKind, Sampling, Span

Timing = Literal["constant", "variable", "counted"]
"""When frames are presented: every 1 / fps seconds; by their time stamps; or, because these are missing or wrong, one
after the other at the average rate."""


@dataclass(frozen=True, slots=True)
class VideoStream:
    """The video track of a file."""

    width: int
    """In square pixels, upright."""
    height: int
    codec: str
    fps: float
    """Average frames per second."""
    frames: int
    """Number of frames, counted from the packets."""
    timing: Timing
    start_s: float
    """Of the first frame, from the beginning of the file."""
    by_decord: bool
    """Whether decord decodes it correctly."""
    parts: tuple[VideoPart, ...] = ()
    """Of a joined file those with a picture, at least one. Then all else is said of the whole. Empty elsewhere."""


@dataclass(frozen=True, slots=True)
class VideoPart:
    """The picture of a part of a file."""

    part: Part
    stream: VideoStream
    """With times from the beginning of the part."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A packet at which the decoding of sound can begin."""

    time_s: float
    """From the beginning of its part."""
    position: int
    """In bytes, from the beginning of its part."""


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a file that is read as a container of its own, such as a link of a chained Ogg file."""

    first_byte: int
    """From the beginning of the media in the file, like `stop_byte`."""
    stop_byte: int | None
    """None for the end of the file."""
    start_s: float
    """At which the part begins, from the beginning of the file."""
    stop_s: float
    late_s: float
    """From the beginning of the part to its first packet of sound, negative if that is not to be played in full."""
    marks: tuple[Mark, ...] = ()
    """Where the container finds no packet by its time. Ascending; empty elsewhere."""
    stretch: float = 1.0
    """Factor from the counted times of its packets, whose durations are rounded, to the true ones."""


@dataclass(frozen=True, slots=True)
class AudioStream:
    """An audio track of a file, before resampling."""

    codec: str
    sample_rate_hz: int
    """The highest of its parts."""
    channels: int
    track: int = 0
    """From 0, among the audio tracks of the file."""
    language: str = ""
    """As the file states it, for example "eng"; empty if it does not."""
    default: bool = False
    """Whether the file says that players should play it."""
    parts: tuple[Part, ...] = ()
    """Empty if libsndfile reads the file."""

    @property
    def stop_s(self) -> float:
        """End of its last part, from the beginning of the file; 0.0 without parts."""
        return self.parts[-1].stop_s if self.parts else 0.0


@dataclass(frozen=True, slots=True)
class Note:
    """What a user should know of a file that is indexed: what of it is not used, or what is assumed."""

    cause: str
    remedy: str


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """Identification of a file by its content."""

    kind: FileKind
    container: str
    """Format of the file, for example "mov", "flac", "PNG" or "srt"."""
    size_bytes: int
    digest: str
    """BLAKE2b of the whole content, 16 bytes as hexadecimal digits."""
    duration_s: float | None = None
    """Duration of the longest track; None for images and plain text."""
    declared_s: float | None = None
    """Duration that the header declares, if the end of the file is missing, as in a copy that stopped: infinity if it
    declares none. Else None."""
    notes: tuple[Note, ...] = ()
    video: VideoStream | None = None
    audio: AudioStream | None = None
    """The audio track that a player plays, or the first one that is not silent."""
    width: int | None = None
    """Width and height of an image in pixels, after rotation."""
    height: int | None = None
    offset_bytes: int = 0
    """Number of bytes before the media, such as tags of another format."""
    stop_bytes: int | None = None
    """Position in the file at which the media end, if another file follows that players do not play; else None."""
    tracks: tuple[AudioStream, ...] = ()
    """All audio tracks, in the order of the file."""
    timecode: str | None = None
    """SMPTE time code of the first frame, for example "01:00:00:00", or with ";" if frame numbers are dropped. Of a
    Broadcast Wave file: time of the first sample with microseconds, "01:00:00.000000"."""

    @property
    def modalities(self) -> tuple[Modality, ...]:
        """Return the modalities that it can be embedded as."""
        if self.kind in ("text", "image"):
            return (Modality(self.kind),)
        present = {
            Modality.AUDIO: self.audio is not None,
            Modality.VIDEO: self.video is not None,
            Modality.AV: self.audio is not None and self.video is not None,
        }
        return tuple(modality for modality, there in present.items() if there)


@dataclass(frozen=True, slots=True)
class DecodedSegment:
    """A decoded segment of a file."""

    span: Span | None
    """Range in the file; None for plain text and images, which have no duration."""
    clip: Clip
    media_s: float
    """Seconds of audio or video in it."""


@dataclass(frozen=True, slots=True)
class DecodeRequest:
    """A request to decode a file or a part of it."""

    info: MediaInfo
    segmentation: Segmentation
    modalities: frozenset[Modality]
    """Modalities that the segments are needed for. Only the streams that these need are decoded."""
    span: Span | None
    """Range to decode; None for the whole file."""
    sampling: Sampling
    audio_track: str
    """Which audio tracks to decode: see `track_choice.selected`."""
