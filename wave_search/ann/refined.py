"""Rotation, lists, codes and re-scoring in one call of faiss, for codes whose vectors are in one file."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from wave_search.ann.shard import search_parameters
from wave_search.ann.threads import one_thread

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    from wave_search.ann.codebook import Codebook
    from wave_search.ann.shard import Shard


class Refined:
    """Nominates few candidates of a shard: the nearest by their vectors, which faiss reads where they are mapped.

    To fetch all candidates for numpy takes longer than to find them. Safe to use from several threads.

    Args:
        codebook: that of the shard.
        shard: whose codes are not joined with those of others.
    """

    def __init__(self, codebook: Codebook, shard: Shard) -> None:
        import faiss

        mapped: Any = faiss.MaybeOwnedVectorUInt8()
        mapped.is_owned = False
        mapped.view_data = faiss.swig_ptr(shard.vectors[:1].view(np.uint8))
        mapped.view_size = shard.vectors.nbytes
        vectors: Any = faiss.IndexScalarQuantizer(codebook.dim, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_L2)
        vectors.codes, vectors.ntotal = mapped, len(shard)
        self._index = faiss.IndexRefine(codebook.in_front_of(shard.codes.index), vectors)
        self._mapped = shard.vectors  # faiss keeps a bare pointer to them

    def nearest(
        self, rows: NDArray[np.float32], probes: int, candidates: int, wanted: int, among: NDArray[np.bool_] | None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Find candidates by their codes, and of these the nearest.

        Args:
            rows: (q, dim).
            probes: how many lists to look into.
            candidates: how many to compare with their vectors.
            wanted: how many of these, for each row.
            among: (n,) which may be found; None for all.

        Returns:
            Squared distances and positions, both (q, wanted), nearest first; -1 where there are not so many.
        """
        asked = probes, candidates, wanted
        params = _unfiltered(*asked) if among is None else _parameters(*asked, among)
        with one_thread():
            distances, positions = self._index.search(rows, wanted, params=params)
        return distances, positions


def _parameters(probes: int, candidates: int, wanted: int, among: NDArray[np.bool_] | None) -> Any:
    import faiss

    turned: Any = faiss.SearchParametersPreTransform()
    turned.index_params = search_parameters(probes, among)
    params: Any = faiss.IndexRefineSearchParameters()
    params.base_index_params = turned
    # faiss cuts the product of the factor and what is wanted down to a whole number.
    params.k_factor = (candidates + 0.5) / wanted
    return params


@lru_cache
def _unfiltered(probes: int, candidates: int, wanted: int) -> Any:
    return _parameters(probes, candidates, wanted, None)
