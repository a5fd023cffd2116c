"""Figures of retrieval, from a matrix of similarities."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def recall(similarities: NDArray[np.float32], relevant: NDArray[np.bool_], k: int) -> float:
    """Share of queries with something relevant among their first `k`.

    Args:
        similarities: (queries, items).
        relevant: the same shape.
        k: how many hits are looked at.
    """
    first = np.argsort(-similarities, axis=1, kind="stable")[:, :k]
    return float(np.take_along_axis(relevant, first, axis=1).any(axis=1).mean())


def mean_average_precision(similarities: NDArray[np.float32], relevant: NDArray[np.bool_], k: int) -> float:
    """Mean over queries of the average precision of their first `k`, over the best that `k` hits could give.

    Args:
        similarities: (queries, items).
        relevant: the same shape; at least one relevant item per query.
        k: how many hits are looked at.
    """
    first = np.argsort(-similarities, axis=1, kind="stable")[:, :k]
    hits = np.take_along_axis(relevant, first, axis=1)
    precision = np.cumsum(hits, axis=1) / np.arange(1, k + 1)
    possible = np.minimum(relevant.sum(axis=1), k)
    return float(((precision * hits).sum(axis=1) / possible).mean())


def accuracy(similarities: NDArray[np.float32], truth: NDArray[np.int64]) -> float:
    """Share of rows whose largest entry is the true one."""
    return float((similarities.argmax(axis=1) == truth).mean())
