"""Fusion of query terms: combined vectors for finding candidates, and a joint z for ordering them.

An index can only be searched by a vector, but no single vector ranks as well as scoring each term. Candidates are
therefore found by the weighted sum of the terms, and ordered by the z of each term: see docs/design/queries.md for the
measurements.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from wave_search.errors import UsageError
from wave_search.vectors import normalize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from wave_search.types import Modality

MAX_ROWS = 512
"""Maximum number of combined vectors of a query, because each is compared with each stored vector."""
FUSION_DEPTH = 200
"""Number of candidates scored by each term, in addition to those requested. For the measurement, see
docs/design/queries.md."""
_MIN_NORM = 1e-3
"""A shorter sum of unit vectors is a rounding error."""
_SOFTNESS = 2.0
"""Scale of the soft minimum, in z: differences of z above it count fully."""
_AVOID_Z = 1.0
"""Minimum z above the usual one at which a segment matches a term to avoid."""
_MAX_Z = 1000.0
"""Higher z, as among nearly identical segments, are clipped to this, because exp(-z) would underflow to 0."""
_PENALTY = 8.0
"""Penalty per z above `_AVOID_Z`, times the weight of the term relative to the mean weight of the terms to find."""


@dataclass(frozen=True, slots=True)
class QueryTerm:
    """A term of a query with its vectors."""

    vectors: NDArray[np.float32]
    """(q, dim) of unit norm; a segment's score is its best over them."""
    weight: float
    """Negative for a term to avoid."""
    modality: Modality | None
    """Modality of the embedded media; None if unknown."""


@dataclass(frozen=True)
class Query:
    """A query with its vectors."""

    terms: tuple[QueryTerm, ...]
    """One or more."""
    exclude_ids: frozenset[int] = frozenset()
    """Ids of segments that are the query itself and are excluded from the hits."""

    @classmethod
    def of_vectors(cls, vectors: NDArray[np.float32], modality: Modality | None = None) -> Query:
        """Create a query of one term.

        Args:
            vectors: (q, dim) of unit norm.
            modality: modality of the embedded media; None if unknown.
        """
        return cls((QueryTerm(vectors, 1.0, modality),))

    @cached_property
    def vectors(self) -> NDArray[np.float32]:
        """The combined vectors of the terms, (rows, dim) of unit norm: a segment's score is its best over them.

        Raises:
            UsageError: see `combine`.
        """
        return combine(self.terms)


def combine(terms: Sequence[QueryTerm]) -> NDArray[np.float32]:
    """Add the vectors of the terms of a query, each times its weight.

    A single term is unchanged. With several, each combination of one row per term to find becomes a row, so that the
    best combination counts. A term to avoid is represented by its mean, because a segment that is unlike only some of
    its rows must not escape the penalty.

    Returns:
        (rows, dim) of unit norm; a segment's score is its best over them.

    Raises:
        UsageError: there is no term to find, there are too many combinations, or the terms cancel each other.
    """
    wanted = [term for term in terms if term.weight > 0]
    if not wanted:
        raise UsageError("the query has only terms to avoid", "Add a term to find.")
    if len(terms) == 1:
        return terms[0].vectors
    count = math.prod(len(term.vectors) for term in wanted)
    if count > MAX_ROWS:
        lengths = " x ".join(str(len(term.vectors)) for term in wanted)
        raise UsageError(
            f"the query has {lengths} = {count:,} combinations of segments, more than {MAX_ROWS}",
            "Use a range of the long files: FILE@START-STOP.",
        )
    total = np.zeros((1, wanted[0].vectors.shape[1]), np.float32)
    for term in wanted:
        total = (total[:, None] + term.weight * term.vectors).reshape(-1, total.shape[1])
    for term in terms:
        if term.weight < 0:
            total += term.weight * _unit_sum(term.vectors.mean(axis=0, keepdims=True))
    return _unit_sum(total)


def _unit_sum(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    try:
        return normalize(rows, _MIN_NORM)
    except ValueError:
        raise UsageError("the terms of the query cancel each other", "Change the terms, or their weights.") from None


def joint_z(z: NDArray[np.float32], weights: Sequence[float], usual: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the joint z of segments over all terms: a soft minimum.

    Let d be the difference between a z and the usual one. With sigmoid(d / 2) as the degree to which a term is met, the
    degree to which all are met is their weighted geometric mean. The result is the d of that degree plus the weighted
    mean of the usual z. It therefore equals z if all z and all usual z are equal, and never exceeds their weighted
    mean. The penalty for the terms to avoid is then subtracted.

    Args:
        z: (terms, n) of n segments by each term.
        weights: (terms,), at least one positive; negative for terms to avoid. Only their ratios matter.
        usual: (terms,) mean z of the segments of the partition. Without it, a term that most segments match would
            hardly distinguish them.

    Returns:
        (n,).
    """
    signed = np.asarray(weights, np.float64)
    wanted = signed > 0
    above = (z - usual[:, None]).astype(np.float64)
    shares = signed[wanted] / signed[wanted].sum()
    unmet = shares @ np.logaddexp(0.0, -np.minimum(above[wanted], _MAX_Z) / _SOFTNESS)  # -log of the degree
    met = shares @ usual[wanted] - _SOFTNESS * (unmet + np.log(-np.expm1(-unmet)))
    slopes = _PENALTY * -signed[~wanted] / signed[wanted].mean()
    joint: NDArray[np.float32] = (met - slopes @ np.maximum(above[~wanted] - _AVOID_Z, 0.0)).astype(np.float32)
    return joint
