"""What an index holds, in numbers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from wave_search.store import covered
from wave_search.types import ColumnInfo

if TYPE_CHECKING:
    from wave_search.models import ModelSpec
    from wave_search.store import Snapshot, Tuning
    from wave_search.types import Modality, PartitionKey


@dataclass(frozen=True, slots=True)
class PartitionInfo:
    """The segments of one space."""

    modality: Modality
    instruction: str
    """With which they were embedded; "" for the model's own prompt."""
    segments: int
    covered: int
    """How many of them are in IVF-PQ shards. The rest is searched exactly."""
    tunings: tuple[Tuning, ...] = ()
    """How widely the shards are searched, and the recall that was measured, for each kind of query."""


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
    instructions: tuple[str, ...]
    """With which media are embedded besides the model's own prompt."""
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
        instructions=manifest.settings.instructions,
        roots=tuple(Path(root) for root in manifest.roots),
        files=counts.files.get("indexed", 0),
        skipped=counts.files.get("skipped", 0),
        contents=counts.contents,
        media_s=sum(content.duration_s or 0.0 for content in snapshot.contents().values() if content.kind != "text"),
        partitions=tuple(_partition_info(snapshot, key) for key in counts.segments),
        size_bytes=sum(snapshot.sizes_bytes().values()),
    )


def own_columns(snapshot: Snapshot) -> tuple[ColumnInfo, ...]:
    """List the columns of the user's own, and how many files of the index they say something of."""
    contents, metadata = snapshot.contents(), snapshot.metadata()
    filled: Counter[str] = Counter()
    for path, row in snapshot.files().items():
        if row.content_id is not None:
            filled.update(metadata.of(path, contents[row.content_id].digest).keys())
    return tuple(ColumnInfo(column.name, column.type, filled[column.name]) for column in metadata.columns)


def _partition_info(snapshot: Snapshot, key: PartitionKey) -> PartitionInfo:
    ids = snapshot.partition(key).ids
    inside = int(covered(ids, snapshot.shards(key)).sum())
    return PartitionInfo(key.modality, key.instruction, len(ids), inside, snapshot.tunings(key))
