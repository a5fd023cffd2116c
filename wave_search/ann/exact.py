"""Exact search: the oracle, and the way to search what is too small for an index."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BLOCK_ROWS = 128
"""So many are scored at once: their float32 copy stays in the processor's cache."""
_HALF_BITS = np.uint32(0x8FFFE000).view(np.int32)
"""Where sign, exponent and mantissa of a float16 are once it is shifted to the place that they have in a float32."""
_HALF_SCALE = np.float32(2.0**112)
"""Between a float16 and what its bits mean there: the difference of the two biases."""


class Stored(Protocol):
    """Vectors (n, dim), fetched when they are asked for: an array is such, and so is a choice from several files."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> NDArray[np.float16]: ...


def score(vectors: Stored, queries: NDArray[np.float32]) -> NDArray[np.float32]:
    """Score finite vectors (n, dim) against query rows (q, dim): (n,) inner products, the best row for each vector.

    The result for a vector does not depend on the others of the call.
    """
    found = np.empty(len(vectors), np.float32)
    rows = scaled(queries)
    buffer = np.empty((min(_BLOCK_ROWS, len(vectors)), rows.shape[1]), np.float32)
    for start in range(0, len(vectors), _BLOCK_ROWS):
        block = widened(vectors[start : start + _BLOCK_ROWS], buffer)
        found[start : start + len(block)] = by_best_row(block, rows)
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
    scores = score(vectors, rows)
    if len(scores) > _BLOCK_ROWS + k:
        near = np.flatnonzero(scores >= np.partition(scores, -k)[-k])
        scores, ids = scores[near], ids[near]
    order = np.lexsort((ids, -scores))[:k]
    return scores[order], ids[order]


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


def widened(vectors: NDArray[np.float16], out: NDArray[np.float32]) -> NDArray[np.float32]:
    """Finite float16 vectors (n, dim) as float32, times 2^-112, into the first n rows of `out`.

    numpy converts one by one, which takes six times as long as moving the bits to where a float32 has them.
    """
    bits = out[: len(vectors)].view(np.int32)
    bits[:] = vectors.view(np.int16)
    np.left_shift(bits, 13, out=bits)
    np.bitwise_and(bits, _HALF_BITS, out=bits)
    return out[: len(vectors)]


def scaled(queries: NDArray[np.float32]) -> NDArray[np.float32]:
    """Queries of unit norm, so that their inner products with `widened` vectors are those with the vectors."""
    return queries * _HALF_SCALE


def by_best_row(vectors: NDArray[np.float32], rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Inner products of vectors (n, dim) with query rows (q, dim): (n,), the best of the rows for each vector."""
    # One by one, not as a matrix product: the order of additions of the latter varies with its shape; and it would wake
    # BLAS's threads for each block, which takes far longer than the work where other processes keep the cores busy.
    products: NDArray[np.float32] = (
        np.vecdot(vectors, rows[0]) if len(rows) == 1 else np.vecdot(vectors[:, None], rows).max(axis=1)
    )
    return products
