"""Several parts as one query: the sum of their unit vectors, weighted.

Of the rules that were compared this one finds best, and it is the simplest: what it makes are vectors, so that nothing
behind it has to know of parts. docs/queries.md has the figures.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from wave_search.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

MAX_ROWS = 512
"""Of a query of several parts. Each is compared with each vector that is searched."""
_NOTHING = 1e-3
"""A sum shorter than this is what rounding left."""


def combine(parts: Sequence[tuple[NDArray[np.float32], float]]) -> NDArray[np.float32]:
    """Combine the parts of a query.

    A single part stays as it is. Of several, each combination of a row of every wanted part becomes a row, so that the
    best combination decides. An unwanted part is its mean: a segment that is unlike only some of it must not escape.

    Args:
        parts: rows (q, dim) of unit norm with their weight, below 0 for what is to be avoided.

    Returns:
        (rows, dim) of unit norm; a segment's score is its best over them.

    Raises:
        UsageError: no part is wanted, there are too many combinations, or the parts cancel each other.
    """
    wanted = [(rows, weight) for rows, weight in parts if weight > 0]
    if not wanted:
        raise UsageError("there is nothing to look for, only what to avoid", "Say what should be found as well.")
    if len(parts) == 1:
        return parts[0][0]
    count = math.prod(len(rows) for rows, _ in wanted)
    if count > MAX_ROWS:
        lengths = " x ".join(str(len(rows)) for rows, _ in wanted)
        raise UsageError(
            f"the query has {lengths} = {count:,} combinations of segments, more than {MAX_ROWS}",
            "Give a range of the long files: FILE@START-STOP.",
        )
    total = np.zeros((1, wanted[0][0].shape[1]), np.float32)
    for rows, weight in wanted:
        total = (total[:, None] + weight * rows).reshape(-1, total.shape[1])
    for rows, weight in parts:
        if weight < 0:
            total += weight * _unit(rows.mean(axis=0, keepdims=True))
    return _unit(total)


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    if (norms < _NOTHING).any():
        raise UsageError("the parts of the query cancel each other", "Change what is given, or the weights.")
    unit: NDArray[np.float32] = rows / norms
    return unit
