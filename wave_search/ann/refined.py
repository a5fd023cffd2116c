"""Rotation, lists, codes and scores in one call of faiss, for codes whose vectors are in one file."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from wave_search.ann.exact import in_place
from wave_search.ann.shard import search_parameters
from wave_search.ann.threads import one_thread

if TYPE_CHECKING:
    from typing import Any

    import numpy as np
    from numpy.typing import NDArray

    from wave_search.ann.codebook import Codebook
    from wave_search.ann.shard import Shard


class Refined:
    """The best of the candidates of a shard by their vectors, which faiss reads where they are mapped.

    To fetch all candidates for numpy takes longer than to find them. Safe to use from several threads.

    Args:
        codebook: that of the shard.
        shard: whose codes are not joined with those of others.
    """

    def __init__(self, codebook: Codebook, shard: Shard) -> None:
        import faiss

        codes = codebook.in_front_of(shard.codes.index)
        codes.metric_type = faiss.METRIC_INNER_PRODUCT  # of what comes out at the end; inside, codes go by distances
        self._vectors = shard.vectors  # faiss keeps a bare pointer to them
        self._index = faiss.IndexRefine(codes, in_place(self._vectors))

    def best(
        self, row: NDArray[np.float32], nprobe: int, candidates: int, wanted: int, among: NDArray[np.bool_] | None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]] | None:
        """Find candidates by their codes, and of these the best.

        Args:
            row: (1, dim).
            nprobe: how many lists to look into.
            candidates: how many to compare with their vectors.
            wanted: how many of these at most.
            among: (n,) which may be found; None for all.

        Returns:
            Scores and positions, best first. None where there are fewer candidates, or others score like the last.
        """
        few = min(wanted + 1, candidates)
        asked = nprobe, candidates, few
        params = _unfiltered(*asked) if among is None else _parameters(*asked, among)
        with one_thread():
            (scores,), (positions,) = self._index.search(row, few, params=params)
        # faiss puts the candidates that are missing first. Of equal ones it leaves out any.
        if positions.min() < 0 or (few > wanted and scores[-1] == scores[-2]):
            return None
        return scores[:wanted], positions[:wanted]


def _parameters(nprobe: int, candidates: int, wanted: int, among: NDArray[np.bool_] | None) -> Any:
    import faiss

    turned: Any = faiss.SearchParametersPreTransform()
    turned.index_params = search_parameters(nprobe, among)
    params: Any = faiss.IndexRefineSearchParameters()
    params.base_index_params = turned
    # faiss cuts the product of the factor and what is wanted down to a whole number.
    params.k_factor = (candidates + 0.5) / wanted
    return params


@lru_cache
def _unfiltered(nprobe: int, candidates: int, wanted: int) -> Any:
    return _parameters(nprobe, candidates, wanted, None)
