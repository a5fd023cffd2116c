"""Requests as they are saved with an index, and back."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from wave_search.errors import UsageError
from wave_search.files import composed, digest
from wave_search.query.request import SearchRequest, check_where
from wave_search.query.terms import SegmentRef, Weighted
from wave_search.store import DEFAULT_TIMEOUT_S, SavedSearch, SavedTerm, checked_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wave_search.store import SegmentRow, Snapshot

_SAME_S = 0.01
"""Difference of times that rounding may make."""


def to_saved(snapshot: Snapshot, name: str, request: SearchRequest | None, where: str | None) -> SavedSearch:
    """Return a request as it is saved.

    Args:
        snapshot: the index.
        name: for the search.
        request: the search; its `k` and its columns are not kept.
        where: SQL condition of a list of files, in place of a request.

    Raises:
        UsageError: the name is not valid, or a term is a file or a vector, which is not kept.
    """
    name = checked_name(name)
    if request is None:
        check_where(where, DEFAULT_TIMEOUT_S)
        return SavedSearch(name, where=where)
    if request.among is not None:
        raise UsageError(
            "a search among chosen segments cannot be saved, because their ids change", "Narrow it by a condition."
        )
    if isinstance(request.target, tuple):
        raise UsageError("a search with several targets cannot be saved", "Save one for each, or for any.")
    return SavedSearch(
        name,
        tuple(_saved_term(snapshot, term) for term in request.terms),
        target=request.target,  # type: ignore[arg-type] # a Modality is one of the texts
        min_z=None if request.min_z is None else float(request.min_z),
        where=request.where,
        moments=bool(request.moments),
        per_file=request.per_file,
        dedupe=None if request.dedupe is None else float(request.dedupe),
        copies=bool(request.copies),
        instruction=request.instruction,
        rerank=request.rerank,
    )


def _saved_term(snapshot: Snapshot, term: Weighted) -> SavedTerm:
    weight = float(term.weight)
    if isinstance(term.item, str):
        return SavedTerm(text=term.item, weight=weight)
    if not isinstance(term.item, SegmentRef):
        raise UsageError(
            "a search by a file or a vector cannot be saved, because neither is kept",
            "Index the file, find it, and save a search for more like that result.",
        )
    try:
        (row,) = snapshot.segment_rows([term.item.segment_id])
    except KeyError:
        raise UsageError(f"segment {term.item.segment_id} is no longer in the index", "Search again.") from None
    content = snapshot.contents([row.content_id])[row.content_id]
    paths = [file.path for file in snapshot.files_of([row.content_id])[row.content_id]]
    return SavedTerm(
        digest=content.digest,
        modality=row.modality,
        start_s=row.start_s,
        stop_s=row.stop_s,
        words=_words(row),
        name=composed(os.path.basename(paths[0])).decode("utf-8", "replace") if paths else "",  # noqa: PTH119
        weight=weight,
    )


def to_request(
    snapshot: Snapshot,
    saved: SavedSearch,
    *,
    k: int,
    columns: Iterable[str] = (),
    where_timeout_s: float = DEFAULT_TIMEOUT_S,
) -> SearchRequest:
    """Return a saved search as a request.

    Raises:
        UsageError: it has no terms, or a segment is not in the index any more.
    """
    if not saved.terms:
        raise UsageError(
            f'"{saved.name}" lists files and does not search', "Use its condition: `wave-search list --where SQL`."
        )
    terms = []
    for term in saved.terms:
        segment = None if term.text is not None else segment_of(snapshot, term)
        if term.text is None and segment is None:
            raise UsageError(
                f'"{term.name}", to which "{saved.name}" refers, is not in the index any more',
                "Index it again, or save the search without it.",
            )
        terms.append(Weighted(term.text if segment is None else SegmentRef(segment), term.weight))
    return SearchRequest(
        tuple(terms),
        target=saved.target,
        k=k,
        min_z=saved.min_z,
        where=saved.where,
        columns=tuple(columns),
        moments=saved.moments,
        per_file=saved.per_file,
        dedupe=saved.dedupe,
        copies=saved.copies,
        instruction=saved.instruction,
        rerank=saved.rerank,
        where_timeout_s=where_timeout_s,
    )


def segment_of(snapshot: Snapshot, term: SavedTerm) -> int | None:
    """Return the id of the segment of a term, None if it is not in the index."""
    content_id = None if term.digest is None else snapshot.content_ids().get(term.digest)
    if content_id is None or not snapshot.files_of([content_id])[content_id]:
        return None
    rows = [row for row in snapshot.segments_of(content_id) if not row.instruction and row.modality == term.modality]
    return next((row.segment_id for row in rows if _is_same(row, term)), None)


def _is_same(row: SegmentRow, term: SavedTerm) -> bool:
    if row.start_s is None or term.start_s is None or row.stop_s is None or term.stop_s is None:
        return row.start_s == term.start_s and _words(row) == term.words
    return abs(row.start_s - term.start_s) < _SAME_S and abs(row.stop_s - term.stop_s) < _SAME_S


def _words(row: SegmentRow) -> str | None:
    return None if row.text is None else digest(row.text.encode("utf-8", "replace"))


def renamed(saved: SavedSearch, name: str) -> SavedSearch:
    """Return the search under another name. Raises UsageError."""
    return replace(saved, name=checked_name(name))
