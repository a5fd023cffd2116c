"""Results with parts, back from the records that a server sends."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from wave_search.models import ModelSpec
from wave_search.query import FileDetails, FileEntry, IndexInfo, NewMatch, PartitionInfo, SegmentDetails, SegmentScore
from wave_search.reports import Skipped
from wave_search.store import FolderChoices, SavedSearch, SavedTerm, Tuning
from wave_search.types import DuplicateGroup, DuplicateMember, Hit, Modality, PartitionKey, Sampling
from wave_search.wire import from_record

if TYPE_CHECKING:
    from collections.abc import Mapping

    Record = Mapping[str, Any]


def segment(record: Record) -> SegmentDetails:
    """Return a segment."""
    return from_record(SegmentDetails, record)


def file(record: Record) -> FileDetails:
    """Return a file with its segments."""
    segments, copies = map(segment, record["segments"]), map(Path, record["copies"])
    return from_record(FileDetails, record, segments=tuple(segments), copies=tuple(copies))


def entry(record: Record) -> FileEntry:
    """Return a file of a list."""
    return from_record(FileEntry, record, segment=segment(record["segment"]))


def score(record: Record) -> SegmentScore:
    """Return the score of a segment."""
    return from_record(SegmentScore, record, segment=segment(record["segment"]))


def saved_search(record: Record) -> SavedSearch:
    """Return a saved search."""
    return from_record(SavedSearch, record, terms=tuple(from_record(SavedTerm, term) for term in record["terms"]))


def new_match(record: Record) -> NewMatch:
    """Return a match among new segments."""
    return from_record(NewMatch, record, hit=from_record(Hit, record["hit"]))


def duplicates(record: Record) -> DuplicateGroup:
    """Return a group of duplicates."""
    members = (from_record(DuplicateMember, member) for member in record["members"])
    return from_record(DuplicateGroup, record, members=tuple(members))


def model(record: Record) -> ModelSpec:
    """Return the identity of a model."""
    return from_record(
        ModelSpec,
        record,
        modalities=_modalities(record["modalities"]),
        sampling=from_record(Sampling, record["sampling"]),
        prompts={Modality(name): prompt for name, prompt in record["prompts"].items()},
    )


def info(record: Record) -> IndexInfo:
    """Return the description of an index."""
    return from_record(
        IndexInfo,
        record,
        model=model(record["model"]),
        modalities=_modalities(record["modalities"]),
        instructions=tuple(record["instructions"]),
        roots=tuple(map(Path, record["roots"])),
        folders=tuple(from_record(FolderChoices, one, exclude=tuple(one["exclude"])) for one in record["folders"]),
        damaged=tuple(from_record(Skipped, one) for one in record["damaged"]),
        partitions=tuple(map(_partition, record["partitions"])),
    )


def _partition(record: Record) -> PartitionInfo:
    return from_record(PartitionInfo, record, tunings=tuple(map(_tuning, record["tunings"])))


def _tuning(record: Record) -> Tuning:
    key = from_record(PartitionKey, record["key"])
    return from_record(Tuning, record, key=key, query=Modality(record["query"]))


def _modalities(names: list[str]) -> tuple[Modality, ...]:
    return tuple(map(Modality, names))
