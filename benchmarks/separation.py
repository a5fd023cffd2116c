"""Measures of how well a number separates two groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_RESAMPLINGS = 2_000


def area_under_curve(present: NDArray[np.float64], absent: NDArray[np.float64]) -> float:
    """Return the probability that a query with matches scores above one without; ties count half."""
    difference = present[:, None] - absent[None, :]
    return float((difference > 0).mean() + 0.5 * (difference == 0).mean())


def interval(
    rng: np.random.Generator, present: NDArray[np.float64], absent: NDArray[np.float64]
) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of the area over queries."""
    areas = []
    for _ in range(_RESAMPLINGS):
        drawn = rng.integers(len(present), size=len(present))
        areas.append(area_under_curve(present[drawn], absent[rng.integers(len(absent), size=len(absent))]))
    low, high = np.percentile(areas, (2.5, 97.5))
    return float(low), float(high)
