"""Queries by what is in the index already: stored vectors instead of a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from wave_search.errors import UsageError
from wave_search.query.encode import choose_modality
from wave_search.types import PartitionKey, Span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from wave_search.store import SegmentRow, Snapshot
    from wave_search.types import Modality


@dataclass(frozen=True, slots=True)
class ResolvedVectors:
    """The vectors of a part of a query."""

    rows: NDArray[np.float32]
    """(q, dim) of unit norm, one for each segment."""
    kind: Modality | None
    """What they are of; None for a vector of unknown origin."""
    moment: frozenset[int] = frozenset()
    """Ids of all segments of the index that show the same."""


def of_segment(snapshot: Snapshot, segment_id: int, instruction: str = "") -> ResolvedVectors:
    """The vector of a segment; that with the instruction if there is one.

    Raises:
        UsageError: it is not in the index.
    """
    try:
        (segment,) = snapshot.segment_rows([segment_id])
    except KeyError:
        raise UsageError(f"segment {segment_id} is no longer in the index", "Search again.") from None
    span = None if segment.start_s is None or segment.stop_s is None else Span(segment.start_s, segment.stop_s)
    moment = _within(snapshot.segments_of(segment.content_id), span)
    same = [
        one
        for one in moment
        if (one.modality, one.start_s, one.text, one.instruction)
        == (segment.modality, segment.start_s, segment.text, instruction)
    ]
    return _found(snapshot, same or [segment], moment)


def of_content(
    snapshot: Snapshot, digest: str, span: Span | None, modality: Modality | None, target: str, *, instruction: str = ""
) -> ResolvedVectors | None:
    """The vectors of a file, or of the segments that a range of it covers; those with the instruction if there are any.

    Args:
        snapshot: the index.
        digest: of the content.
        span: the range; None for all of the file.
        modality: which of its modalities; None to choose by `target`.
        target: what is searched for.
        instruction: what is asked of the files that are searched.

    Returns:
        None if the index has no such vector.
    """
    content_id = snapshot.content_ids().get(digest)
    if content_id is None:
        return None
    moment = _within(snapshot.segments_of(content_id), span)
    held = {segment.modality for segment in moment}
    if not held or modality not in {None, *held}:
        return None
    chosen = modality or choose_modality(held, target)
    of_kind = [segment for segment in moment if segment.modality == chosen]
    asked = [segment for segment in of_kind if segment.instruction == instruction]
    return _found(snapshot, asked or [segment for segment in of_kind if not segment.instruction], moment)


def _within(segments: Sequence[SegmentRow], span: Span | None) -> list[SegmentRow]:
    return [segment for segment in segments if span is None or _belongs(segment, span)]


def _belongs(segment: SegmentRow, span: Span) -> bool:
    """Whether they overlap by half of the shorter one, so that a range does not take in a neighbour by an instant."""
    if segment.start_s is None or segment.stop_s is None:
        return True
    overlap_s = min(segment.stop_s, span.stop_s) - max(segment.start_s, span.start_s)
    return overlap_s >= 0.5 * min(segment.stop_s - segment.start_s, span.duration_s)


def _found(snapshot: Snapshot, segments: Sequence[SegmentRow], moment: Sequence[SegmentRow]) -> ResolvedVectors:
    """The vectors of segments of one space."""
    key = PartitionKey(segments[0].modality, segments[0].instruction)
    rows = snapshot.vectors(key, np.array([segment.segment_id for segment in segments], np.int64)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return ResolvedVectors(rows, key.modality, frozenset(segment.segment_id for segment in moment))
