"""L2 normalisation of vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def normalize(vectors: ArrayLike, min_norm: float = 0.0) -> NDArray[np.float32]:
    """Scale vectors to unit L2 norm.

    Args:
        vectors: (dim,) or (..., dim) of any real dtype.
        min_norm: norm that each vector must exceed.

    Returns:
        float32 of the same shape.

    Raises:
        ValueError: a norm is not finite, or not above `min_norm`.
    """
    rows = np.asarray(vectors, np.float32)
    norms = np.sqrt(np.vecdot(rows, rows))[..., None]
    # Not true of NaN either.
    if norms.size and not (norms.min() > min_norm and norms.max() < np.inf):
        raise ValueError(f"a vector has no usable norm: {norms.ravel()[:8]}")
    unit: NDArray[np.float32] = rows / norms
    return unit
