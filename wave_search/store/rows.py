"""What the store keeps, as rows without behaviour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from wave_search.types import Modality, PartitionKey

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from wave_search.types import Value


@dataclass(frozen=True, slots=True)
class Settings:
    """Choices besides the model. They are pinned when an index is created, but for instructions, which may be added."""

    segmenting: str
    """"10", "scene" or "none", as it was given."""
    modalities: tuple[Modality, ...]
    instructions: tuple[str, ...] = ()
    """With which media are embedded besides the model's own prompt. In the order in which they were added."""

    @property
    def keys(self) -> tuple[PartitionKey, ...]:
        """All that a segment can be in: modalities with the model's own prompt first."""
        named = (
            PartitionKey(modality, instruction)
            for instruction in self.instructions
            for modality in self.modalities
            if modality is not Modality.TEXT
        )
        return (*map(PartitionKey, self.modalities), *named)


@dataclass(frozen=True, slots=True)
class ShardRef:
    """A derived index that covers the segments of one space with first_id <= segment_id < stop_id."""

    key: PartitionKey
    name: str
    """Of its folder, in the folder of the space."""
    first_id: int
    stop_id: int
    count: int
    """Vectors in it. Segments that are dropped later stay in it until it is rebuilt."""
    digest: str
    """Of its meta.json, which lists the checksums of its other files: see `wave_search.store.shards`."""


@dataclass(frozen=True, slots=True)
class CodebookRef:
    """What all shards of a space are encoded with."""

    key: PartitionKey
    name: str
    """Of its folder, beside those of the shards."""
    stop_id: int
    """It was trained on segments with ids below."""
    digest: str
    """Of its meta.json, as in `ShardRef`."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """How widely the shards of a space are searched for one kind of query, and what that gave when it was measured."""

    key: PartitionKey
    query: Modality
    """What the query is."""
    nprobe: int
    """Inverted lists that are searched."""
    refine_k: int
    """Of the candidates found there by their codes, how many are scored exactly."""
    recall: float
    """Mean share of the true best 10 that were found."""
    target: float
    """The recall that was wanted."""
    vectors: int
    """How many the shards held."""
    measured: str
    """When: UTC, ISO 8601."""


@dataclass(frozen=True, slots=True)
class ScoreStats:
    """What a typical query scores on the segments of a partition that are not like it."""

    key: PartitionKey
    query: Modality
    """What the query is."""
    mean: float
    std: float
    """Standard deviation of its scores; 0.0 if they are all the same."""


@dataclass(frozen=True, slots=True)
class ListRef:
    """A list of the digests of table files, see `wave_search.store.checksums`."""

    version: int
    """Of the commit that it belongs to."""
    digest: str
    """BLAKE2b-16 hex over its bytes."""


@dataclass(frozen=True, slots=True)
class FileRow:
    """A file of the library, as it was last seen."""

    path: bytes
    """Absolute, as the file system spells it (`os.fsencode`)."""
    root: bytes
    """The folder or file given by the user under which it was found."""
    size_bytes: int
    mtime_ns: int
    device: int
    """Number of the disk that it was on (st_dev), by which an unmounted disk is told from an emptied folder."""
    content_id: int | None
    """None if the file is skipped."""
    status: Literal["indexed", "skipped"] = "indexed"
    cause: str = ""
    """Why it is skipped."""
    remedy: str = ""

    def __post_init__(self) -> None:
        if (self.status == "indexed") != (self.content_id is not None):
            raise ValueError(f"an indexed file has a content, a skipped one has none: {self}")


@dataclass(frozen=True, slots=True)
class ContentRow:
    """One distinct content. Files with the same bytes share it, so moves, renames and copies cost no embedding."""

    digest: str
    """Of all the bytes of the file."""
    kind: str
    """"text", "image", "audio" or "video"."""
    container: str
    duration_s: float | None = None
    width: int | None = None
    height: int | None = None
    fps: float | None = None
    video_codec: str | None = None
    audio_codec: str | None = None
    sample_rate_hz: int | None = None
    channels: int | None = None


@dataclass(frozen=True, slots=True)
class NewSegment:
    """A segment to be stored; its id is given by the writer."""

    modality: Modality
    start_s: float | None
    """None, like `stop_s`, for what has no time: texts and images."""
    stop_s: float | None
    text: str | None
    """The segment itself, if it is text."""
    vector: NDArray[np.floating]
    """(dim,) of unit norm; stored as float16."""
    instruction: str = ""
    """With which it was embedded; "" for the model's own prompt."""


@dataclass(frozen=True, slots=True)
class SegmentRow:
    """A stored segment without its vector."""

    segment_id: int
    content_id: int
    modality: Modality
    start_s: float | None
    stop_s: float | None
    text: str | None
    instruction: str = ""


@dataclass(frozen=True, slots=True)
class Partition:
    """The segments of one space."""

    ids: NDArray[np.int64]
    """(n,) ascending segment ids."""
    content_ids: NDArray[np.int64]
    """(n,) the content of each."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How much there is."""

    segments: Mapping[PartitionKey, int]
    """Only spaces that have any, in the order of `Settings.spaces`."""
    files: Mapping[str, int]
    """By status."""
    contents: int


@dataclass(frozen=True, slots=True)
class Column:
    """A column that the user adds to the files."""

    name: str
    type: Literal["text", "number", "bool", "timestamp", "texts"]


@dataclass(frozen=True, slots=True)
class MetadataRow:
    """What the user's own columns say of a file."""

    path: bytes
    """As in `FileRow`."""
    digest: str
    """The content that the path had when this was written: by it the row finds a file that was moved or renamed."""
    values: Mapping[str, Value]
    """By name of the column; nothing for what is not said."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that `verify` found."""

    what: str
    """One sentence without a full stop."""
    remedy: str
    orphan: bool = False
    """True for a left-over that harms nothing but takes space."""
