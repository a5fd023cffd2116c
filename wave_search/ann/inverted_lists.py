"""Inverted lists of codes in memory, and their search: candidates by codes, scores by vectors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from wave_search.ann.exact import in_place
from wave_search.ann.faiss_setup import one_thread

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wave_search.ann.codebook import Codebook

TUNED_K = 10
"""Search parameters are tuned for the recall of the best 10."""


@dataclass(frozen=True, slots=True)
class SearchParams:
    """Search parameters of the lists for the best `TUNED_K`, as in FAISS."""

    nprobe: int
    """Number of inverted lists that are searched."""
    refine_k: int
    """Number of the best candidates by their codes that are scored exactly."""

    @classmethod
    def by_rule(cls, lists: int) -> SearchParams:
        """Return parameters that reach a recall@10 of 0.98 on embedding-like vectors, for use before a measurement.

        They suffice for queries of another modality, too, and probe half of 256 lists, or a third of 512.
        """
        return cls(math.ceil(8 * math.sqrt(lists)), 200)

    def for_k(self, k: int) -> SearchParams:
        """Widen the search for the best k, which are spread over more lists but need relatively fewer candidates."""
        if k <= TUNED_K:
            return self
        return SearchParams(math.ceil(self.nprobe * (k / TUNED_K) ** (1 / 3)), self.refine_k + 4 * (k - TUNED_K))


@dataclass(frozen=True, slots=True)
class ProbedQuery:
    """The rotated vectors of a query, and the lists to search for each."""

    rotated: NDArray[np.float32]
    """(q, dims)."""
    distances: NDArray[np.float32]
    """(q, nprobe) squared distances to the centroids of the lists."""
    lists: NDArray[np.int64]
    """(q, nprobe) numbers of the lists, nearest first."""

    @classmethod
    def of(cls, codebook: Codebook, vectors: NDArray[np.float32], nprobe: int) -> ProbedQuery:
        """Rotate vectors (q, dim) and choose their nearest lists."""
        with one_thread():
            rotated = codebook.rotate_queries(vectors)
            return cls(rotated, *codebook.nearest_lists(rotated, nprobe))


class InvertedLists:
    """Codes by list, in memory. Safe to search from several threads.

    Attributes:
        index: the faiss index.
    """

    def __init__(self, index: Any) -> None:
        self.index = index

    def __len__(self) -> int:
        return int(self.index.ntotal)

    def take_over(self, other: InvertedLists) -> None:
        """Move the codes of other lists with the same codebook into these; the others are empty afterwards."""
        self.index.merge_from(other.index, len(self))

    def extended(self, rotated: NDArray[np.float32]) -> InvertedLists:
        """Return a copy of these lists with more rotated vectors (n, dims) at its end."""
        import faiss

        index = faiss.clone_index(self.index)
        index.add(rotated)
        return InvertedLists(index)

    def nearest(
        self, query: ProbedQuery, count: int, mask: NDArray[np.bool_] | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Find candidates by their codes.

        Args:
            query: the query, with the lists to search.
            count: number of candidates for each vector of the query.
            mask: (n,) whether a position may be found; None for all.

        Returns:
            Squared distances and positions, both (q, count), nearest first; position -1 where there are fewer.
        """
        import faiss

        rows, nprobe = query.lists.shape
        params = _cached_ivf_params(nprobe) if mask is None else _ivf_params(nprobe, mask)
        distances = np.empty((rows, count), np.float32)
        positions = np.empty((rows, count), np.int64)
        with one_thread():
            # The raw C++ method: the Python wrapper takes no parameters, and nprobe must not be set on the shared
            # index.
            self.index.search_preassigned_c(
                rows,
                faiss.swig_ptr(query.rotated),
                count,
                faiss.swig_ptr(query.lists),
                faiss.swig_ptr(query.distances),
                faiss.swig_ptr(distances),
                faiss.swig_ptr(positions),
                False,
                params,
            )
        return distances, positions


class RefinedLists:
    """Rotation, lists, codes and exact scores in one call of faiss, for lists whose vectors are in one file.

    faiss reads the vectors of the candidates where they are mapped: fetching them for numpy takes longer than finding
    them. Safe to search from several threads.

    Args:
        codebook: of the lists.
        lists: the codes of `vectors`, and of no others.
        vectors: (n, dim), mapped.
    """

    def __init__(self, codebook: Codebook, lists: InvertedLists, vectors: NDArray[np.float16]) -> None:
        import faiss

        codes = codebook.with_rotation(lists.index)
        codes.metric_type = faiss.METRIC_INNER_PRODUCT  # of the final scores; codes are compared by distance
        self._vectors = vectors  # faiss holds a raw pointer to them
        self._index = faiss.IndexRefine(codes, in_place(vectors))

    def best(
        self, rows: NDArray[np.float32], params: SearchParams, count: int, mask: NDArray[np.bool_] | None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.bool_]]:
        """Find candidates by their codes, and the best of them by their vectors.

        Args:
            rows: (q, dim), queries that have nothing to do with each other.
            params: search parameters.
            count: maximum number of results of each.
            mask: (n,) which positions may be found; None for all.

        Returns:
            Scores and positions (q, c), best first, and for which of the queries (q,) these can be used: not where
            there are fewer candidates than `count` or `refine_k`, or where others may score as high as the last.
        """
        asked = min(count + 1, params.refine_k)
        key = params.nprobe, params.refine_k, asked
        refine = _cached_refine_params(*key) if mask is None else _refine_params(*key, mask)
        with one_thread():
            scores, positions = self._index.search(rows, asked, params=refine)
        # faiss puts missing candidates first. It drops arbitrary ones of equal scores, so none may tie with the last.
        sure = positions.min(axis=1) >= 0
        if asked > count:
            sure &= scores[:, -1] != scores[:, -2]
        return scores[:, :count], positions[:, :count], sure


def _ivf_params(nprobe: int, mask: NDArray[np.bool_] | None) -> Any:
    import faiss

    params: Any = faiss.SearchParametersIVF()
    params.nprobe = nprobe
    if mask is not None:
        selector: Any = faiss.IDSelectorBitmap
        params.sel = selector(np.packbits(mask, bitorder="little"))
    return params


def _refine_params(nprobe: int, refine_k: int, count: int, mask: NDArray[np.bool_] | None) -> Any:
    import faiss

    rotating: Any = faiss.SearchParametersPreTransform()
    rotating.index_params = _ivf_params(nprobe, mask)
    params: Any = faiss.IndexRefineSearchParameters()
    params.base_index_params = rotating
    # faiss rounds the product of factor and count down.
    params.k_factor = (refine_k + 0.5) / count
    return params


# Cached: faiss only reads its parameters, and creating them takes as long as scoring several candidates.


@lru_cache
def _cached_ivf_params(nprobe: int) -> Any:
    return _ivf_params(nprobe, None)


@lru_cache
def _cached_refine_params(nprobe: int, refine_k: int, count: int) -> Any:
    return _refine_params(nprobe, refine_k, count, None)
