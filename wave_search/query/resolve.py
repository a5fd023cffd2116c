"""Resolution of query terms to vectors: stored ones where the index has them, new embeddings otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from wave_search.errors import UsageError
from wave_search.files import on_disk
from wave_search.media import Segmentation
from wave_search.query.encode import choose_modality, span_of
from wave_search.query.fusion import Query, QueryTerm
from wave_search.query.in_memory import MemoryMedia, as_file
from wave_search.query.terms import QueryVectors, SegmentRef, SimilarFile, modality_of, separated
from wave_search.types import MediaRef, Modality, PartitionKey, Span
from wave_search.vectors import normalize

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from wave_search.media import MediaInfo
    from wave_search.query.encode import Encoder
    from wave_search.query.request import SearchRequest
    from wave_search.store import ContentRow, SegmentRow, Snapshot
    from wave_search.types import Target

_MIN_OVERLAP = 0.5
"""Minimum overlap of a segment and a range, as a share of the shorter one, for the segment to belong to the range. It
excludes neighbours that share only an instant with the range."""


@dataclass(frozen=True, slots=True)
class ResolvedVectors:
    """The vectors of a query term."""

    vectors: NDArray[np.float32]
    """(q, dim) of unit norm, one for each segment."""
    modality: Modality | None
    """Modality of the embedded media; None if unknown."""
    same_moment: frozenset[int] = frozenset()
    """Ids of all segments of the index with the same content and time."""


def resolve(request: SearchRequest, snapshot: Snapshot, encoder: Encoder) -> Query:
    """Find or compute the vectors of a request.

    Args:
        request: the request. Its instruction replaces the prompt of embedded media.
        snapshot: the index to search.
        encoder: embeds what the index does not have.

    Raises:
        MediaError: a file cannot be read.
        UsageError: a file lacks the required modality, a segment is no longer in the index, or the terms cannot be
            combined.
        ModelError: the model is needed and cannot be loaded, or is not the index's.
    """
    model = snapshot.manifest.model
    asked = request.terms if Modality.AV in model.modalities else separated(request.terms)
    for term in asked:
        if (modality := modality_of(term.item)) is not None:
            model.check_embeds(modality)
    found = [_resolved(term.item, request, snapshot, encoder) for term in asked]
    terms = tuple(QueryTerm(one.vectors, term.weight, one.modality) for one, term in zip(found, asked, strict=True))
    return Query(terms, frozenset().union(*(one.same_moment for one in found)))


def _resolved(item: Any, request: SearchRequest, snapshot: Snapshot, encoder: Encoder) -> ResolvedVectors:
    match item:
        case QueryVectors(rows, modality):
            dim = snapshot.manifest.model.dim
            if rows.shape[1] != dim:
                raise UsageError(f"the vector has {rows.shape[1]} dimensions, those of the index have {dim}")
            return ResolvedVectors(rows, modality)
        case SegmentRef(segment_id):
            return of_segment(snapshot, segment_id, request.instruction or "")
        case SimilarFile():
            return _similar(item, request, snapshot, encoder)
        case MemoryMedia(modality=None):
            return _similar_in_memory(item, request, snapshot, encoder)
    vectors = encoder.encode_query(item, _segmentation(snapshot), request.instruction)
    return ResolvedVectors(vectors, modality_of(item))


def _similar(file: SimilarFile, request: SearchRequest, snapshot: Snapshot, encoder: Encoder) -> ResolvedVectors:
    # Identifying a file starts a process for the decoders, and reads all of it.
    info: ContentRow | MediaInfo = _unchanged(file.path, snapshot) or encoder.identify(file.path)
    span = span_of(file.path, info.duration_s, file.start_s, file.stop_s)
    instruction = request.instruction
    stored = of_content(snapshot, info.digest, span, file.modality, request.target, instruction=instruction or "")
    if stored is not None:
        return stored
    modality = file.modality or _embeddable(encoder.identify(file.path).modalities, request, snapshot)
    ref = MediaRef(file.path, modality, file.start_s, file.stop_s)
    return ResolvedVectors(encoder.encode_query(ref, _segmentation(snapshot), instruction), modality)


def _unchanged(path: Path, snapshot: Snapshot) -> ContentRow | None:
    try:
        return snapshot.content_at(on_disk(path).resolve())
    except (OSError, RuntimeError):  # which decoders report: RuntimeError is a loop of links
        return None


def _similar_in_memory(
    media: MemoryMedia, request: SearchRequest, snapshot: Snapshot, encoder: Encoder
) -> ResolvedVectors:
    if isinstance(media.content, bytes):
        with as_file(media) as path:
            return _similar(SimilarFile(path), request, snapshot, encoder)
    modality = _embeddable(media.content.modalities, request, snapshot)
    media = MemoryMedia(media.content, modality)
    return ResolvedVectors(encoder.encode_query(media, _segmentation(snapshot), request.instruction), modality)


def _embeddable(available: Sequence[Modality], request: SearchRequest, snapshot: Snapshot) -> Modality:
    """Return what to embed media as that need not be in the index. Raises UsageError."""
    model = snapshot.manifest.model
    if not available:
        raise UsageError("the clip is empty")
    possible = [modality for modality in available if modality in model.modalities]
    if not possible:
        model.check_embeds(available[0])
    return choose_modality(possible, request.target)


def _segmentation(snapshot: Snapshot) -> Segmentation:
    return Segmentation.parse(snapshot.manifest.settings.segmentation)


def of_segment(snapshot: Snapshot, segment_id: int, instruction: str = "") -> ResolvedVectors:
    """Return the vector of a segment, embedded with the instruction if there is such a vector.

    Raises:
        UsageError: the segment is not in the index.
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
    return _stored(snapshot, same or [segment], moment)


def of_content(
    snapshot: Snapshot,
    digest: str,
    span: Span | None,
    modality: Modality | None,
    target: Target | Modality | tuple[Modality, ...],
    *,
    instruction: str = "",
) -> ResolvedVectors | None:
    """Return the vectors of a file or of the segments in a range, with the instruction if there are any.

    Args:
        snapshot: the index.
        digest: digest of the content.
        span: the range; None for the whole file.
        modality: modality of the vectors; None to choose by `target`.
        target: modality of the hits.
        instruction: of the query.

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
    of_modality = [segment for segment in moment if segment.modality == chosen]
    instructed = [segment for segment in of_modality if segment.instruction == instruction]
    return _stored(snapshot, instructed or [segment for segment in of_modality if not segment.instruction], moment)


def _within(segments: Sequence[SegmentRow], span: Span | None) -> list[SegmentRow]:
    return [segment for segment in segments if span is None or _belongs(segment, span)]


def _belongs(segment: SegmentRow, span: Span) -> bool:
    if segment.start_s is None or segment.stop_s is None:
        return True
    overlap_s = min(segment.stop_s, span.stop_s) - max(segment.start_s, span.start_s)
    return overlap_s >= _MIN_OVERLAP * min(segment.stop_s - segment.start_s, span.duration_s)


def _stored(snapshot: Snapshot, segments: Sequence[SegmentRow], moment: Sequence[SegmentRow]) -> ResolvedVectors:
    """Read the vectors of segments of one partition."""
    key = PartitionKey(segments[0].modality, segments[0].instruction)
    ids = np.array([segment.segment_id for segment in segments], np.int64)
    vectors = normalize(snapshot.vectors(key, ids))
    return ResolvedVectors(vectors, key.modality, frozenset(segment.segment_id for segment in moment))
