"""What an index holds, in numbers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wave_search.store import Snapshot
    from wave_search.types import Modality, ModelSpec


@dataclass(frozen=True, slots=True)
class PartitionInfo:
    """The segments of one modality."""

    modality: Modality
    segments: int
    covered: int
    """How many of them are in IVF-PQ shards. The rest is searched exactly."""


@dataclass(frozen=True, slots=True)
class IndexInfo:
    """What an index holds."""

    path: Path
    version: int
    """Counts the commits."""
    created: str
    """When this version was committed: UTC, ISO 8601."""
    model: ModelSpec
    segmenting: str
    """"10" (seconds), "scene" or "none", as it was given."""
    modalities: tuple[Modality, ...]
    roots: tuple[Path, ...]
    """The folders that were indexed."""
    files: int
    """Files that can be found."""
    skipped: int
    """Files that could not be used."""
    contents: int
    """Distinct contents of the files."""
    media_s: float
    """Seconds of sound and video in the contents."""
    partitions: tuple[PartitionInfo, ...]
    size_bytes: int


def describe(snapshot: Snapshot) -> IndexInfo:
    """Count what a version of an index holds. Reads no vectors."""
    manifest, counts = snapshot.manifest, snapshot.counts()
    return IndexInfo(
        path=snapshot.dir,
        version=manifest.version,
        created=manifest.created,
        model=manifest.model,
        segmenting=manifest.settings.segmenting,
        modalities=manifest.settings.modalities,
        roots=tuple(Path(root) for root in manifest.roots),
        files=counts.files.get("indexed", 0),
        skipped=counts.files.get("skipped", 0),
        contents=counts.contents,
        media_s=sum(content.duration_s or 0.0 for content in snapshot.contents().values() if content.kind != "text"),
        partitions=tuple(_partition_info(snapshot, modality) for modality in counts.segments),
        size_bytes=sum(snapshot.sizes_bytes().values()),
    )


def _partition_info(snapshot: Snapshot, modality: Modality) -> PartitionInfo:
    ids, shards = snapshot.partition(modality).ids, snapshot.shards(modality)
    covered = sum(int(((ids >= shard.first_id) & (ids < shard.stop_id)).sum()) for shard in shards)
    return PartitionInfo(modality, len(ids), covered)
