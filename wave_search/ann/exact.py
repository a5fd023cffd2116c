"""Exact search: the reference for approximate search, the method for few vectors, and the scores of all results."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from wave_search.ann.faiss_setup import one_thread

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_BLOCK_ROWS = 4_096
"""Number of vectors fetched at once: 30 MB at 3,584 dimensions."""
_FLOAT16_BITS = np.uint32(0x8FFFE000).view(np.int32)
"""Mask of the sign, exponent and mantissa of a float16 shifted to their place in a float32."""
_FLOAT16_SCALE = np.float32(2.0**112)
"""Ratio between a float16 and its bits read as a float32: the difference of the two exponent biases."""


class VectorSource(Protocol):
    """Vectors (n, dim) that are fetched by slices: an array, or a reader of files."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> NDArray[np.float16]: ...


def in_place(vectors: NDArray[np.float16]) -> Any:
    """Return a faiss inner-product index of finite vectors (n, dim), n >= 1, that reads them in place.

    faiss holds a raw pointer to them: keep them alive as long as the index.

    Raises:
        ValueError: they are not float16, or not contiguous in memory.
    """
    import faiss

    if vectors.dtype != np.float16 or not vectors.flags.c_contiguous:
        raise ValueError(f"vectors must be contiguous float16, got {vectors.dtype} with strides {vectors.strides}")
    mapped: Any = faiss.MaybeOwnedVectorUInt8()
    mapped.is_owned = False
    mapped.view_data = faiss.swig_ptr(vectors[:1].view(np.uint8))
    mapped.view_size = vectors.nbytes
    quantizer = faiss.ScalarQuantizer
    index: Any = faiss.IndexScalarQuantizer(vectors.shape[1], quantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    index.codes, index.ntotal = mapped, len(vectors)
    return index


def score(vectors: VectorSource, queries: NDArray[np.float32]) -> NDArray[np.float32]:
    """Score finite vectors (n, dim) against query rows (q, dim): (n,) inner products, the best row for each vector.

    The result for a vector does not depend on the others in the call.
    """
    found = np.empty(len(vectors), np.float32)
    for start in range(0, len(vectors), _BLOCK_ROWS):
        block = np.ascontiguousarray(vectors[start : start + _BLOCK_ROWS])
        with one_thread():
            scores, positions = in_place(block).search(queries, len(block))
        by_row = np.empty_like(scores)
        np.put_along_axis(by_row, positions, scores, axis=1)
        found[start : start + len(block)] = by_row.max(axis=0)
    return found


def exact_search(
    vectors: NDArray[np.float16], ids: NDArray[np.int64], queries: NDArray[np.float32], k: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Find the best k of the vectors.

    Args:
        vectors: (n, dim), n may be 0.
        ids: (n,).
        queries: (q, dim) or (dim,) of unit norm. Several rows are one query: a vector's score is its best over them.
        k: number of results.

    Returns:
        Scores and ids, both (min(k, n),), best first, equal scores by id.

    Raises:
        ValueError: the queries are not finite, not of this size, or none; or k < 1.
    """
    rows = check_queries(queries, vectors.shape[1], k)
    return best_over_rows(best_of_each(vectors, ids, rows, k), k)


def best_of_each(
    vectors: VectorSource, ids: NDArray[np.int64], rows: NDArray[np.float32], k: int
) -> list[tuple[NDArray[np.float32], NDArray[np.int64]]]:
    """Do `exact_search` for each of checked queries (q, dim); each vector is fetched once for all of them."""
    if not len(vectors):
        return [(np.empty(0, np.float32), np.empty(0, np.int64))] * len(rows)
    asked = min(k + 1, len(vectors))
    parts: list[tuple[NDArray[np.float32], NDArray[np.int64]]] = []
    missed = np.full(len(rows), -np.inf, np.float32)
    for start in range(0, len(vectors), _BLOCK_ROWS):
        block = np.ascontiguousarray(vectors[start : start + _BLOCK_ROWS])
        with one_thread():
            scores, positions = in_place(block).search(rows, min(asked, len(block)))
        if asked < len(block):
            np.maximum(missed, scores[:, -1], out=missed)
        # FAISS finds no vectors with NaN, and fills up with -1.
        parts.append((scores, np.where(positions < 0, -1, positions + start)))
    scores, positions = parts[0] if len(parts) == 1 else map(partial(np.concatenate, axis=1), zip(*parts, strict=True))
    best = []
    for row, every, places, least in zip(rows, scores, positions, missed.tolist(), strict=True):
        own, at = every[places >= 0], ids[places[places >= 0]]
        order = np.lexsort((at, -own))[:k]
        # faiss keeps arbitrary ones of equal scores, so no dropped vector may have the score of the last kept one.
        if not len(order) or least < own[order[-1]]:
            best.append((own[order], at[order]))
        else:
            ((all_scores, all_ids),) = best_of_each(vectors, ids, row[None], len(vectors))
            best.append((all_scores[:k], all_ids[:k]))
    return best


def best_over_rows(
    found: Sequence[tuple[NDArray[np.float32], NDArray[np.int64]]], k: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Merge scores and ids that several rows, or parts, have found: the best k, equal scores by id.

    Args:
        found: each best first. An id that is in several has the best of its scores.
        k: number of results.
    """
    if len(found) > 1:
        scores, ids = (np.concatenate(parts) for parts in zip(*found, strict=True))
        order = np.lexsort((-scores, ids))
        first = order[np.flatnonzero(np.diff(ids[order], prepend=-1))]
        best = first[np.lexsort((ids[first], -scores[first]))]
        found = [(scores[best], ids[best])]
    scores, ids = found[0]
    return scores[:k], ids[:k]


def check_queries(queries: NDArray[np.float32], dim: int, k: int) -> NDArray[np.float32]:
    """Return the queries as (q, dim).

    Raises:
        ValueError: see `exact_search`.
    """
    rows = np.ascontiguousarray(np.atleast_2d(queries), np.float32)
    if rows.ndim != 2 or not len(rows) or rows.shape[1] != dim or not np.isfinite(rows).all():
        raise ValueError(f"queries must be finite, of shape ({dim},) or (q, {dim}), got {np.shape(queries)}")
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    return rows


def max_inner_products(vectors: NDArray[np.float32], rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the inner products of vectors (n, dim) with query rows (q, dim): (n,), the best row for each vector."""
    # One by one, not as a matrix product, whose order of additions varies with its shape, and which would wake BLAS's
    # threads for each block: on a busy machine that takes far longer than the work.
    products: NDArray[np.float32] = (
        np.vecdot(vectors, rows[0]) if len(rows) == 1 else np.vecdot(vectors[:, None], rows).max(axis=1)
    )
    return products


def approximate_products(
    vectors: NDArray[np.float16], queries: NDArray[np.float32], buffer: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return inner products (q, n) of unit queries (q, dim) with finite vectors (n, dim), rounded as BLAS does.

    numpy and faiss convert float16 one by one, which takes several times as long as shifting the bits to their place in
    a float32. The shifted vectors are too small by a factor of 2^112, for which the queries are scaled up.

    Args:
        vectors: (n, dim) float16.
        queries: (q, dim) float32.
        buffer: (>= n, dim), overwritten.
    """
    bits = buffer[: len(vectors)].view(np.int32)
    bits[:] = vectors.view(np.int16)
    np.left_shift(bits, 13, out=bits)
    np.bitwise_and(bits, _FLOAT16_BITS, out=bits)
    scaled: NDArray[np.float32] = queries * _FLOAT16_SCALE
    return scaled @ buffer[: len(vectors)].T
