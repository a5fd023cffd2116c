"""The compared rules for composed queries, each of which orders items by their scores for two terms."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from wave_search.calibration.background import Background
from wave_search.query.fusion import joint_z
from wave_search.query.terms import AVOIDED

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Vector = NDArray[np.float32]
    Rule = Callable[["Seen"], Vector]

_OUT = 1e9


@dataclass(frozen=True)
class Seen:
    """The input of a rule."""

    cosines: Vector
    """(2, n) of both parts with all n items."""
    score_stats: Vector
    """(2, 2) mean and standard deviation of what typical queries of the kind of each part score."""
    between: float = 0.0
    """Cosine of both parts."""

    @cached_property
    def _backgrounds(self) -> list[Background]:
        parts = zip(self.cosines, self.score_stats.tolist(), strict=True)
        return [Background.of(row, std, mean) for row, (mean, std) in parts]

    @property
    def z(self) -> Vector:
        """(2, n) as an index measures them: by typical queries."""
        return np.stack([one.z(row) for one, row in zip(self._backgrounds, self.cosines, strict=True)])

    @property
    def usual(self) -> Vector:
        """(2,) the mean z by each part."""
        return np.array([one.usual_z for one in self._backgrounds], np.float32)

    @property
    def above(self) -> Vector:
        """(2, n) how far z is above the usual."""
        return self.z - self.usual[:, None]

    @property
    def own(self) -> Vector:
        """(2, n) by each part's own spread."""
        return (self.cosines - self.cosines.mean(axis=1, keepdims=True)) / self.cosines.std(axis=1, keepdims=True)

    @property
    def ranks(self) -> Vector:
        """(2, n) from 0."""
        return (-self.cosines).argsort(axis=1).argsort(axis=1)


def joint(seen: Seen) -> Vector:
    """Order by the shipped rule, with two terms to find."""
    return joint_z(seen.z, (1.0, 1.0), seen.usual)


def _soft(z: Vector, softness: float) -> Vector:
    return -np.logaddexp(0, -z / softness).sum(axis=0)


def _below(seen: Seen, slope: float, start: float) -> Vector:
    return seen.z[0] - slope * np.maximum(0, seen.above[1] - start)


TOGETHER: dict[str, Rule] = {
    "all terms, by d/2 (shipped)": joint,
    "by d": lambda seen: _soft(seen.above, 1),
    "by d/4": lambda seen: _soft(seen.above, 4),
    "by z/2": lambda seen: _soft(seen.z, 2),
    "by d of own spread": lambda seen: _soft(seen.own, 1),
    "min of d": lambda seen: seen.above.min(axis=0),
    "sum": lambda seen: seen.cosines.sum(axis=0),
    "sum of z": lambda seen: seen.z.sum(axis=0),
    "rank fusion": lambda seen: (1 / (60 + seen.ranks)).sum(axis=0),
    "product": lambda seen: (1 + seen.cosines).prod(axis=0),
    "max of d": lambda seen: seen.above.max(axis=0),
    "first term only": lambda seen: seen.cosines[0],
}
AVOIDING: dict[str, Rule] = {
    "z - 4 (d' - 1) if d' > 1 (shipped)": lambda seen: joint_z(seen.z, (1.0, -AVOIDED), seen.usual),
    "z - 2 (d' - 1)": lambda seen: _below(seen, 2, 1),
    "z - 8 (d' - 1)": lambda seen: _below(seen, 8, 1),
    "z - d' if d' > 0": lambda seen: _below(seen, 1, 0),
    "last if d' > 1": lambda seen: seen.z[0] - _OUT * (seen.above[1] > 1),
    "and not": lambda seen: _soft(seen.above * [[1], [-1]], 2),
    "sum, -0.25": lambda seen: seen.cosines[0] - 0.25 * seen.cosines[1],
    "sum, -0.5": lambda seen: seen.cosines[0] - 0.5 * seen.cosines[1],
    "sum, -1": lambda seen: seen.cosines[0] - seen.cosines[1],
    "projection": lambda seen: seen.cosines[0] - seen.between * seen.cosines[1],
    "rank fusion": lambda seen: 1 / (60 + seen.ranks[0]) - 1 / (60 + seen.ranks[1]),
    "ignored": lambda seen: seen.cosines[0],
}
