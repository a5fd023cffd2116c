"""Fusion of query terms: one set of vectors to find candidates by, and one z to order them by.

An index can be searched by vectors only, but no vector finds as well as asking for each term. So candidates are found
by the weighted sum of the terms and ordered by the z of each term: docs/design/queries.md has the figures.
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
"""Maximum number of vectors of a query of several terms: each is compared with each stored vector."""
FUSION_DEPTH = 200
"""Candidates that are scored by each term, in addition to those that are wanted. Measured: docs/design/queries.md."""
_MIN_NORM = 1e-3
"""A sum of unit vectors that is shorter is a rounding error."""
_SOFTNESS = 2.0
"""Scale of the soft minimum, in z: differences of z above it count fully."""
_AVOID_Z = 1.0
"""A segment matches a term to avoid from this z above the usual one."""
_MAX_Z = 1000.0
"""A z above it is taken as it, as among segments that are nearly the same: exp(-z) would underflow to 0."""
_PENALTY = 8.0
"""Cost of each z above `_AVOID_Z`, times the weight of the term relative to the mean weight of the terms to find."""


@dataclass(frozen=True, slots=True)
class QueryTerm:
    """A term of a query with its vectors."""

    vectors: NDArray[np.float32]
    """(q, dim) of unit norm; a segment's score is its best over them."""
    weight: float
    """Below 0 for a term to avoid."""
    modality: Modality | None
    """Of the media that were embedded; None if it is not known."""


@dataclass(frozen=True)
class Query:
    """A query with its vectors."""

    terms: tuple[QueryTerm, ...]
    """One or more."""
    exclude_ids: frozenset[int] = frozenset()
    """Ids of segments that are the query itself, and not hits."""

    @classmethod
    def of_vectors(cls, vectors: NDArray[np.float32], modality: Modality | None = None) -> Query:
        """Make a query of one term.

        Args:
            vectors: (q, dim) of unit norm.
            modality: of the media that were embedded; None if it is not known.
        """
        return cls((QueryTerm(vectors, 1.0, modality),))

    @cached_property
    def vectors(self) -> NDArray[np.float32]:
        """The terms combined, (rows, dim) of unit norm: a segment's score is its best over them.

        Raises:
            UsageError: see `combine`.
        """
        return combine(self.terms)


def combine(terms: Sequence[QueryTerm]) -> NDArray[np.float32]:
    """Add the vectors of the terms of a query, each times its weight.

    A single term stays as it is. Of several, each combination of a row of every term to find becomes a row, so that the
    best combination decides. A term to avoid is its mean: a segment that is unlike only some of its rows must not
    escape.

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
            "Give a range of the long files: FILE@START-STOP.",
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
    """Return how far segments stand out as matches of all terms: a soft minimum.

    Let d be how far a z is above the usual one. With sigmoid(d / 2) as the degree to which a term is met, all of them
    are met to the degree of their weighted geometric mean. The result is the d of that degree, above the weighted mean
    of the usual z. So it is z itself if all z are the same and usual alike, and never above their weighted mean. The
    penalty of the terms to avoid is then subtracted.

    Args:
        z: (terms, n) of n segments by each term.
        weights: (terms,), at least one above 0; below 0 for terms to avoid. Only their ratios matter.
        usual: (terms,) mean z of the segments of the partition. Otherwise a term by which all of them stand out would
            hardly tell one from another.

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
