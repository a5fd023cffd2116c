"""From the parts of a query to its vectors. Only what is not in the index already is read and embedded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from wave_search.errors import UsageError
from wave_search.media import Segmentation
from wave_search.query import stored
from wave_search.query.compose import QueryTerm, combine
from wave_search.query.encode import choose_modality, span_of
from wave_search.query.parts import AudioVideoPair, SegmentRef, SimilarFile
from wave_search.query.stored import ResolvedVectors
from wave_search.types import MediaRef, Modality

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from wave_search.query.encode import Encoder
    from wave_search.query.parts import Weighted
    from wave_search.store import Snapshot


@dataclass(frozen=True, slots=True)
class Query:
    """What is searched for."""

    rows: NDArray[np.float32]
    """(q, dim) of unit norm, the parts together: a segment's score is its best over them."""
    parts: tuple[QueryTerm, ...]
    """One or more."""
    exclude_ids: frozenset[int]
    """Ids of segments that are the query itself, and no answer to it."""


def resolve(
    parts: Sequence[Weighted], snapshot: Snapshot, encoder: Encoder, target: str, instruction: str | None = None
) -> Query:
    """Find or compute the vectors of a query.

    Args:
        parts: what it consists of, as `read_parts` gives them.
        snapshot: the index to search.
        encoder: embeds what is not in the index.
        target: what is searched for.
        instruction: replaces the prompt of media that are embedded.

    Raises:
        MediaError: a file cannot be read.
        UsageError: a file has not what is asked of it, a segment is gone, or the parts do not fit together.
        ModelError: the model is needed and cannot be loaded, or is not the index's.
    """
    found = [_find(part.item, snapshot, encoder, target, instruction) for part in parts]
    asked = tuple(QueryTerm(one.rows, part.weight, one.kind) for one, part in zip(found, parts, strict=True))
    return Query(combine(asked), asked, frozenset().union(*(one.moment for one in found)))


def _find(item: Any, snapshot: Snapshot, encoder: Encoder, target: str, instruction: str | None) -> ResolvedVectors:
    match item:
        case np.ndarray():
            if item.shape[1] != snapshot.manifest.model.dim:
                dim = snapshot.manifest.model.dim
                raise UsageError(f"the vector has {item.shape[1]} numbers, those of the index have {dim}")
            return ResolvedVectors(item, None)
        case SegmentRef(segment_id):
            return stored.of_segment(snapshot, segment_id, instruction or "")
        case SimilarFile():
            return _similar(item, snapshot, encoder, target, instruction)
        case MediaRef():
            return ResolvedVectors(encoder.encode_query(item, _segmenting(snapshot), instruction), item.modality)
        case AudioVideoPair():
            return ResolvedVectors(encoder.encode_query(item, _segmenting(snapshot), instruction), Modality.AV)
        case _:
            return ResolvedVectors(encoder.encode_query(item, _segmenting(snapshot)), Modality.TEXT)


def _similar(
    like: SimilarFile, snapshot: Snapshot, encoder: Encoder, target: str, instruction: str | None
) -> ResolvedVectors:
    info = encoder.identify(like.path)
    span = span_of(like.path, info, like.start_s, like.stop_s)
    of_index = stored.of_content(snapshot, info.digest, span, like.modality, target, instruction=instruction or "")
    if of_index is not None:
        return of_index
    modality = like.modality or choose_modality(info.modalities, target)
    ref = MediaRef(like.path, modality, like.start_s, like.stop_s)
    return ResolvedVectors(encoder.encode_query(ref, _segmenting(snapshot), instruction), modality)


def _segmenting(snapshot: Snapshot) -> Segmentation:
    return Segmentation.parse(snapshot.manifest.settings.segmenting)
