"""From query vectors to the best segments of a partition: shards for what they cover, exact search for the rest."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from wave_search.ann import BACKGROUND_SIZE, Shard, draw, exact_search, score
from wave_search.query.calibrate import Background

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from numpy.typing import NDArray

    from wave_search.store import Snapshot
    from wave_search.types import Modality, Space


@dataclass(frozen=True, slots=True)
class Candidates:
    """The best segments of a partition for one query, best first."""

    ids: NDArray[np.int64]
    """(n,) segment ids."""
    scores: NDArray[np.float32]
    """(n,) cosine similarities, exact."""
    z: NDArray[np.float32]
    """(n,) the same in standard deviations above the background."""

    def except_for(self, ids: Collection[int], k: int) -> Candidates:
        """The best k that are not among `ids`."""
        kept = np.flatnonzero(~np.isin(self.ids, list(ids)))[:k]
        return Candidates(self.ids[kept], self.scores[kept], self.z[kept])


class PartitionSearch:
    """The segments of one space in one version of the index, ready to be searched. Loads what it needs once.

    Args:
        snapshot: the version.
        space: which partition.
    """

    def __init__(self, snapshot: Snapshot, space: Space) -> None:
        self._snapshot = snapshot
        self._space = space
        self.ids = snapshot.partition(space).ids
        """(n,) ascending."""

    @cached_property
    def _shards(self) -> list[tuple[Shard, NDArray[np.bool_] | None]]:
        dim = self._snapshot.manifest.model.dim
        refs = self._snapshot.shards(self._space)
        shards = [Shard.open(self._snapshot.shard_dir(ref), dim) for ref in refs]
        return [(shard, shard.live_mask(self.ids)) for shard in shards]

    @cached_property
    def _uncovered(self) -> tuple[NDArray[np.float16], NDArray[np.int64]]:
        covered = np.zeros(len(self.ids), bool)
        for ref in self._snapshot.shards(self._space):
            covered |= (self.ids >= ref.first_id) & (self.ids < ref.stop_id)
        ids = self.ids[~covered]
        return self._snapshot.vectors(self._space, ids), ids

    @cached_property
    def _sample(self) -> NDArray[np.float16]:
        return self._snapshot.vectors(self._space, draw(self.ids, BACKGROUND_SIZE))

    def search(
        self,
        queries: NDArray[np.float32],
        k: int,
        kinds: Mapping[Modality, float] | None = None,
        allowed: NDArray[np.int64] | None = None,
    ) -> Candidates:
        """Find the best k segments.

        Args:
            queries: (q, dim) of unit norm, together one query: a segment's score is its best over the rows.
            k: how many.
            kinds: what the query consists of, with shares that add up to 1; None if that is not known.
            allowed: (a,) ascending segment ids; nothing else is found. May hold ids of other partitions. None for no
                limit.
        """
        vectors, ids = self._uncovered
        shards = self._shards
        if allowed is not None:
            kept = np.isin(ids, allowed, assume_unique=True)
            vectors, ids = vectors[kept], ids[kept]
            live = np.intersect1d(self.ids, allowed, assume_unique=True)
            shards = [(shard, shard.live_mask(live)) for shard, _ in shards]
        found = [exact_search(vectors, ids, queries, k)]
        found += [shard.search(queries, k, among) for shard, among in shards]
        scores = np.concatenate([scores for scores, _ in found])
        ids = np.concatenate([ids for _, ids in found])
        best = np.lexsort((ids, -scores))[:k]
        background = Background.of(score(self._sample, queries), self._typical_std(kinds))
        return Candidates(ids[best], scores[best], background.z(scores[best]))

    def _typical_std(self, kinds: Mapping[Modality, float] | None) -> float | None:
        """Of one kind its own; of several in between, as the variance of a sum of what has nothing in common."""
        variance = 0.0
        for kind, share in (kinds or {}).items():
            std = self._snapshot.spread(self._space, kind)
            if std is None:
                return None
            variance += share * std**2
        return math.sqrt(variance) or None
