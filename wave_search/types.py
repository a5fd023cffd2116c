"""Types that the whole package shares. Frozen, and free of third-party imports at run time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from numbers import Integral
from typing import TYPE_CHECKING, Any, Literal

from wave_search.arguments import check_span, check_type, is_number, path_of
from wave_search.errors import UsageError, shown

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray


class Modality(StrEnum):
    """A modality that a file or a text is embedded as."""

    TEXT = "text"
    IMAGE = "image"
    AUDIO = "audio"
    """The audio track, or an audio file."""
    VIDEO = "video"
    """Frames, without the audio."""
    AV = "av"
    """Audio and frames together, as one clip."""


def parse_modality(name: str) -> Modality:
    """Read the name of a modality.

    Raises:
        UsageError: there is none of that name.
    """
    if not isinstance(name, str) or name not in list(Modality):
        given = f'"{name}"' if isinstance(name, str) and len(name) < _NAME_CHARS else shown(name)
        raise UsageError(f"there is no modality {given}", f"Choose from {', '.join(Modality)}.")
    return Modality(name)


_NAME_CHARS = 50
ModalityName = Literal["text", "image", "audio", "video", "av"]
"""The name of a `Modality`, which may be used in its place."""
Role = Literal["query", "document"]
"""What a clip is in a search."""
Target = Literal["any", "text", "image", "audio", "video", "av"]
"""What a search looks for: a modality, or "any" for all modalities of the index."""
FileKind = Literal["text", "image", "audio", "video"]
"""What a file is by its content; a video need not have an audio track."""
ColumnType = Literal["text", "number", "bool", "timestamp", "texts"]
"""Type of a metadata column."""
Dtype = Literal["auto", "float32", "bfloat16"]
"""Precision of a model; "auto": as the checkpoint is stored."""
Quantization = Literal["8bit", "4bit", "int8", "fp8"]
"""Of a decoder's weights: "8bit" and "4bit" with bitsandbytes, "int8" and "fp8" with torchao."""


@dataclass(frozen=True, slots=True)
class PartitionKey:
    """A partition of the index: the segments of one modality that are embedded with one instruction."""

    modality: Modality
    instruction: str = ""
    """"" for the model's own prompt. Text is embedded without a prompt, and has only this one."""

    def __post_init__(self) -> None:
        if self.modality is Modality.TEXT and self.instruction:
            raise ValueError(f"text is embedded without an instruction, got {self.instruction!r}")


_MAX_SAMPLING = 1e8
"""Above the pixels of a picture, the largest number of a sampling."""


def _plain_number(value: float) -> int | float:
    return int(value) if isinstance(value, Integral) else float(value)


@dataclass(frozen=True, slots=True)
class Sampling:
    """How media are sampled into arrays for a model. Part of an index's identity, because it affects the vectors.

    Raises:
        UsageError: a number is none above 0.
    """

    policy: str
    """Name of the rule that selects and resizes frames; `wave_search.media.sampling` implements it."""
    numbers: Mapping[str, int | float]
    """The parameters of the rule, by name."""
    sample_rate_hz: int

    @classmethod
    def uniform(
        cls,
        *,
        frame_interval_s: float = 0.5,
        max_frames: int = 128,
        pixel_multiple: int = 1,
        min_pixels: int = 784,
        max_pixels: int = 176_400,
        max_image_pixels: int | None = None,
        sample_rate_hz: int = 16_000,
    ) -> Sampling:
        """Sample frames at even intervals, and keep the proportions of pictures.

        Args:
            frame_interval_s: seconds between frames of a video.
            max_frames: maximum number of frames of a clip; a longer one has longer intervals.
            pixel_multiple: height and width are multiples of it.
            min_pixels: smallest area of a frame or an image, in pixels.
            max_pixels: largest area of a frame, in pixels.
            max_image_pixels: largest area of an image, in pixels; None for that of a frame.
            sample_rate_hz: sample rate of audio, which is mono.
        """
        return cls(
            "uniform",
            {
                "frame_interval_s": frame_interval_s,
                "max_frames": max_frames,
                "pixel_multiple": pixel_multiple,
                "min_pixels": min_pixels,
                "max_pixels": max_pixels,
                "max_image_pixels": max_pixels if max_image_pixels is None else max_image_pixels,
            },
            sample_rate_hz,
        )

    def __post_init__(self) -> None:
        check_type(self.policy, str, "the policy of a sampling")
        check_type(self.numbers, Mapping, "the numbers of a sampling", "Use Sampling.uniform.")
        for name, number in {"sample_rate_hz": self.sample_rate_hz, **self.numbers}.items():
            if not is_number(number) or not 1 / _MAX_SAMPLING <= number <= _MAX_SAMPLING:  # NaN is in no range
                raise UsageError(f"{name}: {shown(number)} is not a number above 0 and at most {_MAX_SAMPLING:,.0f}")
        # An index keeps them, as numbers of Python.
        object.__setattr__(self, "numbers", {name: _plain_number(number) for name, number in self.numbers.items()})
        object.__setattr__(self, "sample_rate_hz", _plain_number(self.sample_rate_hz))


