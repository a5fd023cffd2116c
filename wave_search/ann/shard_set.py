"""The shards of a partition, searched as one: lists are chosen once, and the best candidates of all are re-scored."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from wave_search.ann.exact import best_of, check_queries
from wave_search.ann.refined import Refined
from wave_search.ann.shard import Question

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from wave_search.ann.codebook import Codebook
    from wave_search.ann.shard import Codes, Shard

_JOINED_VECTORS = 1_000_000
Number = TypeVar("Number", bound=np.generic)
TUNED_K = 10
"""Effort is measured in what it takes to find so many."""
_FIXED_COST = 270_000
_CODE_COST = 12
"""Costs in dimensions of a vector that is fetched and scored, 0.28 ns each: of a search by codes at all, and of one
code (128 sub-quantisers; one thread, vectors in memory)."""


@dataclass(frozen=True, slots=True)
class SearchParams:
    """How widely to search for the best `TUNED_K`."""

    nprobe: int
    """Lists to look into."""
    candidates: int
    """Of those found there by their codes, how many are scored exactly."""

    @classmethod
    def by_rule(cls, lists: int) -> SearchParams:
        """Enough for recall@10 of 0.98 on embedding-like vectors, for queries of another modality too.

        That is half of 256 lists, a third of 512. To be used where nothing was measured.
        """
        return cls(math.ceil(8 * math.sqrt(lists)), 200)

    def for_k(self, k: int) -> SearchParams:
        """What the best k take: more lists hold them, and relatively fewer candidates are needed."""
        if k <= TUNED_K:
            return self
        return SearchParams(math.ceil(self.nprobe * (k / TUNED_K) ** (1 / 3)), self.candidates + 4 * (k - TUNED_K))


class Shards:
    """Open shards of one partition. Safe to search from several threads.

    Args:
        codebook: that of all of them.
        shards: at least one, in the order of their ids. Their codes are taken over.
        live_ids: ascending; which of their vectors may be found. Others were deleted since.

    Attributes:
        codebook: the same.
        count: how many vectors may be found.
    """

    def __init__(self, codebook: Codebook, shards: Sequence[Shard], live_ids: NDArray[np.int64]) -> None:
        self.codebook = codebook
        self._shards = list(shards)
        self._offsets = np.cumsum([0, *map(len, shards)])
        self._codes = _joined_codes(shards)
        self._refined = Refined(codebook, shards[0]) if len(shards) == 1 else None
        masks = [_mask(len(shard), _places(shard, live_ids)[0]) for shard in shards]
        self.count = sum(int(mask.sum()) for mask in masks)
        self._live = None if self.count == len(self) else np.concatenate(masks)

    def __len__(self) -> int:
        return int(self._offsets[-1])

    def search(
        self,
        queries: NDArray[np.float32],
        k: int,
        effort: SearchParams,
        allowed_ids: NDArray[np.int64] | None = None,
        overfetch: int = 0,
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Find the best k, nearly always all of the true ones; their scores are exact.

        Args:
            queries: (q, dim) or (dim,) of unit norm. Several rows are one query: an item's score is its best over them.
            k: how many.
            effort: how widely to search. Where few may be found, all of them are scored, or more lists are looked into.
            allowed_ids: (a,) ascending ids; nothing else is found. May hold ids that are not here. None for no limit.
            overfetch: so many more, as far as the search for the best k has met them.

        Returns:
            Scores and ids, best first, equal scores by id: all that may be found, or k to k + spare.

        Raises:
            ValueError: see `exact_search`.
        """
        rows = check_queries(queries, self.codebook.dim, k)
        places = None if allowed_ids is None else self._places(allowed_ids)
        return self._best(rows, (k, k + overfetch), effort.for_k(k), places)

    def _best(
        self, rows: NDArray[np.float32], best: tuple[int, int], effort: SearchParams, places: NDArray[np.int64] | None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The best of those at `places`, None for any: of candidates, or of all if that costs less than to find some.

        `best` is how many have to be found, and up to how many are welcome.
        """
        count = self.count if places is None else len(places)
        is_filtered = places is not None or self._live is not None
        # A filter thins the lists, so that more of them hold the best, and those that are farther from the query, which
        # codes tell apart less well. And the lists must hold as many as are wanted.
        thinned = 2 if 2 * count < len(self) else 1
        lists, wanted = self.codebook.lists, min(thinned * effort.candidates, count)
        nprobe = math.ceil(max(effort.nprobe * len(self), 4 * lists * wanted) / max(count, 1))
        while True:
            nprobe = min(nprobe, lists)
            # faiss asks the filter for each code, which takes as long again.
            asking = len(self) * nprobe / lists * _CODE_COST if is_filtered else 0
            if count * self.codebook.dim <= (self.cost(SearchParams(nprobe, wanted)) + asking) * len(rows):
                return self._scored(rows, self._living() if places is None else places, best[1])
            among = self._live if places is None else _mask(len(self), places)
            if self._refined is not None and len(rows) == 1:
                found = self._refined.best(rows, nprobe, wanted, best[1], among)
                if found is not None:
                    return self._ordered(*found)
            nearest = self.nearest(Question.of(self.codebook, rows, nprobe), wanted, among)
            positions = np.unique(nearest[nearest >= 0])
            if len(positions) >= min(best[0], count) or nprobe == lists:
                return self._scored(rows, positions, best[1])
            nprobe = lists

    def _scored(
        self, rows: NDArray[np.float32], positions: NDArray[np.int64], k: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Scores and ids of the best of some ascending positions."""
        return best_of(_Chosen(self, positions), self.ids_at(positions), rows, k)

    def _ordered(
        self, scores: NDArray[np.float32], positions: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Scores and ids of positions in the only shard, best first, equal scores by id."""
        ids = self._shards[0].ids[positions]
        order = np.lexsort((ids, -scores))
        return scores[order], ids[order]

    def _living(self) -> NDArray[np.int64]:
        return np.arange(len(self)) if self._live is None else np.flatnonzero(self._live)

    def _places(self, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """Positions of those of some ascending ids that may be found."""
        begins = self._offsets[:-1]
        places = _joined([_places(shard, ids)[0] + start for shard, start in zip(self._shards, begins, strict=True)])
        return places if self._live is None else places[self._live[places]]

    def cost(self, effort: SearchParams) -> float:
        """What a query row costs, in dimensions of vectors scored exactly."""
        codes = len(self) * effort.nprobe / self.codebook.lists
        return effort.candidates * self.codebook.dim + codes * _CODE_COST + _FIXED_COST

    def nearest(self, question: Question, wanted: int, among: NDArray[np.bool_] | None = None) -> NDArray[np.int64]:
        """Positions of the candidates for each row, (q, wanted), nearest first; -1 where there are not so many.

        Args:
            question: for what and where to look.
            wanted: how many for each row.
            among: (n,) which may be found; None for those that live.
        """
        mask = self._live if among is None else among
        found, begin = [], 0
        for codes in self._codes:
            stop = begin + len(codes)
            distances, at = codes.nearest(question, wanted, None if mask is None else mask[begin:stop])
            if len(self._codes) == 1:
                return at
            found.append((np.where(at >= 0, distances, np.inf), np.where(at >= 0, at + begin, at)))
            begin = stop
        distances, positions = (np.concatenate(parts, axis=1) for parts in zip(*found, strict=True))
        order = np.argsort(distances, axis=1, kind="stable")[:, :wanted]
        return np.take_along_axis(positions, order, axis=1)

    def ids_at(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Segment ids of ascending positions."""
        return _joined([shard.ids[at] for shard, at in self._split(positions)])

    def vectors_at(self, positions: NDArray[np.int64]) -> NDArray[np.float16]:
        """(n, dim) vectors of ascending positions."""
        return _joined([shard.vectors[at] for shard, at in self._split(positions)])

    def vectors_of(self, ids: NDArray[np.int64]) -> tuple[NDArray[np.float16], NDArray[np.bool_]]:
        """Vectors of those of some ascending ids that are here, and which these are (n,)."""
        here = np.zeros(len(ids), np.bool_)
        parts = [np.empty((0, self.codebook.dim), np.float16)]
        for shard in self._shards:
            at, hit = _places(shard, ids)
            parts.append(shard.vectors[at])
            here |= hit
        return np.concatenate(parts), here

    def live_batches(self, rows: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float16]]]:
        """Ids (b,) and vectors (b, dim) of all that may be found."""
        begin = 0
        for shard in self._shards:
            for ids, vectors in shard.batches(rows):
                live = slice(None) if self._live is None else self._live[begin : begin + len(ids)]
                yield ids[live], vectors[live]
                begin += len(ids)

    def _split(self, positions: NDArray[np.int64]) -> Iterator[tuple[Shard, NDArray[np.int64]]]:
        if len(self._shards) == 1:
            yield self._shards[0], positions
            return
        ends = np.searchsorted(positions, self._offsets)
        for i, shard in enumerate(self._shards):
            yield shard, positions[ends[i] : ends[i + 1]] - self._offsets[i]


