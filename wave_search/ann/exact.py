"""Exact search: the oracle, and the way to search what is too small for an index."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from wave_search.ann.threads import one_thread

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BLOCK_ROWS = 4_096
"""So many vectors are fetched at once: 30 MB of 3,584 dimensions."""


class Stored(Protocol):
    """Vectors (n, dim), fetched when they are asked for: an array is such, and so is a choice from several files."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> NDArray[np.float16]: ...


def in_place(vectors: NDArray[np.float16]) -> Any:
    """A faiss index of finite vectors (n, dim), one or more, by inner product: it reads them where they are.

    faiss has a bare pointer to them: keep them as long as the index.

    Raises:
        ValueError: they are not float16, or not one after another in memory.
    """
    import faiss

    if vectors.dtype != np.float16 or not vectors.flags.c_contiguous:
        raise ValueError(f"not float16 vectors in one piece: {vectors.dtype}, {vectors.strides}")
    mapped: Any = faiss.MaybeOwnedVectorUInt8()
    mapped.is_owned = False
    mapped.view_data = faiss.swig_ptr(vectors[:1].view(np.uint8))
    mapped.view_size = vectors.nbytes
    quantizer = faiss.ScalarQuantizer
    index: Any = faiss.IndexScalarQuantizer(vectors.shape[1], quantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    index.codes, index.ntotal = mapped, len(vectors)
    return index


def score(vectors: Stored, queries: NDArray[np.float32]) -> NDArray[np.float32]:
    """Score finite vectors (n, dim) against query rows (q, dim): (n,) inner products, the best row for each vector.

    The result for a vector does not depend on the others of the call.
    """
    found = np.empty(len(vectors), np.float32)
    for start in range(0, len(vectors), _BLOCK_ROWS):
        block = np.ascontiguousarray(vectors[start : start + _BLOCK_ROWS])
        scores, places = _nearest(block, queries, len(block))
        by_row = np.empty_like(scores)
        np.put_along_axis(by_row, places, scores, axis=1)
        found[start : start + len(block)] = by_row.max(axis=0)
    return found


def exact_search(
    vectors: NDArray[np.float16], ids: NDArray[np.int64], queries: NDArray[np.float32], k: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Find the best k of the vectors.

    Args:
        vectors: (n, dim), n may be 0.
        ids: (n,).
        queries: (q, dim) or (dim,) of unit norm. Several rows are one query: an item's score is its best over them.
        k: how many.

    Returns:
        Scores and ids, both (min(k, n),), best first, equal scores by id.

    Raises:
        ValueError: no query, one that is not finite or of another size, or k < 1.
    """
    return best_of(vectors, ids, check_queries(queries, vectors.shape[1], k), k)


def best_of(
    vectors: Stored, ids: NDArray[np.int64], rows: NDArray[np.float32], k: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """`exact_search` for rows (q, dim) that are checked."""
    if not len(vectors):
        return np.empty(0, np.float32), np.empty(0, np.int64)
    wanted = min(k + 1, len(vectors))
    while True:
        scores, places, missed = _best_of_blocks(vectors, rows, wanted)
        order = np.lexsort((ids[places], -scores))[:k]
        # Of equal ones faiss keeps any, so that these must not be among the last.
        if wanted == len(vectors) or missed < scores[order[-1]]:
            return scores[order], ids[places[order]]
        wanted = len(vectors)


def _best_of_blocks(
    vectors: Stored, rows: NDArray[np.float32], wanted: int
) -> tuple[NDArray[np.float32], NDArray[np.int64], float]:
    """The best of each block by each row: scores, places, each once, and the highest score that others may have."""
    found, missed = [], -np.inf
    for start in range(0, len(vectors), _BLOCK_ROWS):
        block = np.ascontiguousarray(vectors[start : start + _BLOCK_ROWS])
        scores, places = _nearest(block, rows, min(wanted, len(block)))
        if wanted < len(block):
            missed = max(missed, float(scores[:, -1].max()))
        found.append((scores.ravel(), places.ravel() + start))
    scores, places = (np.concatenate(parts) for parts in zip(*found, strict=True))
    if len(rows) > 1:
        order = np.lexsort((-scores, places))
        first = order[np.flatnonzero(np.diff(places[order], prepend=-1))]
        scores, places = scores[first], places[first]
    return scores, places, missed


def _nearest(
    vectors: NDArray[np.float16], rows: NDArray[np.float32], wanted: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Scores and places of the best of some vectors by each row, both (q, wanted)."""
    with one_thread():
        scores, places = in_place(vectors).search(rows, wanted)
    return scores, places


def check_queries(queries: NDArray[np.float32], dim: int, k: int) -> NDArray[np.float32]:
    """The queries as (q, dim).

    Raises:
        ValueError: see `exact_search`.
    """
    rows = np.ascontiguousarray(np.atleast_2d(queries), np.float32)
    if rows.ndim != 2 or not len(rows) or rows.shape[1] != dim or not np.isfinite(rows).all():
        raise ValueError(f"not one or more finite queries of {dim}: {rows.shape}")
    if k < 1:
        raise ValueError(f"k is {k}")
    return rows


def by_best_row(vectors: NDArray[np.float32], rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Inner products of vectors (n, dim) with query rows (q, dim): (n,), the best of the rows for each vector."""
    # One by one, not as a matrix product: the order of additions of the latter varies with its shape; and it would wake
    # BLAS's threads for each block, which takes far longer than the work where other processes keep the cores busy.
    products: NDArray[np.float32] = (
        np.vecdot(vectors, rows[0]) if len(rows) == 1 else np.vecdot(vectors[:, None], rows).max(axis=1)
    )
    return products
