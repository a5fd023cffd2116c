"""From single segments to what a person wants to see: moments, not too many of a file, nothing twice."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from wave_search.query.matches import Moment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from wave_search.query.matches import Match
    from wave_search.types import Modality

IDENTICAL = 0.999
"""A segment with at least this cosine is the query itself, but for rounding."""
_TOUCHING_S = 0.05
"""Rounding of times leaves gaps between adjacent segments, smaller than this."""


def order(match: Match) -> tuple[bool, float, float]:
    """By which matches are sorted: what is identical with the query, then by z. A score decides where z cannot."""
    return match.score < IDENTICAL, -match.z, -match.score


def ranked(found: Iterable[Match], paths_at: Callable[[Sequence[int]], Sequence[bytes]]) -> list[Match]:
    """Matches, best first, equal ones by path and time.

    Args:
        found: in any order.
        paths_at: the paths of files by their numbers. Called only if something is equal: it takes as long as the rest.
    """
    best = sorted(found, key=order)
    if len({match.z for match in best}) < len(best):
        path_of = dict(zip(best, paths_at([match.file for match in best]), strict=True))
        best.sort(key=lambda match: (*order(match), path_of[match], match.start_s or 0.0))
    return best


def merge(found: Sequence[Match], min_z: float | None = None) -> Iterator[Moment]:
    """Merge adjacent and overlapping segments of a file into moments.

    A moment grows from its peak, the best segment that is in no moment yet, in both directions as long as z is at least
    half of the peak's: its full width at half maximum. What is identical with the query is joined by the same only, so
    that a clip finds itself and not its surroundings.

    Args:
        found: segments, best first.
        min_z: the least z of a segment that belongs to a moment.

    Yields:
        Moments, best peak first. What has no time stays as it is.
    """
    tracks: dict[tuple[int, Modality], list[Match]] = defaultdict(list)
    for match in found:
        tracks[match.file, match.modality].append(match)
    taken: set[tuple[int, int]] = set()
    for peak in found:
        if (peak.file, peak.segment_id) in taken:
            continue
        free = tracks[peak.file, peak.modality]
        if peak.start_s is None or peak.z <= 0 or len(free) == 1:
            yield Moment.of(peak)
            continue
        free.sort(key=_start)
        least = IDENTICAL if peak.score >= IDENTICAL else -1.0
        members = _grown(free, free.index(peak), max(peak.z / 2, min_z or 0.0), least)
        taken.update((match.file, match.segment_id) for match in members)
        for match in members:
            free.remove(match)
        yield Moment(peak, min(map(_start, members)), max(map(_stop, members)), len(members))


def _grown(track: Sequence[Match], at: int, min_z: float, min_cosine: float) -> list[Match]:
    members = [track[at]]
    stop_s = _stop(track[at])
    for match in track[at + 1 :]:
        if match.z < min_z or match.score < min_cosine or _start(match) > stop_s + _TOUCHING_S:
            break
        members.append(match)
        stop_s = max(stop_s, _stop(match))
    start_s = _start(track[at])
    for match in reversed(track[:at]):
        if match.z < min_z or match.score < min_cosine or _stop(match) < start_s - _TOUCHING_S:
            break
        members.append(match)
        start_s = _start(match)
    return members


def _start(match: Match) -> float:
    return match.start_s or 0.0


def _stop(match: Match) -> float:
    return match.stop_s or 0.0


def thin(
    moments: Iterable[Moment],
    k: int,
    *,
    per_file: int | None = None,
    vectors: Mapping[int, NDArray[np.float32]] | None = None,
    dedupe: float = 1.0,
) -> list[Moment]:
    """Take the best k moments, not too many of a file, and of near-duplicates the best only.

    Args:
        moments: best first.
        k: how many.
        per_file: how many of a file; None for any number.
        vectors: (dim,) of unit norm by segment id, to find near-duplicates by; None to keep them. Segments that several
            files share are duplicates whatever `dedupe` is.
        dedupe: the least cosine of near-duplicates of one modality.
    """
    if per_file is None and vectors is None:
        return list(islice(moments, k))
    kept: list[Moment] = []
    of_file: Counter[int] = Counter()
    seen: dict[Modality, list[NDArray[np.float32]]] = defaultdict(list)
    ids: set[int] = set()
    for moment in moments:
        peak = moment.peak
        if per_file is not None and of_file[peak.file] >= per_file:
            continue
        if vectors is not None:
            vector, others = vectors[peak.segment_id], seen[peak.modality]
            if peak.segment_id in ids or (others and float((np.stack(others) @ vector).max()) >= dedupe):
                continue
            others.append(vector)
            ids.add(peak.segment_id)
        of_file[peak.file] += 1
        kept.append(moment)
        if len(kept) == k:
            break
    return kept