@dataclass(frozen=True, slots=True)
class Span:
    """Half-open range [start_s, stop_s) of a file, in seconds from its beginning."""

    start_s: float
    stop_s: float

    def __post_init__(self) -> None:
        if not 0 <= self.start_s < self.stop_s:
            raise ValueError(f"a span must begin at or after 0 and before its end, got {self.start_s} to {self.stop_s}")

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.stop_s - self.start_s


@dataclass(frozen=True, slots=True, eq=False)
class ByContent:
    """Base of dataclasses that hold arrays: equal if all of their bytes are."""

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and _content(self) == _content(other)

    def __hash__(self) -> int:
        return hash(_content(self))


def _content(value: Any) -> Any:
    """Return a value with arrays as one that can be compared and hashed."""
    if isinstance(value, ByContent):
        return tuple(_content(getattr(value, field.name)) for field in fields(value))
    if isinstance(value, list | tuple):
        return tuple(map(_content, value))
    if hasattr(value, "__array__") and getattr(value, "shape", None):  # of numpy, or a tensor
        array = (value.detach() if hasattr(value, "detach") else value).__array__()
        return array.shape, array.dtype.str, array.tobytes()
    return value


@dataclass(frozen=True, slots=True, eq=False)
class Frames(ByContent):
    """Frames of a video at even intervals.

    Those that are decoded, and that models get, are sampled and resized according to `Sampling`. Those of a query, or
    of `encode`, may be of any size and number, and of any type that a picture may have.
    """

    pixels: NDArray[np.uint8]
    """(frames, height, width, 3) RGB."""
    duration_s: float
    """Length of the span that they show, in seconds; with the number of frames it gives the time between them."""


@dataclass(frozen=True, slots=True, eq=False)
class Waveform(ByContent):
    """Audio: mono, and at the rate of `Sampling`, where it is decoded or given to a model.

    That of a query, or of `encode`, may have any rate and several channels: see `Index.search`.
    """

    samples: NDArray[np.float32]
    """(samples,) in [-1, 1], finite."""
    sample_rate_hz: int


