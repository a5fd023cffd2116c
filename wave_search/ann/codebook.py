"""What is learnt once for a partition and shared by its shards: rotation, coarse centroids, product quantiser."""

from __future__ import annotations

import math
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np

from wave_search.ann.files import read_index
from wave_search.ann.gpu import on_gpus
from wave_search.ann.rotation import principal_rotation
from wave_search.ann.threads import one_thread

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_DIMS = 256
"""Of about 3584: they keep 90 % of the variance; the rest is made good by exact re-scoring."""
_ROTATION_SAMPLE = 16_384
_POINTS_PER_LIST = 39
"""Fewer make poor centroids (https://github.com/facebookresearch/faiss/wiki/FAQ)."""
_POINTS_PER_QUANTISER = 16 * _POINTS_PER_LIST
"""A sub-quantiser of 4 bits has 16 centroids."""
_SMALL_SAMPLE = 10_000
"""One thread needs about a second to train on it."""
_BLOCK_ROWS = 8_192


class Codebook:
    """A trained, empty index.

    Attributes:
        dim: of the vectors.
    """

    def __init__(self, index: Any) -> None:
        self.dim = int(index.d)
        self._index = index

    @staticmethod
    def sample_size(count: int) -> int:
        """How many vectors of a partition with `count` are worth training on."""
        return min(count, max(_ROTATION_SAMPLE, 48 * _lists(count)))

    @classmethod
    def train(cls, sample: NDArray[np.float16], count: int, seed: int = 0) -> Codebook:
        """Train by rule.

        Args:
            sample: (s, dim) vectors of the partition, any subset of at least one, evenly drawn.
            count: vectors that the partition holds or will soon hold; sets the number of lists.
            seed: the result is the same for the same sample and seed on the same machine.
        """
        import faiss

        dim = sample.shape[1]
        dims = min(_DIMS, dim) // 2 * 2  # two to a sub-quantiser
        stride = max(1, len(sample) // _ROTATION_SAMPLE)
        rotation = faiss.LinearTransform(dim, dims, False)
        matrix = principal_rotation(sample[::stride].astype(np.float32), dims, seed)
        faiss.copy_array_to_vector(matrix.ravel(), rotation.A)
        rotation.is_trained = True
        lists = min(_lists(count), _power_of_two_below(len(sample) / _POINTS_PER_LIST))
        # L2 on unit vectors ranks like the inner product, and stays right after dimensions are dropped. Codes of the
        # vectors themselves, not of residuals: the look-up tables are then shared by all lists, which is faster.
        ivf = faiss.IndexIVFPQFastScan(faiss.IndexFlatL2(dims), dims, lists, dims // 2, 4)
        ivf.cp.seed = ivf.pq.cp.seed = seed + 1
        # faiss would print a warning about small samples; the rule above cares for them.
        ivf.cp.min_points_per_centroid = ivf.pq.cp.min_points_per_centroid = 1
        with on_gpus(ivf), one_thread() if len(sample) <= _SMALL_SAMPLE else nullcontext():
            ivf.train(_enough(_apply(rotation, sample)))
        # The clone owns its parts; in what was put together here they belong to Python.
        return cls(faiss.clone_index(faiss.IndexPreTransform(rotation, ivf)))

    @classmethod
    def of_shard(cls, directory: Path) -> Codebook:
        """The codebook with which a shard was built, to build another one.

        Raises:
            IndexCorruptError: the shard is damaged.
        """
        index = read_index(directory)
        index.reset()
        return cls(index)

    def filled(self) -> Any:
        """A new faiss index with this codebook, to add to."""
        import faiss

        return faiss.clone_index(self._index)


def _lists(count: int) -> int:
    return int(2 ** round(math.log2(4 * math.sqrt(max(count, 1)))))


def _power_of_two_below(value: float) -> int:
    return int(2 ** math.floor(math.log2(value))) if value >= 1 else 1


def _apply(rotation: Any, sample: NDArray[np.float16]) -> NDArray[np.float32]:
    blocks = (sample[i : i + _BLOCK_ROWS].astype(np.float32) for i in range(0, len(sample), _BLOCK_ROWS))
    return np.concatenate([rotation.apply(block) for block in blocks])


def _enough(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Repeated until there are as many as a quantiser needs: a shard of one vector works like any other."""
    return np.resize(points, (max(len(points), _POINTS_PER_QUANTISER), points.shape[1]))
