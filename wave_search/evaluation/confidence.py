"""How far a figure may be from what other queries of the same kind would give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_RESAMPLES = 1000
_BLOCK = 50
_SEED = 0
_OUTSIDE = (2.5, 97.5)


@dataclass(frozen=True, slots=True)
class Figure:
    """A mean over queries."""

    name: str
    value: float
    low: float
    """Begin of the 95 % confidence interval."""
    high: float


def figure(name: str, values: NDArray[np.float64]) -> Figure:
    """Average over queries, with a percentile bootstrap interval (Efron 1979): the same for the same values.

    Args:
        name: of the figure.
        values: (queries,), at least one.
    """
    rng = np.random.default_rng(_SEED)
    count = len(values)
    shares = np.full(count, 1 / count)
    means = (
        np.concatenate([rng.multinomial(count, shares, _BLOCK) @ values for _ in range(_RESAMPLES // _BLOCK)]) / count
    )
    low, high = np.percentile(means, _OUTSIDE)
    return Figure(name, float(values.mean()), float(low), float(high))
