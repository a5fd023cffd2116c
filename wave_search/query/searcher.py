"""From segments to hits: every file that has the content is one."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from wave_search.errors import UsageError
from wave_search.query import fusion
from wave_search.query.matches import Match, Moment, hits_of, matches
from wave_search.query.moments import merge, ranked, thin
from wave_search.query.partition import PartitionSearch
from wave_search.types import OF_HITS, Hit, Modality, PartitionKey

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from wave_search.query.options import ResultOptions
    from wave_search.query.partition import Candidates
    from wave_search.query.rerank import Reranker
    from wave_search.query.resolve import Query
    from wave_search.store import Selection, Snapshot

ANY = "any"
_MIN_CANDIDATES = 64
_CANDIDATES_PER_HIT = 4
"""Segments that are looked at for each hit that is wanted, because several may be one moment; more if these are few."""


class Searcher:
    """One version of an index, ready to be searched. What a search had to load serves the next one.

    Args:
        snapshot: the version.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._partitions: dict[PartitionKey, PartitionSearch] = {}

    @cached_property
    def _held(self) -> Mapping[Modality, int]:
        return {key.modality: count for key, count in self._segments.items() if not key.instruction}

    @cached_property
    def _segments(self) -> Mapping[PartitionKey, int]:
        return self.snapshot.counts().segments

    def targets(self, target: str, instruction: str | None = None) -> tuple[PartitionKey, ...]:
        """The partitions that "any" or the name of a modality means: with the instruction, where the index has them.

        Raises:
            UsageError: there is no such modality, or nothing of it in the index.
        """
        held = self._held
        if not held:
            raise UsageError("the index is empty", "Add media with `wave-search index PATH`.")
        if target == ANY:
            return tuple(self._space(modality, instruction) for modality in held)
        if target in held:  # a modality is equal to its name
            return (self._space(Modality(target), instruction),)
        if target not in list(Modality):
            names = ", ".join(Modality)
            raise UsageError(f'there is no target "{target}"', f"Choose one of {names} and {ANY}.")
        have = ", ".join(f"{modality} ({count:,} segments)" for modality, count in held.items())
        raise UsageError(f"there is no {target} in the index", f"It holds {have}.")

    def _space(self, modality: Modality, instruction: str | None) -> PartitionKey:
        # Text has no other space than that without an instruction.
        named = PartitionKey(modality, instruction or "") if modality is not Modality.TEXT else PartitionKey(modality)
        return named if named in self._segments else PartitionKey(modality)

    def coverage(self, target: str, instruction: str) -> float:
        """How much of the target is embedded with an instruction, from 0 to 1. Raises like `targets`."""
        media = [key.modality for key in self.targets(target) if key.modality is not Modality.TEXT]
        named = sum(self._segments.get(PartitionKey(modality, instruction), 0) for modality in media)
        return named / max(1, sum(self._held[modality] for modality in media))

    def check(
        self, target: str, options: ResultOptions, instruction: str | None = None
    ) -> tuple[tuple[PartitionKey, ...], Selection | None]:
        """Find the partitions to search, and what of them; None for all.

        Raises:
            UsageError: nothing of the target is in the index, or the condition or a column makes no sense.
        """
        keys = self.targets(target, instruction)
        if options.columns:
            self.snapshot.library().check(_of_library(options.columns))
        return keys, None if options.where is None else self.snapshot.library().select(options.where)

    def search(
        self,
        query: Query,
        keys: Sequence[PartitionKey],
        chosen: Selection | None,
        options: ResultOptions,
        reranker: Reranker | None = None,
    ) -> list[Hit]:
        """Find the best hits.

        Args:
            query: what to look for, and what is no answer.
            keys: what to search, merged by z because raw scores of modalities do not compare. What is identical with
                the query comes first, although its z may be low: where all segments are much alike, or where there are
                few of them (among n, a z is at most sqrt(n - 1)).
            chosen: what of it, as `check` finds both.
            options: which hits, and what to say of them. A content that several files have is a hit for each.
            reranker: puts the best hits into a new order.

        Returns:
            At most k hits, best first; equal ones by path and time.
        """
        k = max(options.k, reranker.depth if reranker else 0)
        overfetch = max(_MIN_CANDIDATES - k, (_CANDIDATES_PER_HIT - 1) * k) if options.thins else 0
        while True:
            found = [self._candidates(key, query, k, overfetch, _ids(chosen)) for key in keys]
            every = (match for some in found for match in matches(self.snapshot, some, chosen))
            best = ranked(every, self.snapshot.paths_at)
            if reranker:
                best = reranker.reorder(best, [self._partitions[key] for key in keys], query)
            best = [match for match in best if options.min_z is None or match.z >= options.min_z]
            moments = self._shaped(best, keys, options)
            if len(moments) == options.k or all(some.is_all(k, options.min_z) for some in found):
                return self._described(moments, options.columns)
            k, overfetch = _CANDIDATES_PER_HIT * (k + overfetch), 0

    def _candidates(
        self, key: PartitionKey, query: Query, k: int, overfetch: int, allowed_ids: NDArray[np.int64] | None
    ) -> Candidates:
        if key not in self._partitions:
            self._partitions[key] = PartitionSearch(self.snapshot, key)
        found = fusion.search(self._partitions[key], query, k + len(query.exclude_ids), allowed_ids, overfetch)
        return found.except_for(query.exclude_ids, k + overfetch) if query.exclude_ids else found

    def _shaped(self, best: list[Match], keys: Sequence[PartitionKey], options: ResultOptions) -> list[Moment]:
        moments = merge(best, options.min_z) if options.moments else map(Moment.of, best)
        if options.dedupe is None:
            return thin(moments, options.k, per_file=options.per_file)
        shaped = list(moments)
        vectors = self._vectors([moment.peak for moment in shaped], keys)
        return thin(shaped, options.k, per_file=options.per_file, vectors=vectors, dedupe=options.dedupe)

    def _vectors(self, found: Sequence[Match], keys: Sequence[PartitionKey]) -> dict[int, NDArray[np.float32]]:
        vectors_of: dict[int, NDArray[np.float32]] = {}
        for key in keys:
            ids = np.unique([match.segment_id for match in found if match.modality is key.modality]).astype(np.int64)
            vectors = self.snapshot.vectors(key, ids).astype(np.float32)
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            vectors_of.update(zip(ids.tolist(), vectors, strict=True))
        return vectors_of

    def _described(self, moments: Sequence[Moment], columns: Sequence[str]) -> list[Hit]:
        hits = hits_of(self.snapshot, moments)
        if not columns:
            return hits
        paths = self.snapshot.paths_at([moment.peak.file for moment in moments])
        keys = [(moment.peak.segment_id, path) for moment, path in zip(moments, paths, strict=True)]
        said = self.snapshot.library().values(_of_library(columns), keys)
        return [
            replace(hit, columns={name: getattr(hit, name) if name in OF_HITS else values[name] for name in columns})
            for hit, values in zip(hits, said, strict=True)
        ]


def _ids(chosen: Selection | None) -> NDArray[np.int64] | None:
    return None if chosen is None else chosen.segment_ids


def _of_library(columns: Iterable[str]) -> list[str]:
    return [name for name in columns if name not in OF_HITS]
