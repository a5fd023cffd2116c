"""Statistics of an index."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from wave_search.ann import covered
from wave_search.arguments import check_type, check_whole
from wave_search.files import as_path, disk_bytes
from wave_search.reports import Skipped
from wave_search.store import content_of, find_columns
from wave_search.types import ColumnInfo

if TYPE_CHECKING:
    from wave_search.models import ModelSpec
    from wave_search.store import FolderChoices, Snapshot, Tuning
    from wave_search.types import Modality, PartitionKey


@dataclass(frozen=True, slots=True)
class PartitionInfo:
    """One partition of an index."""

    modality: Modality
    instruction: str
    """Instruction that the segments were embedded with; "" for the model's own prompt."""
    segments: int
    covered: int
    """Number of segments in IVF-PQ shards. The others are searched exactly."""
    tunings: tuple[Tuning, ...] = ()
    """Search parameters of the shards and the recall measured with them, for each query modality."""


@dataclass(frozen=True, slots=True)
class IndexInfo:
    """The description of an index."""

    path: Path
    version: int
    """Number of the version, which increases with each commit."""
    created: str
    """When the index was created: UTC, ISO 8601."""
    changed: str
    """When this version was committed: UTC, ISO 8601."""
    model: ModelSpec
    segmentation: str
    """"10" (seconds), "scene" or "none", as it was given."""
    audio_track: str
    """Which audio tracks of a file are embedded: "auto", "all", a number or a language."""
    several_tracks: int
    """Number of contents with more than one audio track."""
    modalities: tuple[Modality, ...]
    instructions: tuple[str, ...]
    """Instructions that media are embedded with, in addition to the model's own prompt."""
    roots: tuple[Path, ...]
    """Folders that were indexed."""
    folders: tuple[FolderChoices, ...]
    """Choices for folders, which later runs use again."""
    files: int
    """Indexed files."""
    skipped: int
    """Number of files that could not be used."""
    damaged: tuple[Skipped, ...]
    """Indexed files of which a part is missing or cannot be decoded, and why; by path."""
    contents: int
    """Number of distinct contents of the files."""
    media_s: float
    """Seconds of audio and video in the contents."""
    partitions: tuple[PartitionInfo, ...]
    size_bytes: int
    """Of the folder on its disk, as `du` counts."""


def describe(snapshot: Snapshot) -> IndexInfo:
    """Describe a version of an index. Reads no vectors."""
    manifest, counts, contents = snapshot.manifest, snapshot.counts(), snapshot.contents().values()
    return IndexInfo(
        path=snapshot.dir,
        version=manifest.version,
        created=manifest.settings.created,
        changed=manifest.created,
        model=manifest.model,
        segmentation=manifest.settings.segmentation,
        audio_track=manifest.settings.audio_track,
        several_tracks=sum(content.audio_tracks > 1 for content in contents),
        modalities=manifest.settings.modalities,
        instructions=manifest.settings.instructions,
        roots=tuple(Path(root) for root in manifest.roots),
        folders=manifest.settings.folders,
        files=counts.files.get("indexed", 0),
        skipped=counts.files.get("skipped", 0),
        damaged=_damaged(snapshot),
        contents=counts.contents,
        media_s=sum(content.duration_s or 0.0 for content in contents if content.kind != "text"),
        partitions=tuple(_partition_info(snapshot, key) for key in counts.segments),
        size_bytes=disk_bytes(snapshot.dir),
    )


def _damaged(snapshot: Snapshot) -> tuple[Skipped, ...]:
    rows = (row for row in snapshot.files().values() if row.cause and row.content_id is not None)
    return tuple(
        Skipped(as_path(row.path), row.cause, row.remedy, known=True) for row in sorted(rows, key=lambda row: row.path)
    )


def summary(snapshot: Snapshot) -> str:
    """Return where an index is and what it holds, in one line."""
    counts, manifest = snapshot.counts(), snapshot.manifest
    by_modality: Counter[str] = Counter()
    for key, number in counts.segments.items():
        by_modality[key.modality.value] += number
    held = ", ".join(f"{number:,} {modality}" for modality, number in by_modality.items() if number) or "no"
    files = f"{counts.files['indexed']:,} files, {held} segments"
    return f"{str(snapshot.dir)!r}: {files}, model {manifest.model.name}, version {manifest.version}"


def own_columns(snapshot: Snapshot) -> tuple[ColumnInfo, ...]:
    """List the user-defined metadata columns, with the number of indexed files that have a value."""
    contents, metadata = snapshot.contents(), snapshot.metadata()
    filled: Counter[str] = Counter()
    for row in snapshot.files().values():
        content = content_of(row, contents)
        if content is not None:
            filled.update(metadata.of(row.path, content.digest).keys())
    return tuple(ColumnInfo(column.name, column.type, filled[column.name]) for column in metadata.columns)


def own_values(snapshot: Snapshot, column: str, limit: int) -> list[str | float | bool]:
    """Return the values, or items of lists, that a user-defined column has for any file, the most frequent first.

    Raises:
        UsageError: there is no such column.
    """
    check_values(column, limit)
    metadata = snapshot.metadata()
    (name,) = find_columns([column], [one.name for one in metadata.columns])
    held = (row.values[name] for row in metadata.rows.values() if name in row.values)
    items = chain.from_iterable(value if isinstance(value, list) else [value] for value in held)
    return [value for value, _ in Counter(items).most_common(limit)]


def check_values(column: str, limit: int) -> None:
    """Check arguments of `own_values`. Raises UsageError."""
    check_type(column, str, "the name of a column")
    check_whole(limit, "limit")


def _partition_info(snapshot: Snapshot, key: PartitionKey) -> PartitionInfo:
    ids = snapshot.partition(key).ids
    inside = int(covered(ids, snapshot.shards(key)).sum())
    return PartitionInfo(key.modality, key.instruction, len(ids), inside, snapshot.tunings(key))
