"""From segments to hits: every file that has the content is one."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from wave_search.errors import UsageError
from wave_search.query.search import PartitionSearch
from wave_search.types import Hit, Modality, Space

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from wave_search.query.rerank import Reranker
    from wave_search.query.resolve import Query
    from wave_search.query.search import Candidates
    from wave_search.store import Snapshot

ANY = "any"
IDENTICAL = 0.999
"""A segment with at least this cosine is the query itself, but for rounding."""


class Searcher:
    """One version of an index, ready to be searched. What a search had to load serves the next one.

    Args:
        snapshot: the version.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._partitions: dict[Space, PartitionSearch] = {}

    @cached_property
    def _held(self) -> Mapping[Modality, int]:
        return {space.modality: count for space, count in self._segments.items() if not space.instruction}

    @cached_property
    def _segments(self) -> Mapping[Space, int]:
        return self.snapshot.counts().segments

    def targets(self, target: str, instruction: str | None = None) -> tuple[Space, ...]:
        """The partitions that "any" or the name of a modality means: with the instruction, where the index has them.

        Raises:
            UsageError: there is no such modality, or nothing of it in the index.
        """
        held = self._held
        if not held:
            raise UsageError("the index is empty", "Add media with `wave-search index PATH`.")
        if target == ANY:
            return tuple(self._space(modality, instruction) for modality in held)
        if target not in list(Modality):
            names = ", ".join(Modality)
            raise UsageError(f'there is no target "{target}"', f"Choose one of {names} and {ANY}.")
        if Modality(target) not in held:
            have = ", ".join(f"{modality} ({count:,} segments)" for modality, count in held.items())
            raise UsageError(f"there is no {target} in the index", f"It holds {have}.")
        return (self._space(Modality(target), instruction),)

    def _space(self, modality: Modality, instruction: str | None) -> Space:
        # Text has no other space than that without an instruction.
        named = Space(modality, instruction or "") if modality is not Modality.TEXT else Space(modality)
        return named if named in self._segments else Space(modality)

    def coverage(self, target: str, instruction: str) -> float:
        """How much of the target is embedded with an instruction, from 0 to 1. Raises like `targets`."""
        media = [space.modality for space in self.targets(target) if space.modality is not Modality.TEXT]
        named = sum(self._segments.get(Space(modality, instruction), 0) for modality in media)
        return named / max(1, sum(self._held[modality] for modality in media))

    def search(
        self,
        query: Query,
        target: str,
        k: int,
        min_score: float | None = None,
        *,
        instruction: str | None = None,
        reranker: Reranker | None = None,
    ) -> list[Hit]:
        """Find the best k hits.

        Args:
            query: what to look for, and what is no answer.
            target: a modality, or "any" for all, merged by z because raw scores of modalities do not compare. What is
                identical with the query comes first, although its z may be low: where all segments are much alike, or
                where there are few of them (among n, a z is at most sqrt(n - 1)).
            k: how many hits. A content that several files have is a hit for each.
            min_score: the least z.
            instruction: search what is embedded with it, where the index has that.
            reranker: puts the best hits into a new order.

        Returns:
            At most k hits, best first; equal ones by path and time.

        Raises:
            UsageError: nothing of the target is in the index.
        """
        spaces, order = self.targets(target, instruction), _order_of_all if target == ANY else _order_of_one
        depth = max(k, reranker.depth) if reranker else k
        hits = sorted((hit for space in spaces for hit in self._hits(space, query, depth)), key=order)
        if reranker:
            hits = reranker.reorder(hits, spaces, query.rows, order)
        hits = [hit for hit in hits if min_score is None or hit.z >= min_score]
        return [replace(hit, rank=rank) for rank, hit in enumerate(hits[:k], start=1)]

    def _hits(self, space: Space, query: Query, k: int) -> Iterator[Hit]:
        if space not in self._partitions:
            self._partitions[space] = PartitionSearch(self.snapshot, space)
        found = self._partitions[space].search(query.rows, k + len(query.without), query.kinds)
        return assemble(self.snapshot, found.except_for(query.without, k))


def _order_of_one(hit: Hit) -> tuple[float, Path, float]:
    return -hit.score, hit.path, hit.start_s or 0.0


def _order_of_all(hit: Hit) -> tuple[bool, float, float, Path, float]:
    return hit.score < IDENTICAL, -hit.z, *_order_of_one(hit)


def assemble(snapshot: Snapshot, candidates: Candidates) -> Iterator[Hit]:
    """Describe each candidate once for every file that has its content. Ranks are left at 0."""
    segments = snapshot.segment_rows(candidates.ids)
    content_ids = [segment.content_id for segment in segments]
    durations_s, paths = snapshot.durations_s(content_ids), snapshot.paths_of(content_ids)
    for segment, duration_s, score, z in zip(segments, durations_s, candidates.scores, candidates.z, strict=True):
        for path in paths[segment.content_id]:
            yield Hit(
                rank=0,
                score=min(float(score), 1.0),  # float16 rounds some norms up
                z=float(z),
                path=Path(os.fsdecode(path)),
                modality=segment.modality,
                start_s=segment.start_s,
                stop_s=segment.stop_s,
                segment_id=segment.segment_id,
                duration_s=duration_s,
                text=segment.text,
            )
