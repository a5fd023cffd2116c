"""The trained parameters of a partition that its shards share: rotation, coarse centroids, product quantiser.

On disk, a folder with rotation.npy (dims, dim), centroids.npy (lists, dims), quantisers.npy (dims / 2, 16, 2), all
float32, and meta.json.
"""

from __future__ import annotations

import math
import zlib
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np

from wave_search.ann.arrays import parse_array
from wave_search.ann.faiss_setup import on_gpus, one_thread
from wave_search.store.shards import new_folder, read_checked, read_meta, unique_suffix, write_meta

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from wave_search.ann.exact import VectorSource

ROTATION, CENTROIDS, QUANTISERS = "rotation.npy", "centroids.npy", "quantisers.npy"
_DIMS = 256
"""Dimensions kept of about 3584: they hold 90 % of the variance, and exact re-scoring compensates for the rest."""
_SHRINK = 0.87
"""Scale of rotated vectors relative to queries of length 1."""
_ROTATION_SAMPLE = 16_384
_VECTORS_PER_LIST = 48
"""Number of training samples drawn per list."""
_POINTS_PER_LIST = 39
"""Minimum number of training samples per list: fewer give poor centroids
(https://github.com/facebookresearch/faiss/wiki/FAQ)."""
_POINTS_PER_QUANTISER = 16 * _POINTS_PER_LIST
"""A sub-quantiser of 4 bits has 16 centroids."""
_SMALL_SAMPLE = 10_000
"""Number of training samples that take one thread about a second."""
_BLOCK_ROWS = 8_192
_EXTRA_DIRECTIONS = 32
_ITERATIONS = 3


