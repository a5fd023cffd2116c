"""Grouping of segments into hits: adjacent ones are merged, hits per file limited, near-duplicates dropped."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import Counter, defaultdict
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from wave_search.files import as_path, is_gone
from wave_search.types import Hit, Modality

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from wave_search.query.partition import Candidates
    from wave_search.store import Selection, Snapshot

IDENTICAL = 0.999
"""Minimum cosine at which a segment is the query itself, apart from rounding."""
_MAX_GAP_S = 0.05
"""Maximum gap between adjacent segments, because rounding of times leaves small gaps."""


class Match(NamedTuple):
    """A found segment of a file. A content that several files have is one match for each.

    There are many more matches than hits, so a match has only what ranking needs.
    """

    score: float
    """Cosine similarity."""
    z: float
    file: int
    """Number of the file for `Snapshot.paths_at`. Paths are not read here: few matches are shown, and reading paths
    takes as long as the rest of a search."""
    modality: Modality
    start_s: float | None
    """None for texts and images, like `stop_s`."""
    stop_s: float | None
    segment_id: int
    content_id: int


class Moment(NamedTuple):
    """Adjacent matches merged into one."""

    peak: Match
    """The best match."""
    start_s: float | None
    """Range of all matches; None for texts and images."""
    stop_s: float | None
    segments: int = 1
    """Number of matches."""
    others: tuple[Modality, ...] = ()
    """Further modalities in which it matches."""

    @classmethod
    def of(cls, match: Match) -> Moment:
        """Create a moment of a single match."""
        return cls(match, match.start_s, match.stop_s)


class FilePlace(NamedTuple):
    """A file of a moment, as it was found on the disk."""

    path: bytes
    is_gone: bool


def matches(
    snapshot: Snapshot, candidates: Candidates, chosen: Selection | None = None, *, copies: bool = True
) -> Iterator[Match]:
    """Look up the files of candidates.

    Args:
        snapshot: the index.
        candidates: segments.
        chosen: what a condition selected; None for all.
        copies: whether each of several files of the same content is a match. Otherwise only one of them is: the first
            by name that is on the disk.
    """
    first_of: dict[tuple[int, ...], int] = {}
    content_ids, starts_s, stops_s = snapshot.spans(candidates.ids)
    scores = np.minimum(candidates.scores, 1.0)  # rounding to float16 increases some norms
    columns = (scores.tolist(), candidates.z.tolist(), candidates.ids.tolist(), content_ids, starts_s, stops_s)
    for score, z, segment_id, content_id, start_s, stop_s, places in zip(
        *columns, snapshot.file_numbers(content_ids), strict=True
    ):
        if len(places) == 1:  # as nearly always
            yield Match(score, z, places[0], candidates.modality, start_s, stop_s, segment_id, content_id)
            continue
        several = tuple(places if chosen is None else _chosen(snapshot, chosen, segment_id, places))
        if not copies and len(several) > 1:
            if several not in first_of:
                first_of[several] = _first_present(snapshot, several)
            several = (first_of[several],)
        for place in several:
            yield Match(score, z, place, candidates.modality, start_s, stop_s, segment_id, content_id)


def _chosen(snapshot: Snapshot, chosen: Selection, segment_id: int, places: Sequence[int]) -> Iterator[int]:
    paths = snapshot.paths_at(places)
    return (place for place, path in zip(places, paths, strict=True) if chosen.holds(segment_id, path))


def _first_present(snapshot: Snapshot, places: Sequence[int]) -> int:
    """Return the first of some files that is on the disk, or the first one; their numbers ascend with their names."""
    paths = snapshot.paths_at(places)
    return next((place for path, place in zip(paths, places, strict=True) if not is_gone(as_path(path))), places[0])


def order(match: Match) -> tuple[bool, float, float]:
    """Return the sort key of a match: matches identical with the query first, then by z, then by score.

    The z of an identical segment may be low if all segments are similar, or if there are few of them (the highest
    possible z among n is sqrt(n - 1)).
    """
    return match.score < IDENTICAL, -match.z, -match.score


def ranked(found: Iterable[Match], paths_at: Callable[[Sequence[int]], Sequence[bytes]]) -> list[Match]:
    """Sort matches, best first, ties by path and time.

    Args:
        found: in any order.
        paths_at: returns the paths of files by their numbers. Called only if there are ties.
    """
    best = sorted(found, key=order)
    if len({match.z for match in best}) < len(best):
        path_of = dict(zip(best, paths_at([match.file for match in best]), strict=True))
        best.sort(key=lambda match: (*order(match), path_of[match], match.start_s or 0.0))
    return best


def merge(found: Sequence[Match], min_z: float | None = None) -> Iterator[Moment]:
    """Merge adjacent and overlapping segments of a file into moments.

    A moment grows from its peak, the best segment not yet in a moment, in both directions while z is at least half of
    the peak's: its full width at half maximum. Segments identical with the query are only merged with each other, so
    that a clip finds itself without its surroundings.

    Args:
        found: segments, best first.
        min_z: minimum z of a segment in a moment.

    Yields:
        Moments, best peak first. Texts and images are moments of their own.
    """
    by_track: dict[tuple[int, Modality], list[Match]] = defaultdict(list)
    for match in found:
        by_track[match.file, match.modality].append(match)
    tracks: dict[tuple[int, Modality], _Track] = {}
    for peak in found:
        key = peak.file, peak.modality
        if peak.start_s is None or len(by_track[key]) == 1:
            yield Moment.of(peak)
            continue
        if key not in tracks:
            tracks[key] = _Track(by_track[key])
        if tracks[key].holds(peak):
            yield Moment.of(peak) if peak.z <= 0 else tracks[key].take_around(peak, min_z or 0.0)


class _Track:
    """The segments of a file that are in no moment yet: a linked list in order of time."""

    def __init__(self, found: Sequence[Match]) -> None:
        self._matches = sorted(found, key=_start)
        self._places = {match.segment_id: place for place, match in enumerate(self._matches)}
        self._next = list(range(1, len(found) + 1))
        self._last = list(range(-1, len(found) - 1))

    def holds(self, match: Match) -> bool:
        """Return whether it is in no moment yet."""
        return match.segment_id in self._places

    def take_around(self, peak: Match, min_z: float) -> Moment:
        """Make a moment of a segment and what belongs to it, in time proportional to their number."""
        min_z = max(peak.z / 2, min_z)
        min_cosine = IDENTICAL if peak.score >= IDENTICAL else -1.0
        first = last = self._places.pop(peak.segment_id)
        start_s, stop_s = _start(peak), _stop(peak)
        members = [peak]
        while (last := self._next[last]) < len(self._matches):
            match = self._matches[last]
            if match.z < min_z or match.score < min_cosine or _start(match) > stop_s + _MAX_GAP_S:
                break
            members.append(match)
            stop_s = max(stop_s, _stop(match))
        while (first := self._last[first]) >= 0:
            match = self._matches[first]
            if match.z < min_z or match.score < min_cosine or _stop(match) < start_s - _MAX_GAP_S:
                break
            members.append(match)
            start_s = _start(match)
        for match in members[1:]:
            del self._places[match.segment_id]
        if first >= 0:
            self._next[first] = last
        if last < len(self._matches):
            self._last[last] = first
        return Moment(peak, start_s, max(map(_stop, members)), len(members))


def combine(moments: Iterable[Moment]) -> list[Moment]:
    """Make one moment of those of several modalities that are the same part of a file: the best of them.

    They are if the middle of the best segment of the one lies within the other. A modality is named among the `others`
    if its z is at least half of the best one's, as for segments in `merge`.

    Args:
        moments: best first.
    """
    kept: list[Moment] = []
    spans: dict[int, dict[Modality, list[tuple[float, int]]]] = defaultdict(lambda: defaultdict(list))
    for moment in moments:
        peak, of_file = moment.peak, spans[moment.peak.file]
        others = (span for modality, span in of_file.items() if modality is not peak.modality)
        number = min((at for span in others for at in _around(span, kept, peak)), default=None)
        if number is None:
            if moment.start_s is not None:
                insort(of_file[peak.modality], (moment.start_s, len(kept)))
            kept.append(moment)
            continue
        best = kept[number]
        if peak.z >= best.peak.z / 2 and peak.modality not in best.others:
            kept[number] = best._replace(others=(*best.others, peak.modality))
    return kept


def _around(span: Sequence[tuple[float, int]], kept: Sequence[Moment], match: Match) -> Iterator[int]:
    """Yield the numbers of the moments, sorted by their start, that the middle of a segment lies within.

    Those of a modality are disjoint, but for segments that overlap: only the last two that begin before it can be.
    """
    if match.start_s is None:
        return
    middle_s = (_start(match) + _stop(match)) / 2
    before = bisect_right(span, (middle_s, len(kept)))
    for _, number in span[max(before - 2, 0) : before]:
        if middle_s < (kept[number].stop_s or 0.0):
            yield number


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
    """Return the best k moments, with a limited number per file, and only the best of near-duplicates.

    Args:
        moments: best first.
        k: maximum number of moments.
        per_file: maximum number of moments of a file; None for no limit.
        vectors: (dim,) of unit norm by segment id, for finding near-duplicates; None to keep these. A segment that
            several files share is always a duplicate.
        dedupe: minimum cosine of near-duplicates of one modality.
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


