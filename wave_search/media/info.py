"""The records of media files and decoded segments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from wave_search.types import Modality

if TYPE_CHECKING:
    from wave_search.media.segmentation import Segmentation
    from wave_search.types import Clip, FileKind, Sampling, Span


@dataclass(frozen=True, slots=True)
class VideoStream:
    """The video track of a file."""

    width: int
    """In pixels, after rotation."""
    height: int
    codec: str
    fps: float
    """Average frames per second."""
    frames: int
    """Number of frames, counted from the packets."""


@dataclass(frozen=True, slots=True)
class AudioStream:
    """The audio track of a file, before resampling."""

    codec: str
    sample_rate_hz: int
    channels: int


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
    """Duration that the header declares, if the end of the file is missing, as in a copy that stopped; else None."""
    video: VideoStream | None = None
    audio: AudioStream | None = None
    width: int | None = None
    """Width and height of an image in pixels, after rotation."""
    height: int | None = None

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
