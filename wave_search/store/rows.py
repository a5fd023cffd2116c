"""The records of the store: data without behaviour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from wave_search.types import ColumnType, FileKind, Modality, PartitionKey

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from wave_search.types import Value


@dataclass(frozen=True, slots=True)
class FolderChoices:
    """What the user has chosen for a folder and all that is below it."""

    folder: str
    """Absolute path. A name that is not UTF-8 holds surrogates, as from `os.fsdecode`."""
    exclude: tuple[str, ...] = ()
    """Globs of file names that are not indexed, or, with a slash in them, of paths below the folder."""
    max_duration_s: float | None = None
    """Longer audio and video is not indexed."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Choices besides the model, fixed when an index is created, except for instructions and folders."""

    segmentation: str
    """"10", "scene" or "none", as it was given."""
    modalities: tuple[Modality, ...]
    instructions: tuple[str, ...] = ()
    """Prompts with which media are embedded besides the model's own, in the order in which they were added."""
    audio_track: str = "auto"
    """Which audio tracks of a file are embedded: see `wave_search.media.track_choice`."""
    created: str = ""
    """When the index was created: UTC, ISO 8601."""
    folders: tuple[FolderChoices, ...] = ()
    """Choices for folders, which later runs use again; by folder."""

    @property
    def keys(self) -> tuple[PartitionKey, ...]:
        """All partitions that can have segments: those with the model's own prompt first."""
        named = (
            PartitionKey(modality, instruction)
            for instruction in self.instructions
            for modality in self.modalities
            if modality is not Modality.TEXT
        )
        return (*map(PartitionKey, self.modalities), *named)


@dataclass(frozen=True, slots=True)
class ShardRef:
    """A search structure for the segments of one partition with first_id <= segment_id < stop_id."""

    key: PartitionKey
    name: str
    """Name of its folder, in the folder of the partition."""
    first_id: int
    stop_id: int
    count: int
    """Number of its vectors. Segments that are dropped later stay in it until it is rebuilt."""
    digest: str
    """Digest of its meta.json, which lists the checksums of its other files: see `wave_search.store.shards`."""


@dataclass(frozen=True, slots=True)
class CodebookRef:
    """The codebook with which all shards of a partition are encoded."""

    key: PartitionKey
    name: str
    """Name of its folder, beside those of the shards."""
    stop_id: int
    """It was trained on segments with ids below this."""
    digest: str
    """Digest of its meta.json, as in `ShardRef`."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """Search parameters of a partition's shards for one query modality, and the recall measured with them."""

    key: PartitionKey
    query: Modality
    """The modality of the query."""
    nprobe: int
    """Number of inverted lists that are searched."""
    refine_k: int
    """Number of the best candidates by their codes that are scored exactly."""
    recall: float
    """Measured recall@10."""
    tail: float
    """Recall@10 of the worst tenth of the queries: their 10th percentile."""
    target: float
    """Target recall@10."""
    vectors: int
    """Number of vectors in the shards at that time."""
    measured: str
    """Time of the measurement: UTC, ISO 8601."""

    @property
    def is_exact(self) -> bool:
        """Whether all vectors are scored, because codes do not reach the target."""
        return self.refine_k >= self.vectors


@dataclass(frozen=True, slots=True)
class ScoreStats:
    """Statistics of the scores of typical queries on unrelated segments of a partition."""

    key: PartitionKey
    query: Modality
    """The modality of the query."""
    mean: float
    std: float
    """Standard deviation of its scores; 0.0 if they are all the same."""


@dataclass(frozen=True, slots=True)
class ChecksumsRef:
    """A list of the checksums of table files, see `wave_search.store.checksums`."""

    version: int
    """Version of the commit that it belongs to."""
    digest: str
    """BLAKE2b-16 of its bytes, in hexadecimal."""


@dataclass(frozen=True, slots=True)
class FileRow:
    """A file, as it was when it was last indexed."""

    path: bytes
    """Absolute path, as bytes of the file system (`os.fsencode`)."""
    root: bytes
    """The folder or file given by the user under which it was found."""
    size_bytes: int
    mtime_ns: int
    device: int
    """Device number of the disk that it was on (st_dev), which distinguishes an unmounted disk from an emptied
    folder."""
    content_id: int | None
    """None if the file is skipped."""
    status: Literal["indexed", "skipped"] = "indexed"
    cause: str = ""
    """Reason why it is skipped, or only partly indexed."""
    remedy: str = ""
    too_long_s: float | None = None
    """Its duration, if it is skipped because it is longer than the maximum of the run."""

    def __post_init__(self) -> None:
        if (self.status == "indexed") != (self.content_id is not None):
            raise ValueError(f"an indexed file has a content, a skipped one has none: {self}")


@dataclass(frozen=True, slots=True)
class ContentRow:
    """One distinct content. Files with the same bytes share it, so that moves, renames and copies need no embedding."""

    digest: str
    """Of all the bytes of the file."""
    kind: FileKind
    container: str
    duration_s: float | None = None
    width: int | None = None
    height: int | None = None
    fps: float | None = None
    video_codec: str | None = None
    audio_codec: str | None = None
    sample_rate_hz: int | None = None
    channels: int | None = None
    audio_tracks: int = 0
    """Number of audio tracks in the file, whether they are embedded or not."""
    timecode: str | None = None
    """As in `wave_search.media.MediaInfo`."""


@dataclass(frozen=True, slots=True)
class NewSegment:
    """A segment to be stored; the writer assigns its id."""

    modality: Modality
    start_s: float | None
    """None, like `stop_s`, for texts and images."""
    stop_s: float | None
    text: str | None
    """The segment itself, if it is text."""
    vector: NDArray[np.floating]
    """(dim,) of unit norm; stored as float16."""
    instruction: str = ""
    """The prompt with which it was embedded; "" for the model's own."""


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
    """The segments of one partition."""

    ids: NDArray[np.int64]
    """(n,) ascending segment ids."""
    content_ids: NDArray[np.int64]
    """(n,) the content of each."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Numbers of segments, files and contents."""

    segments: Mapping[PartitionKey, int]
    """By partition, without empty ones, in the order of `Settings.keys`."""
    files: Mapping[str, int]
    """By status."""
    contents: int


@dataclass(frozen=True, slots=True)
class Column:
    """A column that the user adds to the files."""

    name: str
    type: ColumnType


@dataclass(frozen=True, slots=True)
class MetadataRow:
    """The values of the user-defined columns for a file."""

    path: bytes
    """As in `FileRow`."""
    digest: str
    """The content of the path when this was written, by which a moved or renamed file keeps its row."""
    values: Mapping[str, Value]
    """By name of the column; a column without a value is left out."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem that `verify` found."""

    what: str
    """One sentence without a full stop."""
    remedy: str
    orphan: bool = False
    """True for an unused file, which does no harm but takes space."""