@dataclass(frozen=True, slots=True, eq=False)
class Clip(ByContent):
    """Decoded media that a model can embed: a text, an image, or frames and/or audio."""

    text: str | None = None
    image: NDArray[np.uint8] | None = None
    """(height, width, 3) RGB, resized according to `Sampling` for a model."""
    frames: Frames | None = None
    waveform: Waveform | None = None
    role: Role = "document"
    """Whether it is what is searched for, or what is searched. Some models embed the two differently."""

    @property
    def modalities(self) -> tuple[Modality, ...]:
        """The modalities that it can be embedded as."""
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
    """One modality of a file, or of a range of it. See `Audio`, `Video`, `Image`, `AV`.

    Raises:
        UsageError: it is no path, there is no such modality, or the range is empty. The file need not exist.
    """

    path: Path
    modality: Modality
    start_s: float | None = None
    """None: from the beginning. Of an image, the time of a still of a video."""
    stop_s: float | None = None
    """None: to the end."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", path_of(self.path))
        object.__setattr__(self, "modality", parse_modality(self.modality))
        check_span(self.start_s, self.stop_s, str(self.path))


FileStatus = Literal["indexed", "damaged", "skipped"]
"""Whether a file is indexed; a damaged one is indexed as far as it can be decoded."""
Value = str | float | bool | list[str]
"""A value of a metadata column. A timestamp is ISO 8601 text, in UTC and without an offset."""
OF_HITS = ("peak_start_s", "peak_stop_s", "segments")
"""Attributes of `Hit` that can be requested like columns."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A result of a search: a segment, or a moment of several adjacent segments."""

    rank: int
    """From 1."""
    score: float
    """Cosine similarity with the query; for several terms, with their weighted sum."""
    z: float
    """The score in standard deviations above the query's mean score on segments that do not match it; for several
    terms, a soft minimum of the z of each. Hits are sorted by it, and `min_z` is a threshold on it."""
    path: Path
    modality: Modality
    start_s: float | None
    """In seconds from the beginning of the file, like `stop_s`; None for texts and images."""
    stop_s: float | None
    segment_id: int
    """For a moment, the id of its best segment, whose score and z it has."""
    duration_s: float | None
    """Duration of the whole file, in seconds."""
    kind: FileKind
    """Of the file."""
    text: str | None = None
    """The text of a text segment."""
    peak_start_s: float | None = None
    """Start of the best segment of a moment, or of the single segment, in seconds."""
    peak_stop_s: float | None = None
    """Its end."""
    segments: int = 1
    """Number of segments of the moment."""
    matched: tuple[Modality, ...] = ()
    """The modalities in which the moment matches, `modality` among them; several only of a search for several."""
    copies: int = 1
    """Number of files of the index that have the content of this one."""
    gone: bool = False
    """Whether there is no such file any more. Such hits come last."""
    columns: Mapping[str, Value | None] = field(default_factory=dict, hash=False)
    """The columns that were requested, by name."""

    def to_dict(self) -> dict[str, Any]:
        """Return the hit as values of JSON: its attributes, and each requested column under its own name."""
        own = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "columns"}
        own |= {"path": str(self.path), "modality": self.modality.value}
        own["matched"] = [modality.value for modality in self.matched]
        return {**own, **{name: value for name, value in self.columns.items() if name not in own}}


@dataclass(frozen=True, slots=True)
class ListedFile:
    """A file that an index knows, as it was when it was last indexed."""

    path: Path
    status: FileStatus
    cause: str
    """Why it is skipped, or what of it is missing ("damaged: 4.4 of 9.6 s"); empty for an indexed file."""
    remedy: str
    gone: bool
    """Whether there is no such file any more. It leaves the index with the next run over its folder."""
    kind: FileKind | None
    """None for a skipped file, like `duration_s`."""
    duration_s: float | None
    """Duration in seconds; None for texts and images."""
    size_bytes: int
    columns: Mapping[str, Value | None] = field(default_factory=dict, hash=False)
    """The columns that were requested, by name."""


@dataclass(frozen=True, slots=True)
class ColumnInfo:
    """A metadata column of the user."""

    name: str
    type: ColumnType
    """"text", "number", "bool", "timestamp" or "texts" (a list)."""
    filled: int
    """Number of indexed files that have a value."""


@dataclass(frozen=True, slots=True, order=True)
class DuplicateMember:
    """A member of a group of duplicates: a file, or a segment of one."""

    path: Path
    start_s: float | None
    stop_s: float | None
    segment_id: int | None
    """None for a whole file."""


@dataclass(frozen=True, slots=True)
class DuplicateGroup:
    """Files that are identical, or segments that are nearly identical."""

    kind: Literal["identical", "similar"]
    """"identical": files of the same bytes; "similar": segments of different contents, one of its files for each."""
    modality: Modality | None
    """Modality of similar segments; None for identical files."""
    score: float
    """Lowest cosine among the links that hold the group together."""
    members: tuple[DuplicateMember, ...]