def hits_of(snapshot: Snapshot, moments: Sequence[Moment], places: Mapping[int, FilePlace]) -> list[Hit]:
    """Convert moments to hits, best first, without columns.

    Args:
        snapshot: the index.
        moments: of these.
        places: their files by number.
    """
    peaks = [moment.peak for moment in moments]
    contents = snapshot.durations_and_kinds([peak.content_id for peak in peaks])
    text_ids = [peak.segment_id for peak in peaks if peak.modality is Modality.TEXT]
    texts = {row.segment_id: row.text for row in snapshot.segment_rows(text_ids)} if text_ids else {}
    copies = map(len, snapshot.file_numbers([peak.content_id for peak in peaks]))
    return [
        Hit(
            rank=rank,
            score=peak.score,
            z=peak.z,
            path=as_path(place.path),
            modality=peak.modality,
            start_s=moment.start_s,
            stop_s=moment.stop_s,
            segment_id=peak.segment_id,
            duration_s=duration_s,
            kind=kind,
            text=texts.get(peak.segment_id),
            peak_start_s=peak.start_s,
            peak_stop_s=peak.stop_s,
            segments=moment.segments,
            matched=(
                tuple(one for one in Modality if one is peak.modality or one in moment.others)
                if moment.others
                else (peak.modality,)
            ),
            copies=count,
            gone=place.is_gone,
        )
        for rank, (moment, peak, place, (duration_s, kind), count) in enumerate(
            zip(moments, peaks, [places[peak.file] for peak in peaks], contents, copies, strict=True), start=1
        )
    ]
