"""The shards of a partition, searched as one: lists are chosen once, and the best candidates overall are re-scored."""

from __future__ import annotations

import math
from copy import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from wave_search.ann.exact import best_of_each, check_queries
from wave_search.ann.inverted_lists import ProbedQuery, RefinedLists, SearchParams
from wave_search.ann.shard import Shard

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from wave_search.ann.codebook import Codebook
    from wave_search.ann.inverted_lists import InvertedLists

_JOINED_VECTORS = 1_000_000
_BLOCK_ROWS = 4_096
_COMPARED = 256
"""Number of vectors that tell how much of a vector the codebook usually keeps."""
_MIN_ENERGY = 0.9
"""Minimum share of that which it must keep of vectors added later. Of vectors like those that it was trained on, it
keeps as much; of those of another model or of a few other subjects it may keep nearly nothing, and codes find at most
half of them."""
Number = TypeVar("Number", bound=np.generic)
_FIXED_COST = 270_000
_CODE_COST = 12
"""Fixed cost of a search by codes, and cost per code (128 sub-quantisers; one thread, vectors in memory). The unit is
one dimension of a vector that is fetched and scored, 0.28 ns."""


class ShardSet:
    """Open shards of one partition. Safe to search from several threads.

    Args:
        codebook: the codebook that they share.
        shards: at least one, in the order of their ids. Their lists are moved into this set.
        live_ids: ascending ids of the vectors that may be found. The others have been deleted since.

    Attributes:
        codebook: the same.
        count: number of vectors that may be found.
    """

    def __init__(self, codebook: Codebook, shards: Sequence[Shard], live_ids: NDArray[np.int64]) -> None:
        self.codebook = codebook
        self._shards = list(shards)
        self._offsets = np.cumsum([0, *map(len, shards)])
        self._measured = len(self)
        self._lists = _joined_lists(shards)
        only = shards[0] if len(shards) == 1 else None
        self._refined = RefinedLists(codebook, only.lists, only.vectors) if only else None
        masks = [_mask(len(shard), _positions(shard, live_ids)[0]) for shard in shards]
        self.count = sum(int(mask.sum()) for mask in masks)
        self._live = None if self.count == len(self) else np.concatenate(masks)

    def __len__(self) -> int:
        return int(self._offsets[-1])

    def extended(self, ids: NDArray[np.int64], vectors: NDArray[np.float16]) -> ShardSet | None:
        """Return these shards with further segments, encoded in memory. Searches of this set may go on meanwhile.

        Args:
            ids: (n,) ascending, in none of the shards.
            vectors: (n, dim), n >= 1.

        Returns:
            None if these are more than are in the shards, for which the search parameters were measured, or if the
            codebook keeps too little of them for codes to find them.
        """
        if len(ids) > len(self):
            return None
        rotated = np.concatenate(
            [
                self.codebook.rotate(vectors[start : start + _BLOCK_ROWS].astype(np.float32))
                for start in range(0, len(ids), _BLOCK_ROWS)
            ]
        )
        some = np.unique(np.linspace(0, len(self) - 1, _COMPARED).astype(np.int64))
        usual = self.codebook.rotate(self.vectors_at(some).astype(np.float32))
        if np.vdot(rotated, rotated) / len(ids) < _MIN_ENERGY * np.vdot(usual, usual) / len(some):
            return None
        more = copy(self)
        more._lists = [*self._lists[:-1], self._lists[-1].extended(rotated)]
        more._shards = [*self._shards, Shard(more._lists[-1], ids, vectors, None)]
        more._offsets = np.append(self._offsets, len(self) + len(ids))
        more._refined = None
        more._live = None if self._live is None else np.append(self._live, np.ones(len(ids), np.bool_))
        more.count = self.count + len(ids)
        return more

    def search(
        self,
        queries: NDArray[np.float32],
        k: int,
        params: SearchParams,
        allowed_ids: NDArray[np.int64] | None = None,
        overfetch: int = 0,
    ) -> list[tuple[NDArray[np.float32], NDArray[np.int64]]]:
        """Find the best k for each of several queries with the target recall. Scores are exact.

        Args:
            queries: (q, dim) or (dim,) of unit norm, which have nothing to do with each other.
            k: number of results of each.
            params: search parameters. If few segments may be found, all of them are scored, or the search is widened.
            allowed_ids: (a,) ascending ids to restrict the results to. May contain ids that are not here. None for no
                restriction.
            overfetch: number of further results to return, as far as the search for the best k finds them.

        Returns:
            Scores and ids for each query, best first, equal scores by id: k to k + overfetch, or all that may be found
            if these are fewer.

        Raises:
            ValueError: see `exact_search`.
        """
        rows = check_queries(queries, self.codebook.dim, k)
        allowed = None if allowed_ids is None else self._allowed(allowed_ids)
        count = self.count if allowed is None else len(allowed)
        is_filtered = allowed is not None or self._live is not None
        wide = self._widened(params.for_k(k), count)
        if self._exact_is_cheaper(wide, count, is_filtered=is_filtered):
            positions = self._all_live() if allowed is None else allowed
            return best_of_each(_VectorsAt(self, positions), self.ids_at(positions), rows, k + overfetch)
        mask = self._live if allowed is None else _mask(len(self), allowed)
        best: dict[int, tuple[NDArray[np.float32], NDArray[np.int64]]] = {}
        if self._refined is not None:
            scores, found, sure = self._refined.best(rows, wide, k + overfetch, mask)
            best = {number: self._by_id(scores[number], found[number]) for number in np.flatnonzero(sure).tolist()}
        while left := [number for number in range(len(rows)) if number not in best]:
            nearest = self.nearest(ProbedQuery.of(self.codebook, rows[left], wide.nprobe), wide.refine_k, mask)
            for number, own in zip(left, nearest, strict=True):
                positions = np.unique(own[own >= 0])
                if len(positions) >= min(k, count) or wide.nprobe == self.codebook.lists:
                    # What is a candidate of one query is not scored for the others.
                    at, row = _VectorsAt(self, positions), rows[number : number + 1]
                    (best[number],) = best_of_each(at, self.ids_at(positions), row, k + overfetch)
            wide = replace(wide, nprobe=self.codebook.lists)
        return [best[number] for number in range(len(rows))]

    def _widened(self, params: SearchParams, count: int) -> SearchParams:
        """Return search parameters for a search in which only `count` vectors may be found.

        A filter thins out the lists. The best vectors are then spread over more of them and farther from the query,
        where codes distinguish vectors less well, and the probed lists must hold enough candidates to score.
        """
        thinned = 2 if 2 * count < len(self) else 1
        # The parameters were measured without what `extended` has added.
        wanted = math.ceil(thinned * params.refine_k * len(self) / self._measured)
        lists, refine_k = self.codebook.lists, min(wanted, count)
        nprobe = math.ceil(max(params.nprobe * len(self), 4 * lists * refine_k) / max(count, 1))
        return SearchParams(min(nprobe, lists), refine_k)

    def _exact_is_cheaper(self, params: SearchParams, count: int, *, is_filtered: bool) -> bool:
        # faiss checks a filter for each code, which doubles the cost.
        filter_cost = len(self) * params.nprobe / self.codebook.lists * _CODE_COST if is_filtered else 0
        return count * self.codebook.dim <= self.cost(params) + filter_cost

    def cost(self, params: SearchParams) -> float:
        """Return the cost of one query vector, in dimensions of vectors scored exactly."""
        codes = len(self) * params.nprobe / self.codebook.lists
        return params.refine_k * self.codebook.dim + codes * _CODE_COST + _FIXED_COST

    def _by_id(
        self, scores: NDArray[np.float32], positions: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return scores and ids of positions in the only shard, best first, equal scores by id."""
        ids = self._shards[0].ids[positions]
        order = np.lexsort((ids, -scores))
        return scores[order], ids[order]

    def _all_live(self) -> NDArray[np.int64]:
        return np.arange(len(self)) if self._live is None else np.flatnonzero(self._live)

    def _allowed(self, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the positions of those ascending ids that may be found."""
        begins = self._offsets[:-1]
        positions = _joined(
            [_positions(shard, ids)[0] + begin for shard, begin in zip(self._shards, begins, strict=True)]
        )
        return positions if self._live is None else positions[self._live[positions]]

    def nearest(self, query: ProbedQuery, count: int, mask: NDArray[np.bool_] | None = None) -> NDArray[np.int64]:
        """Find candidates by their codes.

        Args:
            query: with the lists to search.
            count: candidates for each vector of the query.
            mask: (n,) whether a position may be found; None for all that are not deleted.

        Returns:
            Positions, (q, count), nearest first; -1 where there are fewer.
        """
        mask = self._live if mask is None else mask
        found, begin = [], 0
        for lists in self._lists:
            stop = begin + len(lists)
            distances, at = lists.nearest(query, count, None if mask is None else mask[begin:stop])
            if len(self._lists) == 1:
                return at
            found.append((np.where(at >= 0, distances, np.inf), np.where(at >= 0, at + begin, at)))
            begin = stop
        distances, positions = (np.concatenate(parts, axis=1) for parts in zip(*found, strict=True))
        order = np.argsort(distances, axis=1, kind="stable")[:, :count]
        return np.take_along_axis(positions, order, axis=1)

    def ids_at(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the segment ids of ascending positions."""
        return _joined([shard.ids[at] for shard, at in self._by_shard(positions)])

    def vectors_at(self, positions: NDArray[np.int64]) -> NDArray[np.float16]:
        """Return the vectors (n, dim) of ascending positions."""
        return _joined([shard.vectors[at] for shard, at in self._by_shard(positions)])

    def vectors_of(self, ids: NDArray[np.int64]) -> tuple[NDArray[np.float16], NDArray[np.bool_]]:
        """Return the vectors of those ascending ids that are here, and a mask (n,) of these ids."""
        found, present = np.empty((len(ids), self.codebook.dim), np.float16), np.zeros(len(ids), np.bool_)
        for shard in self._shards:
            at, in_shard = _positions(shard, ids)
            found[in_shard] = shard.vectors[at]
            present |= in_shard
        return found[present], present

    def live_batches(self, rows: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float16]]]:
        """Read ids (b,) and vectors (b, dim) of all segments that may be found. Raises like `Shard.batches`."""
        begin = 0
        for shard in self._shards:
            for ids, vectors in shard.batches(rows):
                live = slice(None) if self._live is None else self._live[begin : begin + len(ids)]
                yield ids[live], vectors[live]
                begin += len(ids)

    def _by_shard(self, positions: NDArray[np.int64]) -> Iterator[tuple[Shard, NDArray[np.int64]]]:
        if len(self._shards) == 1:
            yield self._shards[0], positions
            return
        ends = np.searchsorted(positions, self._offsets)
        for i, shard in enumerate(self._shards):
            yield shard, positions[ends[i] : ends[i + 1]] - self._offsets[i]


@dataclass(frozen=True, slots=True)
class _VectorsAt:
    """The vectors at some ascending positions, fetched by slices."""

    shards: ShardSet
    positions: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, part: slice) -> NDArray[np.float16]:
        return self.shards.vectors_at(self.positions[part])


def _joined_lists(shards: Sequence[Shard]) -> list[InvertedLists]:
    """Merge the lists of small shards, because each call of faiss costs as much as a search of a small shard."""
    joined: list[InvertedLists] = []
    for shard in shards:
        if joined and len(joined[-1]) + len(shard) <= _JOINED_VECTORS:
            joined[-1].take_over(shard.lists)
        else:
            joined.append(shard.lists)
    return joined


def _positions(shard: Shard, ids: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Return positions of ascending ids in a shard, and a mask of those that are in it."""
    present = np.zeros(len(ids), np.bool_)
    low, high = np.searchsorted(ids, (shard.ids[0], shard.ids[-1] + 1))
    at = np.searchsorted(shard.ids, ids[low:high])
    present[low:high] = shard.ids[at] == ids[low:high]
    return at[present[low:high]], present


def _mask(size: int, positions: NDArray[np.int64]) -> NDArray[np.bool_]:
    mask = np.zeros(size, np.bool_)
    mask[positions] = True
    return mask


def _joined(parts: list[NDArray[Number]]) -> NDArray[Number]:
    """Concatenate arrays; a single one is not copied."""
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