class Codebook:
    """Encodes vectors, and assigns them to inverted lists. Immutable.

    Args:
        rotation: (dims, dim) float32; all rows have the same length, which need not be 1.
        centroids: (lists, dims) float32, of the rotated vectors.
        quantisers: (dims / 2, 16, 2) float32, the centroids of each pair of dimensions.

    Attributes:
        dim: of the vectors.
        block_bytes: size of the codes of 32 vectors: 4 bits for each sub-quantiser, whose number is rounded up to even.
        lists: number of inverted lists.
        checksum: CRC-32 of the three arrays; a shard names that of its codebook.
    """

    def __init__(
        self, rotation: NDArray[np.float32], centroids: NDArray[np.float32], quantisers: NDArray[np.float32]
    ) -> None:
        import faiss

        dims = len(rotation)
        self.block_bytes = 16 * (dims // 2 + dims // 2 % 2)
        self.dim = int(rotation.shape[1])
        self.lists = len(centroids)
        self.checksum = 0
        for array in (rotation, centroids, quantisers):
            self.checksum = zlib.crc32(np.ascontiguousarray(array).data, self.checksum)
        # The other two are kept in faiss only: 8 MB at a million vectors.
        self._quantisers = quantisers
        self._rotation = faiss.LinearTransform(self.dim, dims, False)
        faiss.copy_array_to_vector(rotation.ravel(), self._rotation.A)
        self._rotation.is_trained = True
        self._normalise = faiss.NormalizationTransform(dims, 2.0)
        self._quantizer = faiss.IndexFlatL2(dims)
        self._quantizer.add(centroids)

    @staticmethod
    def sample_size(count: int) -> int:
        """Return how many vectors to train on for a partition of `count`."""
        return min(count, max(_ROTATION_SAMPLE, _VECTORS_PER_LIST * _lists(count)))

    @classmethod
    def train(cls, sample: VectorSource, count: int, seed: int = 0) -> Codebook:
        """Train by k-means. Holds a small sample in memory; of a large one, only the rotated vectors.

        Args:
            sample: (s, dim) vectors of the partition, at least one, drawn uniformly.
            count: number of vectors that the partition holds or will soon hold; determines the number of lists.
            seed: the result is the same for the same sample and seed on the same machine.
        """
        import faiss

        points = sample[:: max(1, len(sample) // _ROTATION_SAMPLE)].astype(np.float32)
        dims = min(_DIMS, points.shape[1]) // 2 * 2  # two for each sub-quantiser
        rotation = principal_rotation(points, dims, seed) * np.float32(_SHRINK)
        del points
        lists = min(_lists(count), _power_of_two_below(len(sample) / _POINTS_PER_LIST))
        quantizer = faiss.IndexFlatL2(dims)
        ivf = _empty_ivf(quantizer, lists)
        ivf.cp.seed = ivf.pq.cp.seed = seed + 1
        # faiss would print a warning about small samples; the number of lists already follows from the sample.
        ivf.cp.min_points_per_centroid = ivf.pq.cp.min_points_per_centroid = 1
        with on_gpus(ivf), one_thread() if len(sample) <= _SMALL_SAMPLE else nullcontext():
            ivf.train(_repeated(_rotated(rotation, sample)))
        quantisers = faiss.vector_to_array(ivf.pq.centroids).reshape(dims // 2, 16, 2)
        return cls(rotation, quantizer.reconstruct_n(0, lists), quantisers)

    @classmethod
    def open(cls, folder: Path, dim: int) -> Codebook:
        """Read a codebook.

        Raises:
            IndexCorruptError: a file is missing or damaged, or the codebook is for vectors of another size; rebuild it.
            IndexStateError: a file cannot be read at the moment.
        """
        meta = read_meta(folder)

        def read(name: str, *shape: int | None) -> NDArray[np.float32]:
            return parse_array(folder, name, read_checked(folder, name, meta), shape)

        rotation = read(ROTATION, None, dim)
        dims = len(rotation)
        return cls(rotation, read(CENTROIDS, None, dims), read(QUANTISERS, dims // 2, 16, 2))

    def write(self, parent: Path) -> str:
        """Write a folder under `parent`: a temporary one, which is renamed when it is complete.

        Returns:
            The name of the folder.

        Raises:
            IndexStateError: the disk is full or read-only.
        """
        import faiss

        name = f"codebook-{unique_suffix()}"
        rotation = faiss.vector_to_array(self._rotation.A).reshape(-1, self.dim)
        centroids = self._quantizer.reconstruct_n(0, self.lists)
        with new_folder(parent) as temporary:
            np.save(temporary / ROTATION, rotation)
            np.save(temporary / CENTROIDS, centroids)
            np.save(temporary / QUANTISERS, self._quantisers)
            write_meta(temporary)
            temporary.rename(parent / name)
        return name

    def rotate(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Rotate vectors (n, dim) for encoding: (n, dims)."""
        rotated: NDArray[np.float32] = self._rotation.apply(vectors)
        return rotated

    def rotate_queries(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Rotate the vectors of a query (q, dim) for comparison with rotated vectors: (q, dims), of length 1.

        In these dimensions, vectors of the partition keep more of their length than queries of another modality do, so
        that distances between them would rank mainly by the length of the vector. Queries about 1.2 times as long as
        the vectors, as measured, give distances that rank like the full vectors. Without this, queries of another
        modality need 1.5 times as many candidates.
        """
        rotated: NDArray[np.float32] = self._normalise.apply(self.rotate(vectors))
        return rotated

    def nearest_lists(self, rotated: NDArray[np.float32], nprobe: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Find the nearest lists of each rotated vector: squared distances and numbers, (n, nprobe), nearest first."""
        distances, lists = self._quantizer.search(rotated, nprobe)
        return distances, lists

    def with_rotation(self, index: Any) -> Any:
        """Return a faiss index that rotates queries and then searches `index`."""
        import faiss

        rotating = faiss.IndexPreTransform(self._normalise, index)
        rotating.prepend_transform(self._rotation)
        return rotating

    def new_index(self) -> Any:
        """Return an empty faiss index of rotated vectors, which shares the centroids with this codebook."""
        import faiss

        index = _empty_ivf(self._quantizer, self.lists)
        faiss.copy_array_to_vector(self._quantisers.ravel(), index.pq.centroids)
        index.is_trained = True
        return index


def principal_rotation(sample: NDArray[np.float32], dims: int, seed: int) -> NDArray[np.float32]:
    """Return the leading principal directions of a sample, paired: the first with the last, the second with the next.

    Randomised subspace iteration (Halko, Martinsson, Tropp 2011, https://arxiv.org/abs/0909.4061, algorithm 4.4): at
    3584 dimensions many times faster than the full decomposition. In this order, the two dimensions of each
    sub-quantiser have about the same product of variances, which minimises the error of normally distributed vectors
    (Ge, He, Ke, Sun 2013, Optimized Product Quantization, section 3.2). A random rotation, which gives all dimensions
    the same variance, needs 1.5 times as many candidates for a recall@10 of 0.99.

    Args:
        sample: (n, dim), n >= 1.
        dims: number of directions, <= dim; even.
        seed: of the random initial vectors.

    Returns:
        (dims, dim) with orthonormal rows, whatever the rank of the sample.
    """
    random = np.random.default_rng(seed)
    centred = sample - sample.mean(axis=0)
    width = min(dims + _EXTRA_DIRECTIONS, sample.shape[1])
    basis = random.standard_normal((sample.shape[1], width), dtype=np.float32)
    for _ in range(_ITERATIONS):
        basis = np.linalg.qr(centred.T @ (centred @ basis))[0]
    reduced = centred @ basis
    _, directions = np.linalg.eigh(reduced.T @ reduced)  # ascending eigenvalues
    leading = directions[:, -dims:]
    paired = np.stack([leading[:, ::-1], leading], axis=2)[:, : dims // 2].reshape(-1, dims)
    return np.ascontiguousarray((basis @ paired).T, np.float32)


def _empty_ivf(quantizer: Any, lists: int) -> Any:
    import faiss

    # L2 ranks unit vectors like the inner product, and remains correct when dimensions are dropped. Codes encode
    # vectors, not residuals, so that one lookup table serves all lists. This takes a quarter of the time, and a few
    # more candidates restore the recall.
    index = faiss.IndexIVFPQFastScan(quantizer, quantizer.d, lists, quantizer.d // 2, 4)
    index.by_residual = False
    return index


def _lists(count: int) -> int:
    # With twice as many lists, choosing among them takes longer than it saves in codes, and the last block of 32 codes
    # in each list is half empty.
    return int(2 ** round(math.log2(2 * math.sqrt(max(count, 1)))))


def _power_of_two_below(value: float) -> int:
    return int(2 ** math.floor(math.log2(value))) if value >= 1 else 1


def _rotated(rotation: NDArray[np.float32], sample: VectorSource) -> NDArray[np.float32]:
    blocks = (sample[i : i + _BLOCK_ROWS].astype(np.float32) for i in range(0, len(sample), _BLOCK_ROWS))
    return np.concatenate([block @ rotation.T for block in blocks])


def _repeated(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Repeat points until a quantiser has enough of them, so that a shard of one vector works like any other."""
    return np.resize(points, (max(len(points), _POINTS_PER_QUANTISER), points.shape[1]))
