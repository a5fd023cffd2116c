"""The searcher of one version of an index: from a request to its hits."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain, islice
from math import inf
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from wave_search.errors import UsageError
from wave_search.files import as_path, is_gone
from wave_search.query.encode_items import ItemProgress
from wave_search.query.file_details import SegmentScore, content_of_segment, segment_details
from wave_search.query.grouping import FilePlace, Moment, combine, hits_of, matches, merge, ranked, thin
from wave_search.query.hit_columns import spelled, with_columns
from wave_search.query.hits import Hits
from wave_search.query.partition import PartitionSearch
from wave_search.query.rerank import Reembedder, Reranker, RerankProgress
from wave_search.query.resolve import resolve
from wave_search.query.terms import takes_instruction
from wave_search.reports import Skipped
from wave_search.types import Hit, Modality, PartitionKey
from wave_search.vectors import normalize

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from wave_search.query.encode import Encoder
    from wave_search.query.fusion import Query
    from wave_search.query.grouping import Match
    from wave_search.query.partition import Candidates
    from wave_search.query.request import SearchRequest
    from wave_search.reports import ProgressCallback
    from wave_search.store import Selection, Snapshot
    from wave_search.types import Target

_MIN_CANDIDATES = 64
_CANDIDATES_PER_HIT = 4
"""Number of segments to find per hit, because several may be merged into one; at least `_MIN_CANDIDATES` in total."""
_TOGETHER = 64
"""Number of requests that are searched together: more gain little, and wait for each other."""


@dataclass(frozen=True, slots=True)
class NewMatch:
    """A hit among segments that are new."""

    hit: Hit
    digest: str
    """Of the content of its file, by which it is recognised when the file is indexed again."""


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    """What is searched for a request."""

    request: SearchRequest
    keys: tuple[PartitionKey, ...]
    query: Query
    k: int
    """Number of segments to find in each partition, and up to `overfetch` more."""
    overfetch: int
    chosen: Selection | None
    """By the condition."""
    allowed: NDArray[np.int64] | None
    """(n,) ids, ascending, of the only segments that may be found; None for all."""

    @property
    def where(self) -> Hashable:
        """Where it is searched, and for how many: requests for which this is the same can be searched together."""
        return self.keys, self.k, self.overfetch, None if self.allowed is None else id(self.allowed)

    def wider(self) -> _Asked:
        """Return the same for several times as many segments."""
        return replace(self, k=_CANDIDATES_PER_HIT * (self.k + self.overfetch), overfetch=0)


class Searcher:
    """One version of an index, ready to be searched. Loaded data are kept for the next search.

    Safe to use from several threads if the encoder is.

    Args:
        snapshot: the version.
        encoder: embeds queries.

    Attributes:
        snapshot: the same.
    """

    def __init__(self, snapshot: Snapshot, encoder: Encoder) -> None:
        self.snapshot = snapshot
        self._encoder = encoder
        self._partitions: dict[PartitionKey, PartitionSearch] = {}
        self._lock = Lock()

    @cached_property
    def _held(self) -> Mapping[Modality, int]:
        return {key.modality: count for key, count in self._segments.items() if not key.instruction}

    @cached_property
    def _segments(self) -> Mapping[PartitionKey, int]:
        return self.snapshot.counts().segments

    def prepare(self, other: Searcher) -> None:
        """Load what a searcher of another version has loaded. Raises like `PartitionSearch`."""
        self.snapshot.prepare(other.snapshot)
        for key, partition in tuple(other._partitions.items()):
            if key in self._segments:
                self._partition(key).prepare(partition)

    def targets(
        self, target: Target | Modality | tuple[Modality, ...], instruction: str | None = None
    ) -> tuple[PartitionKey, ...]:
        """Return the partitions of a target: those with the instruction, where the index has them.

        Of several modalities, those that the index does not hold are left out, as with "any".

        Raises:
            UsageError: the index holds no segments of the target modality, or of none of several.
        """
        held = self._held
        if not held:
            if writer := self.snapshot.store.writer():
                cause = f"the index is empty so far: it is being filled by {writer}"
                raise UsageError(cause, "Try again in a minute: a run commits its work every 30 seconds.")
            raise UsageError("the index is empty", "Add media with `wave-search index PATH`.")
        if target == "any":
            return tuple(self._key(modality, instruction) for modality in held)
        several = target if isinstance(target, tuple) else (target,)
        if found := [modality for modality in held if modality in several]:  # Modality is a StrEnum
            return tuple(self._key(modality, instruction) for modality in found)
        have = ", ".join(f"{modality} ({count:,} segments)" for modality, count in held.items())
        raise UsageError(f"the index holds no {' or '.join(several)}", f"It holds {have}.")

    def _key(self, modality: Modality, instruction: str | None) -> PartitionKey:
        # Text is embedded without an instruction.
        named = PartitionKey(modality, instruction or "") if modality is not Modality.TEXT else PartitionKey(modality)
        return named if named in self._segments else PartitionKey(modality)

    def search(
        self,
        request: SearchRequest,
        progress: ProgressCallback | None = None,
        warn: Callable[[Skipped], None] | None = None,
    ) -> list[Hit]:
        """Find the best hits. All checks that need no model are made before one is loaded.

        Args:
            request: the request. Results of several partitions are merged by z, because cosines of different modalities
                are not comparable.
            progress: called while segments are embedded again.
            warn: called with each file that could not be embedded again, and with each that is gone and would otherwise
                be among the results.

        Returns:
            At most k hits, best first, ties by path and time. Those of files that are gone come last.

        Raises:
            UsageError: the request is not valid for this index.
            MediaError: a file of the query cannot be read.
            ModelError: the model is needed and cannot be loaded, or is not the index's.
        """
        asked = self._asked(request)
        reranker = self._reranker(request, progress, warn)
        while True:
            found: list[Candidates] = []
            for key in asked.keys:
                found += self._partition(key).search([asked.query], asked.k, asked.overfetch, asked.allowed)
            hits = self._hits_from(asked, found, reranker, warn)
            if hits is not None:
                return hits
            asked = asked.wider()

    def search_all(
        self,
        requests: Sequence[SearchRequest],
        progress: ProgressCallback | None = None,
        warn: Callable[[Skipped], None] | None = None,
    ) -> list[Hits]:
        """Find the best hits of each request, as `search` does. `progress` is called after each, counted as files.

        Requests that search the same segments do so together: FAISS takes a fraction of the time for each.
        """
        found: list[Hits] = []
        with ItemProgress(len(requests), progress) as counter:
            for start in range(0, len(requests), _TOGETHER):
                some = [self._asked(request) for request in requests[start : start + _TOGETHER]]
                alike: dict[Hashable, list[_Asked]] = {}
                for asked in some:
                    alike.setdefault(asked.where, []).append(asked)
                candidates = {
                    (id(asked), key): best
                    for several in alike.values()
                    for key in several[0].keys
                    for asked, best in zip(several, self._together(key, several), strict=True)
                }
                for asked in some:
                    reranker = self._reranker(asked.request, None, warn)
                    own = [candidates[id(asked), key] for key in asked.keys]
                    hits = self._hits_from(asked, own, reranker, warn)
                    found.append(Hits(self.search(asked.request, warn=warn) if hits is None else hits))
                    counter.reach(len(found))
        return found

    def _together(self, key: PartitionKey, several: Sequence[_Asked]) -> list[Candidates]:
        """Search a partition for requests of the same `where`."""
        first = several[0]
        queries = [asked.query for asked in several]
        return self._partition(key).search(queries, first.k, first.overfetch, first.allowed)

    def _asked(self, request: SearchRequest) -> _Asked:
        """Find out what to search for a request. Raises like `search`."""
        keys = self.targets(request.target, request.instruction)
        if request.columns:
            spelled(self.snapshot, request.columns)  # before a model is loaded
        chosen = None
        if request.where is not None:
            chosen = self.snapshot.sql_filter().select(request.where, request.where_timeout_s)
        allowed = _allowed(chosen, request.among)
        if request.instruction is not None:
            self.snapshot.manifest.model.check_takes_instructions()
        request.check_effect(keys, query_takes_it=takes_instruction(request.terms))
        query = resolve(request, self.snapshot, self._encoder)
        k = max(request.k, request.rerank or 0)
        # Files of the best may be gone.
        overfetch = max(_MIN_CANDIDATES - k, (_CANDIDATES_PER_HIT - 1) * k if request.drops_segments else 0)
        return _Asked(request, keys, query, k, overfetch, chosen, allowed)

    def _reranker(
        self,
        request: SearchRequest,
        progress: ProgressCallback | None,
        warn: Callable[[Skipped], None] | None,
    ) -> Reranker | None:
        if request.rerank is None or request.instruction is None:
            return None
        again = Reembedder(self.snapshot, self._encoder)
        return Reranker(again, request.instruction, request.rerank, RerankProgress(progress, warn))

    def _hits_from(
        self,
        asked: _Asked,
        candidates: Sequence[Candidates],
        reranker: Reranker | None,
        warn: Callable[[Skipped], None] | None,
    ) -> list[Hit] | None:
        """Return the hits among the candidates of each partition, None if more of these are needed."""
        request = asked.request
        found = (matches(self.snapshot, some, asked.chosen, copies=request.copies) for some in candidates)
        best = ranked(chain.from_iterable(found), self.snapshot.paths_at)
        if reranker is not None:
            best = reranker.reorder(best, [self._partition(key) for key in asked.keys], asked.query)
        if request.min_z is not None:
            best = [match for match in best if match.z >= request.min_z]
        places: dict[int, FilePlace] = {}
        moments, left_out = self._grouped(best, asked.keys, request, places)
        if len(moments) < request.k and not all(one.is_all(asked.k, request.min_z) for one in candidates):
            return None
        if warn is not None:
            for path in left_out:
                warn(Skipped(path, "the file is gone", "If it was moved, see `wave-search relocate --help`."))
        hits = hits_of(self.snapshot, moments, places)
        if not request.columns:
            return hits
        paths = [places[moment.peak.file].path for moment in moments]
        return with_columns(self.snapshot, hits, paths, request.columns)

    def new_matches(self, request: SearchRequest, first_id: int) -> list[NewMatch]:
        """Find hits as `search` does, among segments with an id from `first_id` on."""
        hits = self.search(replace(request, among=frozenset(self.snapshot.segment_ids(first_id).tolist())))
        content_ids, _, _ = self.snapshot.spans(np.array([hit.segment_id for hit in hits], np.int64))
        contents = self.snapshot.contents([*dict.fromkeys(content_ids)])
        return [NewMatch(hit, contents[number].digest) for hit, number in zip(hits, content_ids, strict=True)]

    def score_file(self, request: SearchRequest, segment_id: int) -> list[SegmentScore]:
        """Score all segments of the file of a segment, whatever the target and the limits of the request are.

        Returns:
            One for each segment of the file in the partitions of the request's instruction, by modality and time.

        Raises:
            UsageError: the segment is not in the index, or the request is not valid for this index.
            MediaError: a file of the query cannot be read.
            ModelError: the model is needed and cannot be loaded, or is not the index's.
        """
        rows = self.snapshot.segments_of(content_of_segment(self.snapshot, segment_id))
        # Without the exclusion of what is the query itself: its score belongs to the curve.
        query = replace(resolve(request, self.snapshot, self._encoder), exclude_ids=frozenset())
        scores: list[SegmentScore] = []
        for key in self.targets("any", request.instruction):
            own = {
                row.segment_id: row
                for row in rows
                if (row.modality, row.instruction) == (key.modality, key.instruction)
            }
            if not own:
                continue
            (found,) = self._partition(key).search([query], len(own), 0, np.array(sorted(own), np.int64))
            columns = zip(found.ids.tolist(), found.scores.tolist(), found.z.tolist(), strict=True)
            of_key = [SegmentScore(segment_details(own[number]), min(score, 1.0), z) for number, score, z in columns]
            scores += sorted(of_key, key=lambda one: (one.segment.start_s or 0.0, one.segment.segment_id))
        return scores

    def _partition(self, key: PartitionKey) -> PartitionSearch:
        if key not in self._partitions:
            with self._lock:
                if key not in self._partitions:
                    self._partitions[key] = PartitionSearch(self.snapshot, key)
        return self._partitions[key]

    def _grouped(
        self, best: list[Match], keys: Sequence[PartitionKey], request: SearchRequest, places: dict[int, FilePlace]
    ) -> tuple[list[Moment], list[Path]]:
        """Return the results, and the files that would be among them if they were not gone; `places` as `_divided`."""
        moments = merge(best, request.min_z) if request.moments else map(Moment.of, best)
        if request.moments and len(keys) > 1:
            moments = iter(combine(moments))
        takes_any = request.dedupe is None and request.per_file is None
        there, gone = self._divided(moments, request.k if takes_any else None, places)
        ordered = [*there, *gone]
        thinning: dict[str, Any] = {"per_file": request.per_file}
        if request.dedupe is not None:
            peaks = [moment.peak for moment in ordered]
            thinning |= {"vectors": self._vectors(peaks, keys), "dedupe": request.dedupe}
        results = thin(ordered, request.k, **thinning)
        worst = min((moment.peak.z for moment in results), default=inf) if len(results) == request.k else inf
        shown = {id(moment) for moment in results}
        left_out = {
            places[moment.peak.file].path: None for moment in gone if moment.peak.z > worst and id(moment) not in shown
        }
        return results, [*map(as_path, left_out)]

    def _divided(
        self, moments: Iterator[Moment], k: int | None, places: dict[int, FilePlace]
    ) -> tuple[list[Moment], list[Moment]]:
        """Return moments of files that are there, and of those that are gone, as of a moved folder or unmounted disk.

        Args:
            moments: best first.
            k: number that is needed: if the first k are there, only these are returned. None for all.
            places: the files of the returned moments, by number, are added to it: to look at one takes as long as
                finding several candidates.
        """
        divided: tuple[list[Moment], list[Moment]] = ([], [])
        for part in (islice(moments, k), moments):
            listed = list(part)
            numbers = [*{moment.peak.file: None for moment in listed if moment.peak.file not in places}]
            for number, path in zip(numbers, self.snapshot.paths_at(numbers), strict=True):
                places[number] = FilePlace(path, is_gone(os.fsdecode(path)))
            for moment in listed:
                divided[places[moment.peak.file].is_gone].append(moment)
            if not divided[1]:
                break
        return divided

    def _vectors(self, found: Sequence[Match], keys: Sequence[PartitionKey]) -> dict[int, NDArray[np.float32]]:
        vectors_of: dict[int, NDArray[np.float32]] = {}
        for key in keys:
            ids = np.unique([match.segment_id for match in found if match.modality is key.modality]).astype(np.int64)
            vectors_of.update(zip(ids.tolist(), normalize(self.snapshot.vectors(key, ids)), strict=True))
        return vectors_of


def _allowed(chosen: Selection | None, among: frozenset[int] | None) -> NDArray[np.int64] | None:
    """Return the ids (n,), ascending, of the only segments that may be found; None if all may be."""
    if among is None:
        return None if chosen is None else chosen.segment_ids
    listed = np.array(sorted(among), np.int64)
    return listed if chosen is None else np.intersect1d(listed, chosen.segment_ids)
