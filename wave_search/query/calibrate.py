"""Scores that can be compared: how far a score stands out from what the query scores on anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

BACKGROUND_SIZE = 1024
_SEED = 0
_MIN_STD = 1e-6
"""Below this, the background is one vector many times over, and nothing can stand out from it."""


@dataclass(frozen=True, slots=True)
class Background:
    """How a query scores on a random sample of a partition."""

    mean: float
    std: float
    """0.0 if the sample says nothing about the spread."""

    @classmethod
    def of(cls, scores: NDArray[np.float32]) -> Background:
        """Measure the scores (n,) of the sample."""
        if len(scores) < 2:
            return cls(0.0, 0.0)
        mean, std = float(scores.mean(dtype=np.float64)), float(scores.std(dtype=np.float64))
        return cls(mean, std if std >= _MIN_STD else 0.0)

    def z(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scores in standard deviations above the mean; all 0 if there is no spread to compare with."""
        if self.std == 0.0:
            return np.zeros_like(scores)
        return ((scores - self.mean) / self.std).astype(np.float32)


def draw(ids: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Draw the background sample of a partition: the same for the same ids, in their order."""
    if len(ids) <= size:
        return ids
    return np.sort(np.random.default_rng(_SEED).choice(ids, size, replace=False))
