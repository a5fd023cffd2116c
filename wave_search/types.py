"""The words that the parts of the package share. Frozen, and free of third-party imports at run time."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray


class Modality(StrEnum):
    """How a segment is perceived; each has its own partition of the index."""

    TEXT = "text"
    IMAGE = "image"
    AUDIO = "audio"
    """What is heard."""
    VIDEO = "video"
    """What is seen: frames without their sound."""
    AV = "av"
    """Sound and picture together, as one clip."""


@dataclass(frozen=True, slots=True)
class PartitionKey:
    """What a vector says of a segment: how it is perceived and what is asked of it. A partition of the index."""

    modality: Modality
    instruction: str = ""
    """"" for the model's own prompt. Text, which is embedded bare, has no other."""

    def __post_init__(self) -> None:
        if self.modality is Modality.TEXT and self.instruction:
            raise ValueError(f"text is embedded bare, not with {self.instruction!r}")


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a model expects media as arrays. Part of an index's identity: other sampling, other vectors."""

    policy: str
    """Name of the rule that selects and resizes frames; `wave_search.media.sampling` implements it."""
    numbers: Mapping[str, int | float]
    """The parameters of the rule, by name."""
    sample_rate_hz: int


@dataclass(frozen=True, slots=True)
class Span:
    """Half-open range [start_s, stop_s) of a file, in seconds from its beginning."""

    start_s: float
    stop_s: float

    def __post_init__(self) -> None:
        if not 0 <= self.start_s < self.stop_s:
            raise ValueError(f"not a range of seconds: {self.start_s} to {self.stop_s}")

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.stop_s - self.start_s


@dataclass(frozen=True, slots=True)
class Frames:
    """Frames sampled from a video, resized as `Sampling` says."""

    pixels: NDArray[np.uint8]
    """(frames, height, width, 3) RGB."""
    duration_s: float
    """Length of the sampled span; with the number of frames it gives the time between temporal grids."""


@dataclass(frozen=True, slots=True)
class Waveform:
    """Mono sound."""

    samples: NDArray[np.float32]
    """(samples,) in [-1, 1], finite."""
    sample_rate_hz: int


@dataclass(frozen=True, slots=True)
class Clip:
    """One decoded thing that a model can embed: a text, an image, or frames and/or sound."""

    text: str | None = None
    image: NDArray[np.uint8] | None = None
    """(height, width, 3) RGB, resized as `Sampling` says."""
    frames: Frames | None = None
    waveform: Waveform | None = None

    @property
    def modalities(self) -> tuple[Modality, ...]:
        """What it can be embedded as."""
        present = {
            Modality.TEXT: self.text is not None,
            Modality.IMAGE: self.image is not None,
            Modality.AUDIO: self.waveform is not None,
            Modality.VIDEO: self.frames is not None,
            Modality.AV: self.frames is not None and self.waveform is not None,
        }
        return tuple(modality for modality, there in present.items() if there)


@dataclass(frozen=True, slots=True)
class MediaRef:
    """A file, or a range of it, to be perceived in one way. See `Audio`, `Video`, `Image`, `AV`."""

    path: Path
    modality: Modality
    start_s: float | None = None
    """None: from the beginning."""
    stop_s: float | None = None
    """None: to the end."""


Value = str | float | bool | list[str]
"""In a column of the user's own: a timestamp is ISO 8601 text, in UTC and without an offset."""
OF_HITS = ("peak_start_s", "peak_stop_s", "segments")
"""What a hit says besides, for those who ask for it as for a column."""


@dataclass(frozen=True, slots=True)
class Hit:
    """One result: a segment, or a moment that consists of several adjacent ones."""

    rank: int
    """From 1."""
    score: float
    """Cosine similarity; of a query of several parts, with their sum."""
    z: float
    """Score in standard deviations above the mean score of the partition's background sample. Of a query of several
    parts, a soft minimum of that for each. Hits are in the order of z."""
    path: Path
    modality: Modality
    start_s: float | None
    """None for what has no time: texts and images."""
    stop_s: float | None
    segment_id: int
    """Of a moment: its best segment, whose score and z these are."""
    duration_s: float | None
    """Of the whole file."""
    text: str | None = None
    """The segment itself, if it is text."""
    peak_start_s: float | None = None
    """Where the best segment of a moment begins; of a single segment, where it does."""
    peak_stop_s: float | None = None
    segments: int = 1
    """How many the moment consists of."""
    columns: Mapping[str, Value | None] = field(default_factory=dict, hash=False)
    """The columns that were asked for."""


@dataclass(frozen=True, slots=True)
class ColumnInfo:
    """A column of the user's own."""

    name: str
    type: str
    """"text", "number", "bool", "timestamp" or "texts" (a list)."""
    filled: int
    """Files that it says something of."""


@dataclass(frozen=True, slots=True, order=True)
class DuplicateMember:
    """One of several that are the same, or nearly: a file, or a segment of one."""

    path: Path
    start_s: float | None
    stop_s: float | None
    segment_id: int | None
    """None for a whole file."""


@dataclass(frozen=True, slots=True)
class DuplicateGroup:
    """What is there more than once."""

    kind: str
    """"identical": files of the same bytes; "similar": segments of different contents, one of its files for each."""
    modality: Modality | None
    """Of segments."""
    score: float
    """The least cosine by which a member belongs to the group."""
    members: tuple[DuplicateMember, ...]
