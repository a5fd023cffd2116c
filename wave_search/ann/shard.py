"""Searching a shard: an immutable IVF-PQ index on disk with the vectors to re-score its candidates."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from wave_search.ann import files
from wave_search.ann.exact import check_queries, exact_search
from wave_search.ann.threads import one_thread

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_MIN_CANDIDATES = 200
"""As many as this are scanned exactly in the time that faiss takes to find them."""
_CANDIDATES_PER_HIT = 4


class Shard:
    """An open shard. Safe to search from several threads.

    Attributes:
        ids: (n,) int64 ascending.
        dim: of the vectors.
    """

    def __init__(self, index: Any, ids: NDArray[np.int64], vectors: NDArray[np.float16]) -> None:
        import faiss

        self.ids = ids
        self.dim = vectors.shape[1]
        self._index = index
        self._lists = int(faiss.extract_index_ivf(index).nlist)
        self._vectors = vectors

    @classmethod
    def open(cls, directory: Path, dim: int) -> Shard:
        """Read the codes and map the vectors.

        Raises:
            IndexCorruptError: missing or damaged files, or vectors of another size; the remedy is to rebuild it.
        """
        index, ids, vectors = files.read_index(directory), files.read_ids(directory), files.map_vectors(directory)
        if not index.d == vectors.shape[1] == dim:
            raise files.damaged(directory, f"it has vectors of {vectors.shape[1]}, not {dim}")
        if not index.ntotal == len(ids) == len(vectors):
            raise files.damaged(directory, "its files are of different lengths")
        return cls(index, ids, vectors)

    def live_mask(self, live_ids: NDArray[np.int64]) -> NDArray[np.bool_] | None:
        """Which of this shard's vectors are among `live_ids` (ascending); None if all are."""
        mask: NDArray[np.bool_] = np.isin(self.ids, live_ids, assume_unique=True)
        return None if mask.all() else mask

    def search(
        self, queries: NDArray[np.float32], k: int, live: NDArray[np.bool_] | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Find the best k, nearly always all of the true ones; their scores are exact.

        Args:
            queries: (q, dim) or (dim,) of unit norm. Several rows are one query: an item's score is its best over them.
            k: how many.
            live: (n,) which vectors may be found; None for all.

        Returns:
            Scores and ids, both of at most k, best first, equal scores by id.

        Raises:
            ValueError: see `exact_search`.
        """
        rows = check_queries(queries, self.dim, k)
        wanted = _MIN_CANDIDATES + _CANDIDATES_PER_HIT * k
        count = len(self.ids) if live is None else int(live.sum())
        if count > wanted:
            positions = self._candidates(rows, wanted, live, count)
        else:
            positions = np.arange(len(self.ids)) if live is None else np.flatnonzero(live)
        return exact_search(self._vectors[positions], self.ids[positions], rows, k)

    def _candidates(
        self, rows: NDArray[np.float32], wanted: int, live: NDArray[np.bool_] | None, count: int
    ) -> NDArray[np.int64]:
        import faiss

        lists = faiss.SearchParametersIVF()
        lists.nprobe = self._probes(wanted, count)
        if live is not None:
            bits = np.packbits(live, bitorder="little")
            lists.sel = faiss.IDSelectorBitmap(len(bits), faiss.swig_ptr(bits))
        params = faiss.SearchParametersPreTransform()
        params.index_params = lists
        with one_thread():
            _, found = self._index.search(rows, wanted, params=params)
        positions: NDArray[np.int64] = np.unique(found[found >= 0])
        return positions

    def _probes(self, wanted: int, count: int) -> int:
        """How many lists to look into.

        8 sqrt(lists) reached recall@10 of 0.98 and more on embedding-like vectors, for queries of another modality too,
        which lie off the indexed ones: that is half of 256 lists, a quarter of 1024. A filter thins the lists, so that
        more of them are needed, and so do many hits.
        """
        by_rule = 8 * math.sqrt(self._lists) * len(self.ids) / count
        to_find_enough = 4 * self._lists * wanted / count
        return min(self._lists, math.ceil(max(by_rule, to_find_enough)))
