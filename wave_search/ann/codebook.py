"""What is learnt once for a partition and shared by its shards: rotation, coarse centroids, product quantiser."""

from __future__ import annotations

import io
import math
import zlib
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from wave_search.ann import files
from wave_search.ann.gpu import on_gpus
from wave_search.ann.rotation import principal_rotation
from wave_search.ann.threads import one_thread

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

ROTATION, CENTROIDS, QUANTISERS = "rotation.npy", "centroids.npy", "quantisers.npy"
_DIMS = 256
"""Of about 3584: they keep 90 % of the variance; the rest is made good by exact re-scoring."""
_SHRINK = 0.87
"""Of rotated vectors, beside queries of length 1."""
_ROTATION_SAMPLE = 16_384
_POINTS_PER_LIST = 39
"""Fewer make poor centroids (https://github.com/facebookresearch/faiss/wiki/FAQ)."""
_POINTS_PER_QUANTISER = 16 * _POINTS_PER_LIST
"""A sub-quantiser of 4 bits has 16 centroids."""
_SMALL_SAMPLE = 10_000
"""One thread needs about a second to train on it."""
_BLOCK_ROWS = 8_192


class Sample(Protocol):
    """Vectors to train on, read piece by piece: an array is one, and so is what reads slices from a disk."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> NDArray[np.float16]: ...


class Codebook:
    """Turns vectors into codes and lists. Never changes.

    Args:
        rotation: (dims, dim) float32; rows of one length, which need not be 1.
        centroids: (lists, dims) float32, of the rotated vectors.
        quantisers: (parts, 16, 2) float32, the centroids of each two dimensions.

    Attributes:
        dim: of the vectors.
        lists: into how many the vectors are sorted.
        checksum: of all that it consists of; a shard names that of its codebook.
    """

    def __init__(
        self, rotation: NDArray[np.float32], centroids: NDArray[np.float32], quantisers: NDArray[np.float32]
    ) -> None:
        import faiss

        dims = len(rotation)
        self.dim = int(rotation.shape[1])
        self.lists = len(centroids)
        self.checksum = 0
        for array in (rotation, centroids, quantisers):
            self.checksum = zlib.crc32(np.ascontiguousarray(array).data, self.checksum)
        # The other two are kept by faiss only: 8 MB at a million vectors.
        self._quantisers = quantisers
        self._rotation = faiss.LinearTransform(self.dim, dims, False)
        faiss.copy_array_to_vector(rotation.ravel(), self._rotation.A)
        self._rotation.is_trained = True
        self._normalise = faiss.NormalizationTransform(dims, 2.0)
        self._quantizer = faiss.IndexFlatL2(dims)
        self._quantizer.add(centroids)

    @staticmethod
    def sample_size(count: int) -> int:
        """How many vectors of a partition with `count` are worth training on."""
        return min(count, max(_ROTATION_SAMPLE, 48 * _lists(count)))

    @classmethod
    def train(cls, sample: Sample, count: int, seed: int = 0) -> Codebook:
        """Train by rule. Holds the whole of a small sample, and of a large one what is left of it after the rotation.

        Args:
            sample: (s, dim) vectors of the partition, any subset of at least one, evenly drawn.
            count: vectors that the partition holds or will soon hold; sets the number of lists.
            seed: the result is the same for the same sample and seed on the same machine.
        """
        import faiss

        points = sample[:: max(1, len(sample) // _ROTATION_SAMPLE)].astype(np.float32)
        dims = min(_DIMS, points.shape[1]) // 2 * 2  # two to a sub-quantiser
        rotation = principal_rotation(points, dims, seed) * np.float32(_SHRINK)
        del points
        lists = min(_lists(count), _power_of_two_below(len(sample) / _POINTS_PER_LIST))
        quantizer = faiss.IndexFlatL2(dims)
        ivf = _empty(quantizer, lists)
        ivf.cp.seed = ivf.pq.cp.seed = seed + 1
        # faiss would print a warning about small samples; the rule above cares for them.
        ivf.cp.min_points_per_centroid = ivf.pq.cp.min_points_per_centroid = 1
        with on_gpus(ivf), one_thread() if len(sample) <= _SMALL_SAMPLE else nullcontext():
            ivf.train(_enough(_apply(rotation, sample)))
        quantisers = faiss.vector_to_array(ivf.pq.centroids).reshape(dims // 2, 16, 2)
        return cls(rotation, quantizer.reconstruct_n(0, lists), quantisers)

    @classmethod
    def open(cls, directory: Path, dim: int) -> Codebook:
        """Read a codebook.

        Raises:
            IndexCorruptError: missing or damaged files, or for vectors of another size; the remedy is to rebuild it.
        """
        meta = files.read_meta(directory)
        rotation, centroids, quantisers = (
            np.load(io.BytesIO(files.read_bytes(directory, name, meta))) for name in (ROTATION, CENTROIDS, QUANTISERS)
        )
        if rotation.shape[1] != dim:
            raise files.damaged(directory, f"it is for vectors of {rotation.shape[1]}, not {dim}")
        return cls(rotation, centroids, quantisers)

    def write(self, parent: Path) -> str:
        """Write it under `parent`, in a temporary folder that is renamed when it is whole.

        Returns:
            The name of its folder.

        Raises:
            IndexStateError: the disk is full or read-only.
        """
        import faiss

        name = f"codebook-{files.new_mark()}"
        rotation = faiss.vector_to_array(self._rotation.A).reshape(-1, self.dim)
        centroids = self._quantizer.reconstruct_n(0, self.lists)
        with files.new_folder(parent) as temporary:
            np.save(temporary / ROTATION, rotation)
            np.save(temporary / CENTROIDS, centroids)
            np.save(temporary / QUANTISERS, self._quantisers)
            files.write_meta(temporary)
            temporary.rename(parent / name)
        return name

    def rotate(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Vectors (n, dim) as they are encoded: (n, dims)."""
        rotated: NDArray[np.float32] = self._rotation.apply(vectors)
        return rotated

    def rotate_queries(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Queries (q, dim) as they are compared with rotated vectors: (q, dims), of length 1.

        What is left of a vector of the partition in these dimensions is longer than what is left of a query of another
        modality, and the distance between them then ranks more by the length of the vector. Between such distances and
        inner products is what ranks like the vectors themselves: queries that are some 1.2 times as long as vectors,
        which has to be measured. As they are, queries of another modality need half as many candidates again.
        """
        rotated: NDArray[np.float32] = self._normalise.apply(self.rotate(rows))
        return rotated

    def probe(self, rotated: NDArray[np.float32], nprobe: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The nearest lists of each row: squared distances and numbers, both (n, probes), nearest first."""
        distances, lists = self._quantizer.search(rotated, nprobe)
        return distances, lists

    def in_front_of(self, index: Any) -> Any:
        """A faiss index that searches one of rotated vectors for queries as they are."""
        import faiss

        found = faiss.IndexPreTransform(self._normalise, index)
        found.prepend_transform(self._rotation)
        return found

    def new_index(self) -> Any:
        """A new, empty faiss index of rotated vectors. It shares the centroids with this codebook."""
        import faiss

        index = _empty(self._quantizer, self.lists)
        faiss.copy_array_to_vector(self._quantisers.ravel(), index.pq.centroids)
        index.is_trained = True
        return index


def _empty(quantizer: Any, lists: int) -> Any:
    import faiss

    # L2 on unit vectors ranks like the inner product, and stays right after dimensions are dropped. Codes of the
    # vectors themselves, not of residuals: one look-up table then serves all lists, which takes a quarter of the time,
    # and the recall that it costs is had back with a few more candidates.
    index = faiss.IndexIVFPQFastScan(quantizer, quantizer.d, lists, quantizer.d // 2, 4)
    index.by_residual = False
    return index


def _lists(count: int) -> int:
    # Twice as many take longer to choose from than they save of codes; and the last 32 codes of each are half empty.
    return int(2 ** round(math.log2(2 * math.sqrt(max(count, 1)))))


def _power_of_two_below(value: float) -> int:
    return int(2 ** math.floor(math.log2(value))) if value >= 1 else 1


def _apply(rotation: NDArray[np.float32], sample: Sample) -> NDArray[np.float32]:
    blocks = (sample[i : i + _BLOCK_ROWS].astype(np.float32) for i in range(0, len(sample), _BLOCK_ROWS))
    return np.concatenate([block @ rotation.T for block in blocks])


def _enough(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Repeated until there are as many as a quantiser needs: a shard of one vector works like any other."""
    return np.resize(points, (max(len(points), _POINTS_PER_QUANTISER), points.shape[1]))
