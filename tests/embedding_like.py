"""Vectors like those of an embedding model, and searches of them, for tests without a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wave_search.ann import Codebook, SearchParams, Shard, ShardSet, build_shard, exact_search
from wave_search.ann.exact import best_over_rows

Queries = Callable[..., NDArray[np.float32]]


def unit(values: NDArray[np.floating]) -> NDArray[np.float32]:
    return (values / np.linalg.norm(values, axis=-1, keepdims=True)).astype(np.float32)


def vectors_and_queries(n: int, dim: int, seed: int = 0) -> tuple[NDArray[np.float16], Queries]:
    """Clusters of Zipf sizes, a falling spectrum, a strong common mean.

    Returns (n, dim) float16 items, and a function that draws queries: of the same modality, or of another one, which
    has another mean and agrees with its item only in part. The same arguments draw the same ones, whoever else has
    drawn some before.
    """
    random = np.random.default_rng(seed)
    latent = min(dim, 256)
    scale = 1 / np.sqrt(1 + (np.arange(latent) / 32) ** 2)
    spread = np.linalg.qr(random.standard_normal((dim, latent)))[0].T
    means = unit(random.standard_normal((2, dim)))
    centres = random.standard_normal((max(2, n // 20), latent)) * scale
    weights = 1 / np.arange(1, len(centres) + 1)

    def points(random: np.random.Generator, count: int) -> NDArray[np.float64]:
        chosen = random.choice(len(centres), count, p=weights / weights.sum())
        return unit(0.8 * centres[chosen] + 0.6 * random.standard_normal((count, latent)) * scale)

    def embed(
        random: np.random.Generator, latents: NDArray[np.float64], mean: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        noise = unit(random.standard_normal((len(latents), dim)))
        return unit(0.76 * latents @ spread + 0.6 * mean + 0.2 * noise)

    inside = points(random, n)

    def queries(kind: str, count: int = 60, seed: int = 1) -> NDArray[np.float32]:
        random = np.random.default_rng(seed)
        if kind == "same":
            return embed(random, points(random, count), means[0])
        away = unit(random.standard_normal((count, latent)) * scale)
        return embed(random, 0.6 * inside[random.integers(0, n, count)] + 0.8 * away, means[1])

    return embed(random, inside, means[0]).astype(np.float16), queries


@cache
def _trained(vectors: bytes, count: int) -> Codebook:
    return Codebook.train(np.frombuffer(vectors, np.float16).reshape(count, -1), count)


def trained(vectors: NDArray[np.float16]) -> Codebook:
    """A codebook of all of them; most of the time of many tests would go into the same one."""
    return _trained(vectors.tobytes(), len(vectors))


def build(
    parent: Path,
    vectors: NDArray[np.float16],
    ids: NDArray[np.int64] | None = None,
    pieces: int = 1,
    codebook: Codebook | None = None,
) -> ShardSet:
    """Shards of equal size with one codebook, opened; ids are 7, 10, 13 and so on."""
    ids = ids_of(vectors) if ids is None else ids
    codebook = codebook or trained(vectors)
    codebook.write(parent)
    for part in np.array_split(np.arange(len(ids)), pieces):
        batches = ((ids[part[i : i + 1000]], vectors[part[i : i + 1000]]) for i in range(0, len(part), 1000))
        build_shard(codebook, batches, parent)
    return reopen(parent, ids)


def ids_of(vectors: NDArray[np.float16]) -> NDArray[np.int64]:
    return np.arange(len(vectors)) * 3 + 7


def reopen(parent: Path, live_ids: NDArray[np.int64]) -> ShardSet:
    """What is in a folder, read from the disk."""
    dim = next(np.load(folder / "rotation.npy").shape[1] for folder in parent.glob("codebook-*"))
    codebook = Codebook.open(next(parent.glob("codebook-*")), dim)
    return ShardSet(codebook, [Shard.open(folder, codebook) for folder in sorted(parent.glob("0*"))], live_ids)


def search(
    shards: ShardSet, query: NDArray[np.float32], k: int, params: SearchParams, *rest: Any, overfetch: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The best k for one query of one or several rows."""
    return best_over_rows(shards.search(query, k, params, *rest, overfetch=overfetch), k + overfetch)


def recall(
    shards: ShardSet,
    vectors: NDArray[np.float16],
    ids: NDArray[np.int64],
    queries: Sequence[NDArray[np.float32]] | NDArray[np.float32],
    *,
    k: int = 10,
    params: SearchParams | None = None,
    allowed_ids: NDArray[np.int64] | None = None,
) -> float:
    """Share of the true best k of the vectors that is found; the scores of those found must be the exact ones."""
    shares = []
    for query in queries:
        scores, found = search(shards, query, k, params or SearchParams.by_rule(shards.codebook.lists), allowed_ids)
        true_scores, true_ids = exact_search(vectors, ids, query, k)
        assert len(found) == len(true_ids)
        exact = dict(zip(true_ids.tolist(), true_scores.tolist(), strict=True))
        hits = [(i, s) for i, s in zip(found.tolist(), scores.tolist(), strict=True) if i in exact]
        assert all(exact[i] == s for i, s in hits)
        assert (np.diff(scores) <= 0).all()
        shares.append(len(hits) / max(len(exact), 1))
    return float(np.mean(shares))
