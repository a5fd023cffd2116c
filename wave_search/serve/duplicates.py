"""Duplicates for the API: groups of files and segments that are compared once for each version of the index."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Literal

from wave_search.serve.errors import GoneError
from wave_search.serve.library import segment_hit
from wave_search.serve.schemas import Result, SearchHit
from wave_search.types import Modality

if TYPE_CHECKING:
    from wave_search.index import Index
    from wave_search.query import FileDetails, SegmentDetails
    from wave_search.serve.library import Library
    from wave_search.types import DuplicateGroup, DuplicateMember

MAX_MEMBERS = 12
"""Members of a group that are returned; the others are counted."""
_KEPT = 2
"""Comparisons that are kept: of the newest version of the index, with different thresholds."""
_COMPARED = (
    "size_bytes", "modified", "container", "width", "height", "fps", "video_codec", "audio_codec", "sample_rate_hz",
    "channels",
)  # fmt: skip
"""Columns by which people choose one of several files."""


class DuplicateEntry(Result):
    """A member of a group: a file, or a range of one."""

    hit: SearchHit
    """Without a score. All identical files are the same segment: they have the same content."""
    columns: dict[str, Any]
    """Of the file: size, format, codecs."""


class DuplicateSet(Result):
    """Files of the same bytes ("identical"), or segments of different files that are nearly the same ("similar")."""

    kind: Literal["identical", "similar"]
    modality: Modality | None
    """Of similar segments."""
    score: float
    """Lowest cosine among the links that hold the group together."""
    members: list[DuplicateEntry]
    """At most 12."""
    count: int
    """Of all members."""


class DuplicatesAnswer(Result):
    """A part of the groups: identical files first, then segments; the largest groups first."""

    groups: list[DuplicateSet]
    total: int
    more: bool
    index_version: int


class Comparisons:
    """The duplicates of an index, compared once for each version and threshold. Safe to use from several threads."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[int, float], list[DuplicateGroup]] = OrderedDict()
        self._lock = threading.Lock()

    def answer(
        self, library: Library, threshold: float, modality: Modality | None, offset: int, limit: int
    ) -> DuplicatesAnswer:
        """Return a part of the groups, all or those of segments of a modality. Raises WaveSearchError."""
        index = library.index()
        version, groups = index.version, self._groups(index, threshold)
        if modality is not None:
            groups = [group for group in groups if group.modality == modality]
        page = [_set(library, group) for group in groups[offset : offset + limit]]
        return DuplicatesAnswer(
            groups=[group for group in page if len(group.members) > 1],
            total=len(groups),
            more=offset + limit < len(groups),
            index_version=version,
        )

    def _groups(self, index: Index, threshold: float) -> list[DuplicateGroup]:
        key = index.version, threshold
        with self._lock:
            found = self._kept.get(key)
        if found is None:
            found = index.duplicates(threshold)
            with self._lock:
                self._kept[key] = found
                while len(self._kept) > _KEPT:
                    self._kept.popitem(last=False)
        return found


def _set(library: Library, group: DuplicateGroup) -> DuplicateSet:
    members = [_entry(library, member) for member in group.members[:MAX_MEMBERS]]
    return DuplicateSet(
        kind=group.kind,
        modality=group.modality,
        score=round(group.score, 6),
        members=[member for member in members if member is not None],
        count=len(group.members),
    )


def _entry(library: Library, member: DuplicateMember) -> DuplicateEntry | None:
    """Return a member; None if it is not in the index any more, or has nothing that can be looked at."""
    found = _details(library, member)
    if found is None:
        return None
    segment, file = found
    hit = segment_hit(member.path, file.kind, file.duration_s, segment)
    if member.segment_id is None:
        hit = hit.model_copy(update={"start_s": None, "stop_s": None})
    return DuplicateEntry(hit=hit, columns={name: file.columns[name] for name in _COMPARED})


def _details(library: Library, member: DuplicateMember) -> tuple[SegmentDetails, FileDetails] | None:
    if member.segment_id is not None:
        try:
            return library.segment(member.segment_id)
        except GoneError:
            return None
    file = library.index().file(member.path)
    return (file.segments[0], file) if file is not None and file.segments else None
