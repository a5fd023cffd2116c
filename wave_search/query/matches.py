"""Segments of files on their way to hits: many more of them than hits, so that each says only what ranking needs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from wave_search.types import Hit, Modality

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from wave_search.query.partition import Candidates
    from wave_search.store import Selection, Snapshot


class Match(NamedTuple):
    """A segment of a file: a content that several files have gives one for each."""

    score: float
    """Cosine similarity."""
    z: float
    file: int
    """Its number for `Snapshot.paths_at`: of many matches few are shown, and a path takes as long as all the rest."""
    modality: Modality
    start_s: float | None
    """None for what has no time; so is `stop_s`."""
    stop_s: float | None
    segment_id: int
    content_id: int


class Moment(NamedTuple):
    """A match with the adjacent ones that belong to it."""

    peak: Match
    start_s: float | None
    """Of all of them; None for what has no time."""
    stop_s: float | None
    segments: int = 1
    """How many they are."""

    @classmethod
    def of(cls, match: Match) -> Moment:
        """A match by itself."""
        return cls(match, match.start_s, match.stop_s)


def matches(snapshot: Snapshot, candidates: Candidates, chosen: Selection | None = None) -> Iterator[Match]:
    """Tell the files of candidates apart, as far as they were chosen. Of each candidate, one at least was."""
    content_ids, starts_s, stops_s = snapshot.spans(candidates.ids)
    scores = np.minimum(candidates.scores, 1.0)  # float16 rounds some norms up
    columns = (scores.tolist(), candidates.z.tolist(), candidates.ids.tolist(), content_ids, starts_s, stops_s)
    for score, z, segment_id, content_id, start_s, stop_s, places in zip(
        *columns, snapshot.places_of(content_ids), strict=True
    ):
        those = _chosen(snapshot, chosen, segment_id, places) if chosen is not None and len(places) > 1 else places
        for place in those:
            yield Match(score, z, place, candidates.modality, start_s, stop_s, segment_id, content_id)


def _chosen(snapshot: Snapshot, chosen: Selection, segment_id: int, places: Sequence[int]) -> Iterator[int]:
    """Those of the files of a segment for which it was chosen."""
    paths = snapshot.paths_at(places)
    return (place for place, path in zip(places, paths, strict=True) if chosen.holds(segment_id, path))


def hits_of(snapshot: Snapshot, moments: Sequence[Moment]) -> list[Hit]:
    """Say what there is to say of moments, best first."""
    peaks = [moment.peak for moment in moments]
    paths = snapshot.paths_at([peak.file for peak in peaks])
    durations_s = snapshot.durations_s([peak.content_id for peak in peaks])
    text_ids = [peak.segment_id for peak in peaks if peak.modality is Modality.TEXT]
    texts = {row.segment_id: row.text for row in snapshot.segment_rows(text_ids)} if text_ids else {}
    return [
        Hit(
            rank=rank,
            score=peak.score,
            z=peak.z,
            path=Path(os.fsdecode(path)),
            modality=peak.modality,
            start_s=moment.start_s,
            stop_s=moment.stop_s,
            segment_id=peak.segment_id,
            duration_s=duration_s,
            text=texts.get(peak.segment_id),
            peak_start_s=peak.start_s,
            peak_stop_s=peak.stop_s,
            segments=moment.segments,
        )
        for rank, (moment, peak, path, duration_s) in enumerate(
            zip(moments, peaks, paths, durations_s, strict=True), start=1
        )
    ]
