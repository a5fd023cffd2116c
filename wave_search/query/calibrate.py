"""Scores that can be compared: how far a score stands out from what the query scores on anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MIN_STD = 1e-6
"""Below this, the background is one vector many times over, and nothing can stand out from it."""


@dataclass(frozen=True, slots=True)
class Background:
    """How a query scores on a random sample of a partition."""

    mean: float
    std: float
    """0.0 if the sample says nothing about the spread."""

    @classmethod
    def of(cls, scores: NDArray[np.float32], typical_std: float | None = None) -> Background:
        """Measure the scores (n,) of the sample.

        Args:
            scores: what the query scores on the sample.
            typical_std: how far the scores of such queries usually spread. None to take this query's own spread, with
                which one that is like nothing in the partition has hits as far out as any other.
        """
        if len(scores) < 2:
            return cls(0.0, 0.0)
        mean, own = float(scores.mean(dtype=np.float64)), float(scores.std(dtype=np.float64))
        return cls(mean, 0.0 if own < _MIN_STD else typical_std or own)

    def z(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scores in standard deviations above the mean; all 0 if there is no spread to compare with."""
        if self.std == 0.0:
            return np.zeros_like(scores)
        return ((scores - self.mean) / self.std).astype(np.float32)
