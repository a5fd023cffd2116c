"""From hits of single segments to what a person wants to see: moments, not too many of a file, nothing twice."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from wave_search.types import Hit, Modality

IDENTICAL = 0.999
"""A segment with at least this cosine is the query itself, but for rounding."""
_TOUCHING_S = 0.05
"""Rounding of times leaves gaps between adjacent segments, smaller than this."""


def merge(hits: Sequence[Hit], min_score: float | None = None) -> Iterator[Hit]:
    """Merge adjacent and overlapping segments of a file into moments.

    A moment grows from its peak, the best segment that is in no moment yet, in both directions as long as z is at least
    half of the peak's: its full width at half maximum. What is identical with the query is joined by the same only, so
    that a clip finds itself and not its surroundings.

    Args:
        hits: of single segments, best first.
        min_score: the least z of a segment that belongs to a moment.

    Yields:
        Moments, best peak first. What has no time stays as it is.
    """
    tracks: dict[tuple[Path, Modality], list[Hit]] = defaultdict(list)
    for hit in sorted(hits, key=_start):
        tracks[hit.path, hit.modality].append(hit)
    taken: set[tuple[Path, int]] = set()
    for peak in hits:
        if (peak.path, peak.segment_id) in taken:
            continue
        members = [peak]
        if peak.start_s is not None and peak.z > 0:
            free = tracks[peak.path, peak.modality]
            least = IDENTICAL if peak.score >= IDENTICAL else -1.0
            members = _grown(free, free.index(peak), max(peak.z / 2, min_score or 0.0), least)
        taken.update((hit.path, hit.segment_id) for hit in members)
        for hit in members:
            tracks[hit.path, hit.modality].remove(hit)
        yield _moment(peak, members)


def _grown(track: Sequence[Hit], at: int, min_z: float, min_cosine: float) -> list[Hit]:
    members = [track[at]]
    stop_s = _stop(track[at])
    for hit in track[at + 1 :]:
        if hit.z < min_z or hit.score < min_cosine or _start(hit) > stop_s + _TOUCHING_S:
            break
        members.append(hit)
        stop_s = max(stop_s, _stop(hit))
    start_s = _start(track[at])
    for hit in reversed(track[:at]):
        if hit.z < min_z or hit.score < min_cosine or _stop(hit) < start_s - _TOUCHING_S:
            break
        members.append(hit)
        start_s = _start(hit)
    return members


def _moment(peak: Hit, members: Sequence[Hit]) -> Hit:
    if peak.start_s is None:
        return peak
    return replace(
        peak,
        start_s=min(map(_start, members)),
        stop_s=max(map(_stop, members)),
        peak_start_s=peak.start_s,
        peak_stop_s=peak.stop_s,
        segments=len(members),
    )


def _start(hit: Hit) -> float:
    return hit.start_s or 0.0


def _stop(hit: Hit) -> float:
    return hit.stop_s or 0.0


def thin(
    hits: Iterable[Hit],
    k: int,
    *,
    per_file: int | None = None,
    vectors: Mapping[int, NDArray[np.float32]] | None = None,
    dedupe: float = 1.0,
) -> list[Hit]:
    """Take the best k hits, not too many of a file, and of near-duplicates the best only.

    Args:
        hits: best first.
        k: how many.
        per_file: how many of a file; None for any number.
        vectors: (dim,) of unit norm by segment id, to find near-duplicates by; None to keep them. Segments that several
            files share are duplicates whatever `dedupe` is.
        dedupe: the least cosine of near-duplicates of one modality.
    """
    kept: list[Hit] = []
    of_file: Counter[Path] = Counter()
    seen: dict[Modality, list[NDArray[np.float32]]] = defaultdict(list)
    ids: set[int] = set()
    for hit in hits:
        if len(kept) == k:
            break
        if per_file is not None and of_file[hit.path] >= per_file:
            continue
        if vectors is not None:
            vector, others = vectors[hit.segment_id], seen[hit.modality]
            if hit.segment_id in ids or (others and float((np.stack(others) @ vector).max()) >= dedupe):
                continue
            others.append(vector)
            ids.add(hit.segment_id)
        of_file[hit.path] += 1
        kept.append(hit)
    return kept
