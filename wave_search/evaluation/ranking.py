"""Rankings of a corpus: the exact one, and what the product's index finds of it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wave_search.ann import Codebook, SearchParams, Shard, ShardSet, build_shard, draw, score

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BLOCK_QUERIES = 64
_ROUNDING = 2.0**-24


def exact_rankings(vectors: NDArray[np.float16], queries: NDArray[np.float32], depth: int) -> NDArray[np.int64]:
    """Rank everything for each query, by the scores that searches give.

    Args:
        vectors: (n, dim), n at least 1.
        queries: (q, dim) of unit norm.
        depth: how many of a ranking to give.

    Returns:
        (q, min(n, depth)) positions, best first, equal scores by position.
    """
    depth = min(depth, len(vectors))
    margin = 2 * vectors.shape[1] * _ROUNDING
    transposed = vectors.T.astype(np.float32)
    rankings = np.empty((len(queries), depth), np.int64)
    for start in range(0, len(queries), _BLOCK_QUERIES):
        block = queries[start : start + _BLOCK_QUERIES]
        # A product of matrices is fast, but its rounding varies with the shape: it only says who is near.
        rough = block @ transposed
        least = np.partition(rough, -depth, axis=1)[:, -depth] - margin
        for row, (query, scores) in enumerate(zip(block, rough, strict=True), start=start):
            near = np.flatnonzero(scores >= least[row - start])
            rankings[row] = near[np.lexsort((near, -score(vectors[near], query[None])))][:depth]
    return rankings


def index_rankings(vectors: NDArray[np.float16], queries: NDArray[np.float32], depth: int) -> NDArray[np.int64]:
    """Rank by an IVF-PQ shard as an index of these vectors would have, built for the purpose.

    Args:
        vectors: as for `exact_rankings`.
        queries: as for `exact_rankings`.
        depth: as for `exact_rankings`.

    Returns:
        (q, min(n, depth)) positions, best first; -1 where the shard found less.
    """
    count = len(vectors)
    sample = draw(np.arange(count), Codebook.sample_size(count))
    rankings = np.full((len(queries), min(count, depth)), -1, np.int64)
    with tempfile.TemporaryDirectory(prefix="wave-search-") as folder:
        codebook = Codebook.train(vectors[sample], count)
        built = build_shard(codebook, [(np.arange(count), vectors)], Path(folder))
        shards = ShardSet(codebook, [Shard.open(Path(folder, built.name), codebook)], np.arange(count))
        effort = SearchParams.by_rule(codebook.lists)
        for row, query in zip(rankings, queries, strict=True):
            _, found = shards.search(query, depth, effort)
            row[: len(found)] = found
    return rankings


def overlap(found: NDArray[np.int64], truth: NDArray[np.int64]) -> NDArray[np.float64]:
    """Tell for each query which share of the true best (q, k) is among the found (q, k): (q,)."""
    shares: NDArray[np.float64] = (truth[:, :, None] == found[:, None, :]).any(axis=2).mean(axis=1)
    return shares
