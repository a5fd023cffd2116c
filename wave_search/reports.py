"""What a run says of itself: how it goes on, and at its end what was done. Frozen, as the types that it is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from wave_search.types import Modality, PartitionKey


@dataclass(frozen=True, slots=True)
class MetadataReport:
    """What an import of metadata did."""

    columns: Mapping[str, str]
    """The type of each: "text", "number", "bool", "timestamp" or "texts" (a list)."""
    files: int
    """Files of the index that it says something of."""
    unknown: tuple[str, ...]
    """Paths that are not in the index."""


@dataclass(frozen=True, slots=True)
class TagReport:
    """What labelling a library did."""

    files: Mapping[str, int]
    """How many files have each label."""
    unlabelled: int
    """Files that none fits."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that was not indexed, and why."""

    path: Path
    cause: str
    remedy: str


@dataclass(frozen=True, slots=True)
class IndexReport:
    """What one run of `index` did."""

    indexed: int = 0
    """Files embedded."""
    reused: int = 0
    """Files whose content was known already: moved, renamed or copied."""
    unchanged: int = 0
    removed: int = 0
    """Files that are gone from their folder."""
    ignored: int = 0
    """Files that are not media, or media of a kind that the index does not hold."""
    skipped: tuple[Skipped, ...] = ()
    """Files that cannot be used, now or as known from an earlier run."""
    unreachable: tuple[Path, ...] = ()
    """Folders that were indexed before and are gone or empty now, as an unmounted disk is. Their files stay."""
    segments: Mapping[Modality, int] = field(default_factory=dict)
    """Segments embedded in this run."""
    media_s: float = 0.0
    """Seconds of sound and video embedded."""
    elapsed_s: float = 0.0
    peak_memory_bytes: int = 0
    """Largest resident set of this process and its decoders together."""
    interrupted: bool = False


@dataclass(frozen=True, slots=True)
class OptimizeReport:
    """What one run of `optimize` did."""

    before_bytes: int
    """What the index took on disk."""
    after_bytes: int
    rebuilt: tuple[PartitionKey, ...] = ()
    """Whose search structures were missing, damaged or worn, and have been built again."""
    elapsed_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run of `index` stands, or a search that embeds segments again: these count as its files."""

    stage: str
    """"scan", "embed", "shards" or "done"; "rerank" in a search."""
    files_total: int
    """0 while unknown."""
    files_done: int
    """Of any outcome."""
    files_skipped: int
    segments: int
    media_s: float
    current: Path | None = None


ProgressCallback = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class Training:
    """Where a run of `train` stands."""

    stage: str
    """What is done: "loading", "checking media", or the name of a stage of training."""
    steps: int
    """0 while unknown."""
    steps_done: int
    figures: Mapping[str, float] = field(default_factory=dict)
    """Loss, and what was measured in this step."""


TrainingCallback = Callable[[Training], None]
