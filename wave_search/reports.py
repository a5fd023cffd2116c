"""Reports of runs, and their progress. Frozen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pathlib import Path

    from wave_search.types import ColumnType, Modality, PartitionKey, Value

Stage = Literal["scan", "embed", "shards", "rerank", "done"]
"""A stage of a run or of a search."""


@dataclass(frozen=True, slots=True)
class MetadataReport:
    """Result of `Index.import_metadata`."""

    columns: Mapping[str, ColumnType]
    """The type of each: "text", "number", "bool", "timestamp" or "texts" (a list)."""
    files: int
    """Number of indexed files that got values."""
    unknown: tuple[str, ...]
    """Paths of the imported file that are not in the index: the first 1,000."""
    malformed: tuple[str, ...] = ()
    """Rows of the imported file that were left out, as line number and cause: the first 1,000."""
    unknown_rows: int = 0
    """Number of rows with paths that are not in the index."""
    malformed_rows: int = 0


@dataclass(frozen=True, slots=True)
class MetadataChange:
    """The change of a value by `Index.edit_metadata`."""

    path: Path
    column: str
    type: ColumnType
    """Of the column."""
    before: Value | None
    """None for no value."""
    after: Value | None


@dataclass(frozen=True, slots=True)
class EditReport:
    """Result of `Index.edit_metadata`."""

    files: int
    """Number of files of which a value has changed."""
    changes: tuple[MetadataChange, ...] = ()
    """What has changed, by which `Index.restore_metadata` undoes it."""


@dataclass(frozen=True, slots=True)
class TagReport:
    """Result of `Index.tag`."""

    files: Mapping[str, int]
    """Number of files with each label."""
    unlabelled: int
    """Number of files without a label."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that could not be used, and why."""

    path: Path
    cause: str
    remedy: str
    known: bool = field(default=False, compare=False)
    """Whether an earlier run of `Index.add` had found this, and this one has not tried the file again."""


@dataclass(frozen=True, slots=True)
class SlowFile:
    """A file that takes long to embed."""

    path: Path
    duration_s: float
    segments: int
    """Number of segments that it is expected to have."""
    estimated_s: float
    """Time to embed it, from its segments, their modalities and instructions, and the rate of the run so far."""


@dataclass(frozen=True, slots=True)
class SlowRun:
    """A run of `Index.add` that takes long, although none of its files may."""

    files: int
    """Files that are left."""
    estimated_s: float
    """Time to embed them, at the rate of the run so far."""


@dataclass(frozen=True, slots=True)
class IndexReport:
    """Result of `Index.add`."""

    indexed: int = 0
    """Files embedded."""
    reused: int = 0
    """Files whose content was indexed already: moved, renamed or copied."""
    unchanged: int = 0
    removed: int = 0
    """Files that no longer exist in their folder."""
    ignored: int = 0
    """Media files of a modality that the index does not hold."""
    not_media: Mapping[str, int] = field(default_factory=dict)
    """Number of files that are neither media nor text, by suffix in lower case; "" for none. Most frequent first."""
    several_tracks: int = 0
    """Of the indexed files, those with several audio tracks; `audio_track` of `create` says which are heard."""
    skipped: tuple[Skipped, ...] = ()
    """Files that cannot be used, or only in part, found in this run or in an earlier one."""
    slow: tuple[SlowFile, ...] = ()
    """Files of this run that were expected to take more than an hour each."""
    unreachable: tuple[Path, ...] = ()
    """Folders that were indexed before and are now missing or empty, such as an unmounted disk. Their files stay
    indexed."""
    segments: Mapping[Modality, int] = field(default_factory=dict)
    """Segments embedded in this run."""
    media_s: float = 0.0
    """Seconds of audio and video embedded."""
    elapsed_s: float = 0.0
    peak_memory_bytes: int = 0
    """Peak resident set size of this process and its decoder processes together."""
    interrupted: bool = False