@dataclass(frozen=True, slots=True)
class _Chosen:
    """The vectors of some ascending positions, fetched when they are asked for."""

    shards: Shards
    positions: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, part: slice) -> NDArray[np.float16]:
        return self.shards.vectors_at(self.positions[part])


def _joined_codes(shards: Sequence[Shard]) -> list[Codes]:
    """Codes of small shards together, because each call of faiss costs what a search in a small shard does."""
    joined: list[Codes] = []
    for shard in shards:
        if joined and len(joined[-1]) + len(shard) <= _JOINED_VECTORS:
            joined[-1].take_over(shard.codes)
        else:
            joined.append(shard.codes)
    return joined


def _places(shard: Shard, ids: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Where ascending ids are in a shard, and which of them are."""
    here = np.zeros(len(ids), np.bool_)
    low, high = np.searchsorted(ids, (shard.ids[0], shard.ids[-1] + 1))
    at = np.searchsorted(shard.ids, ids[low:high])
    here[low:high] = shard.ids[at] == ids[low:high]
    return at[here[low:high]], here


def _mask(size: int, places: NDArray[np.int64]) -> NDArray[np.bool_]:
    mask = np.zeros(size, np.bool_)
    mask[places] = True
    return mask


def _joined(parts: list[NDArray[Number]]) -> NDArray[Number]:
    """One after another, without a copy of a single one."""
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
