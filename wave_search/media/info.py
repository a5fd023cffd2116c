"""What is known of a media file, and what comes out of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from wave_search.types import Modality

if TYPE_CHECKING:
    from wave_search.media.segmentation import Segmentation
    from wave_search.types import Clip, Sampling, Span


@dataclass(frozen=True, slots=True)
class VideoStream:
    """The moving picture of a file."""

    width: int
    """Pixels of the upright picture, after rotation."""
    height: int
    codec: str
    fps: float
    """Average frames per second."""
    frames: int
    """Counted, not declared."""
    rotation_deg: int
    """Counter-clockwise turn that makes the stored picture upright: 0, 90, 180 or 270."""


@dataclass(frozen=True, slots=True)
class AudioStream:
    """The sound of a file, as it is stored."""

    codec: str
    sample_rate_hz: int
    channels: int


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """What a file is, by its content."""

    kind: str
    """"text", "image", "audio" or "video"; a video may have no sound."""
    container: str
    """Format of the file, for example "mov", "flac", "PNG" or "srt"."""
    size_bytes: int
    digest: str
    """BLAKE2b of the whole content, 16 bytes as hexadecimal digits."""
    duration_s: float | None = None
    """Of the longest stream; None for what has no time."""
    video: VideoStream | None = None
    audio: AudioStream | None = None
    width: int | None = None
    """Pixels of an upright image."""
    height: int | None = None

    @property
    def modalities(self) -> tuple[Modality, ...]:
        """What it can be embedded as."""
        if self.kind in (Modality.TEXT, Modality.IMAGE):
            return (Modality(self.kind),)
        present = {
            Modality.AUDIO: self.audio is not None,
            Modality.VIDEO: self.video is not None,
            Modality.AV: self.audio is not None and self.video is not None,
        }
        return tuple(modality for modality, there in present.items() if there)


@dataclass(frozen=True, slots=True)
class DecodedSegment:
    """A part of a file as arrays."""

    span: Span | None
    """Where it is in the file; None for texts and images, which have no time."""
    clip: Clip
    media_s: float
    """Seconds of sound or video that it stands for."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What of a file is to be decoded, and how."""

    info: MediaInfo
    segmenting: Segmentation
    modalities: frozenset[Modality]
    """Only what these need is decoded."""
    span: Span | None
    """None: all of the file."""
    sampling: Sampling