@dataclass(frozen=True, slots=True)
class IndexPlan:
    """What `Index.add` would do. No file was decoded: some may turn out to be unusable, or to be known contents."""

    new: tuple[Path, ...]
    """Files that are not in the index, in the order of the scan."""
    changed: tuple[Path, ...]
    """Files to read again: changed ones, and those to be retried, or to be embedded with a new instruction."""
    removed: tuple[Path, ...]
    """Files that no longer exist in their folder, or are left out now."""
    moved: int
    """New files that have the size and time of modification of one that is to be removed: probably the same ones."""
    unchanged: int
    not_media: Mapping[str, int]
    """As in `IndexReport`, like the following."""
    skipped: tuple[Skipped, ...]
    unreachable: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class OptimizePlan:
    """What `Index.optimize` would do."""

    size_bytes: int
    """Size of the index on disk."""
    versions: int
    """Replaced versions to remove."""
    unused_files: int
    """Files of crashed runs to remove."""
    unused_bytes: int
    """Size of these. What the tables and versions free is known only when they are compacted."""
    compact: tuple[str, ...]
    """Tables with several small fragments, to be merged. Those with many removed rows are rewritten, too."""
    rebuild: tuple[PartitionKey, ...]
    """Partitions whose shards are missing, damaged, small or degraded."""


@dataclass(frozen=True, slots=True)
class RelocateReport:
    """Result of `Index.relocate`."""

    moved: int
    """Files whose paths were rewritten."""
    unread: int = 0
    """Of these, files with another time of modification that were not compared: the next run of `Index.add` reads
    them."""
    left: tuple[Skipped, ...] = ()
    """Files that keep their old paths, as they are not at the new place."""


@dataclass(frozen=True, slots=True)
class MigrateReport:
    """Result of `migrate`."""

    model: str
    """Name of the model that the index has now."""
    replaced: str
    """Name of the model that it had."""
    indexed: IndexReport
    """The run that embedded the files."""
    lost: tuple[Skipped, ...] = ()
    """Files that the index had, and has no longer."""
    lost_modalities: tuple[Modality, ...] = ()
    """Modalities of the index that the new model does not embed."""
    lost_instructions: tuple[str, ...] = ()
    """Instructions of the index that the new model does not take."""
    old: Path | None = None
    """Where the replaced index is, if it was kept, or what else was in its folder; None if nothing is left."""


@dataclass(frozen=True, slots=True)
class OptimizeReport:
    """Result of `Index.optimize`."""

    before_bytes: int
    """Size of the index on its disk, as `du` counts, like `after_bytes`."""
    after_bytes: int
    rebuilt: tuple[PartitionKey, ...] = ()
    """Partitions whose shards were missing, damaged or degraded, and were rebuilt."""
    elapsed_s: float = 0.0
    kept_versions: int = 0
    """Number of replaced versions that are still readable and take space."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of `Index.add`, or of a search that embeds segments again; such segments are counted as files."""

    stage: Stage
    """"scan", "embed", "shards" or "done"; "rerank" in a search."""
    files_total: int
    """0 while unknown."""
    files_done: int
    """Files indexed, reused or skipped."""
    files_skipped: int
    segments: int
    media_s: float
    current: Path | None = None
    files_begun: float = 0.0
    """The embedded parts of files of audio and video that are not done, in files: 0.5 for half a file."""
    current_segments: int = 0
    """Segments of `current` that are embedded."""
    current_segments_total: int = 0
    """Segments that `current` is expected to have; 0 for texts and images, or while unknown."""


ProgressCallback = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class Training:
    """Progress of fine-tuning."""

    stage: str
    """Name of the current step: "loading", "checking media", or a stage of training."""
    steps: int
    """0 while unknown."""
    steps_done: int
    figures: Mapping[str, float] = field(default_factory=dict)
    """Loss and other measurements of this step, by name."""


TrainingCallback = Callable[[Training], None]
