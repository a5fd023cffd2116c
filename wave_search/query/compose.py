"""Several parts as one query: candidates are found by the sum of their vectors, and ordered by how well each is met.

A vector is what an index can be searched by, and no rule that is one finds as well as to ask for each part. So both are
done: docs/queries.md has the figures.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from wave_search.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from wave_search.types import Modality

MAX_ROWS = 512
"""Of a query of several parts. Each is compared with each vector that is searched."""
_NOTHING = 1e-3
"""A sum shorter than this is what rounding left."""
_SOFTNESS = 2.0
"""Of the minimum, in z: differences of z that are larger than this count fully."""
_LIKE_IT = 1.0
"""From this z above the usual on, a segment is like a part to avoid."""
_FAR_ABOVE = 1000.0
"""A z is taken as this if it is higher, as among segments that are nearly the same: exp(-z) would not be a number."""
_PENALTY = 8.0
"""What each z above that costs, times the weight of the part beside the mean of the wanted ones."""


@dataclass(frozen=True, slots=True)
class QueryTerm:
    """A part of a query, embedded."""

    rows: NDArray[np.float32]
    """(q, dim) of unit norm; what a segment scores is its best over them."""
    weight: float
    """Below 0 for what is to be avoided."""
    kind: Modality | None
    """What the vectors are of; None if that is not known."""


def combine(parts: Sequence[QueryTerm]) -> NDArray[np.float32]:
    """Add the vectors of a query, each times its weight.

    A single part stays as it is. Of several, each combination of a row of every wanted part becomes a row, so that the
    best combination decides. An unwanted part is its mean: a segment that is unlike only some of it must not escape.

    Returns:
        (rows, dim) of unit norm; a segment's score is its best over them.

    Raises:
        UsageError: no part is wanted, there are too many combinations, or the parts cancel each other.
    """
    wanted = [part for part in parts if part.weight > 0]
    if not wanted:
        raise UsageError("there is nothing to look for, only what to avoid", "Say what should be found as well.")
    if len(parts) == 1:
        return parts[0].rows
    count = math.prod(len(part.rows) for part in wanted)
    if count > MAX_ROWS:
        lengths = " x ".join(str(len(part.rows)) for part in wanted)
        raise UsageError(
            f"the query has {lengths} = {count:,} combinations of segments, more than {MAX_ROWS}",
            "Give a range of the long files: FILE@START-STOP.",
        )
    total = np.zeros((1, wanted[0].rows.shape[1]), np.float32)
    for part in wanted:
        total = (total[:, None] + part.weight * part.rows).reshape(-1, total.shape[1])
    for part in parts:
        if part.weight < 0:
            total += part.weight * _unit(part.rows.mean(axis=0, keepdims=True))
    return _unit(total)


def joint_z(z: NDArray[np.float32], weights: Sequence[float], usual: NDArray[np.float32]) -> NDArray[np.float32]:
    """How far segments stand out as an answer to all parts: a soft minimum.

    Let d be how far a z is above the usual one. With sigmoid(d / 2) as the degree to which a part is met, all of them
    are met to the degree of their weighted geometric mean. The result is the d of that degree, above the weighted mean
    of the usual z. So it is z itself if all z are the same and usual alike, and never above their weighted mean. Being
    like a part to avoid is then subtracted.

    Args:
        z: (parts, n) of n segments by each part.
        weights: (parts,), at least one above 0; below 0 for what is to be avoided. Only their ratios matter.
        usual: (parts,) z of anything, in the mean. A part by which all stand out would else hardly tell one segment
            from another.

    Returns:
        (n,).
    """
    signed = np.asarray(weights, np.float64)
    wanted = signed > 0
    above = (z - usual[:, None]).astype(np.float64)
    shares = signed[wanted] / signed[wanted].sum()
    unmet = shares @ np.logaddexp(0.0, -np.minimum(above[wanted], _FAR_ABOVE) / _SOFTNESS)  # -log of the degree
    met = shares @ usual[wanted] - _SOFTNESS * (unmet + np.log(-np.expm1(-unmet)))
    slopes = _PENALTY * -signed[~wanted] / signed[wanted].mean()
    joint: NDArray[np.float32] = (met - slopes @ np.maximum(above[~wanted] - _LIKE_IT, 0.0)).astype(np.float32)
    return joint


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    if (norms < _NOTHING).any():
        raise UsageError("the parts of the query cancel each other", "Change what is given, or the weights.")
    unit: NDArray[np.float32] = rows / norms
    return unit
