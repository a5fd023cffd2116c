"""Principal components of many vectors, which are read in batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

SAMPLE_ROWS = 16_384
"""Vectors that the components are computed from: 117 MB at 3,584 dimensions."""
_BLOCK_ROWS = 2_048
"""Vectors converted to float32 at once: 29 MB at 3,584 dimensions."""
_EXTRA = 8
"""Directions that are computed beyond those that are wanted: with them, the wanted ones converge quickly."""
_ITERATIONS = 12
_SEED = 7
_EDGE = 0.05
"""Share of each side of the map for outliers."""
_OUTLIERS = 0.005
"""Share of the points at each end of an axis that are outliers."""
_SMALLEST_SPREAD = 1e-5
"""Less than this is rounding of unit vectors, not a difference."""


@dataclass(frozen=True, slots=True)
class Components:
    """The directions in which vectors differ most."""

    mean: NDArray[np.float32]
    """(dim,)."""
    axes: NDArray[np.float32]
    """(dim, components), orthonormal, the one with the largest variance first."""

    def place(self, vectors: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return the coordinates (n, components) of vectors (n, dim)."""
        placed = (vectors.astype(np.float32) - self.mean) @ self.axes
        return placed.astype(np.float32, copy=False)


def sample(batches: Iterable[NDArray[np.float16]], count: int) -> NDArray[np.float16]:
    """Return at most `SAMPLE_ROWS` of `count` vectors, evenly spaced: the same ones whatever the batches are.

    Args:
        batches: arrays (b, dim), together of `count` rows, at least one.
        count: number of vectors.
    """
    wanted = np.unique(np.linspace(0, count - 1, min(count, SAMPLE_ROWS)).round().astype(np.int64))
    kept, begin = [], 0
    for batch in batches:
        low, high = np.searchsorted(wanted, (begin, begin + len(batch)))
        kept.append(batch[wanted[low:high] - begin])
        begin += len(batch)
    return np.concatenate(kept)


def principal_components(
    vectors: NDArray[np.floating], components: int, step: Callable[[float], None] = lambda _: None
) -> Components:
    """Compute the principal components of vectors, by subspace iteration from a fixed start.

    After Halko, Martinsson and Tropp, SIAM Review 53 (2011): the covariance of 3,584 dimensions is never formed.

    Args:
        vectors: (n, dim), n >= 1.
        components: number of components; never more than dimensions.
        step: called with the share that is done.
    """
    dim = vectors.shape[1]
    mean = vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
    start = np.random.default_rng(_SEED).standard_normal((dim, min(dim, components + _EXTRA)))
    basis = np.linalg.qr(start.astype(np.float32))[0]
    for iteration in range(_ITERATIONS):
        basis = np.linalg.qr(_times_covariance(vectors, mean, basis))[0]
        step((iteration + 1) / (_ITERATIONS + 1))
    _, turns = np.linalg.eigh(basis.T @ _times_covariance(vectors, mean, basis))
    axes = basis @ turns[:, ::-1][:, :components]
    # The sign of a component is arbitrary: the largest coordinate of each is positive.
    largest = np.abs(axes).argmax(axis=0)
    axes *= np.where(axes[largest, np.arange(axes.shape[1])] < 0, -1, 1)
    return Components(mean, axes.astype(np.float32))


def _times_covariance(
    vectors: NDArray[np.floating], mean: NDArray[np.float32], directions: NDArray[np.float32]
) -> NDArray[np.float32]:
    product = np.zeros(directions.shape, np.float32)
    for block in _blocks(vectors):
        centred = block.astype(np.float32) - mean
        product += centred.T @ (centred @ directions)
    return product / np.float32(len(vectors))


def _blocks(vectors: NDArray[np.floating]) -> Iterator[NDArray[np.floating]]:
    for begin in range(0, len(vectors), _BLOCK_ROWS):
        yield vectors[begin : begin + _BLOCK_ROWS]


def spread(coordinates: NDArray[np.floating]) -> NDArray[np.float32]:
    """Spread points over a map whose sides are from 0 to 1, in the same order along each axis.

    All but the outliers fill the map to its edges, where outliers are moved nearer: they cannot squeeze the rest. Along
    an axis in which the points do not differ, they are in the middle.

    Args:
        coordinates: (n, 2) finite.

    Returns:
        (n, 2).
    """
    places = np.full(coordinates.shape, 0.5)
    for axis, values in enumerate(np.asarray(coordinates, np.float64).T):
        if not len(values):
            continue
        low, high = np.quantile(values, (_OUTLIERS, 1 - _OUTLIERS))
        if high - low < _SMALLEST_SPREAD:
            low, high = values.min(), values.max()
        if high - low < _SMALLEST_SPREAD:
            continue
        share = (values - low) / (high - low)
        beyond = np.maximum(0, np.maximum(-share, share - 1)) * (1 - 2 * _EDGE) / _EDGE
        moved = _EDGE - _EDGE / (1 + beyond)  # as steep as the rest where it begins, and never at the side itself
        inner = _EDGE + (1 - 2 * _EDGE) * share.clip(0, 1)
        places[:, axis] = inner + np.where(share > 1, moved, -moved)
    return places.astype(np.float32)
