"""Scores that can be compared: how far a score stands out from what the query scores on anything."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from wave_search.store import ScoreStats
    from wave_search.types import Modality

SAMPLE_SIZE = 32
"""So many segments of a partition stand for all of it when a query is calibrated. docs/scores.md has the figures: more
change nothing, and each is read for each query."""
_MEAN_OF_HALF = math.sqrt(2 / math.pi)
_STD_OF_HALF = math.sqrt(1 - 2 / math.pi)
"""Of the lower half of a normal distribution: how far its mean is below that of the whole, and its standard deviation,
both in standard deviations of the whole."""
_DECIMALS = 6
"""Beyond these, scores differ by rounding."""
_MIN_STD = 1e-6
"""If scores are nearer to each other than this, they are those of one vector many times over: nothing stands out."""


@dataclass(frozen=True, slots=True)
class Background:
    """How a query scores on what is not like it."""

    mean: float
    std: float
    """0.0 if the sample says nothing about the spread."""
    sample_mean: float
    """What the query scores on anything, matches too."""

    @classmethod
    def of(
        cls, scores: NDArray[np.float32], typical_std: float | None = None, typical_mean: float | None = None
    ) -> Background:
        """Estimate it from the scores (n,) on a sample.

        Args:
            scores: what the query scores on the sample.
            typical_std: how far the scores of such queries usually spread. None to take this query's own spread, with
                which one that is like nothing in the partition has hits as far out as any other.
            typical_mean: what such queries usually score. Then the mean is half way between that and the query's own:
                some queries score higher on everything, and others only because there is much that is like them. None
                where queries like this are too different from typical ones, for the query's own.
        """
        values = scores.tolist()  # to reckon with few numbers, numpy takes longer than Python
        if len(values) < 2 or max(values) - min(values) < _MIN_STD:
            return cls(0.0, 0.0, 0.0)
        own_mean, std = background(scores, typical_std or None)
        mean = own_mean if typical_mean is None else (own_mean + typical_mean) / 2
        return cls(mean, std if std >= _MIN_STD else 0.0, math.fsum(values) / len(values))

    @property
    def usual_z(self) -> float:
        """The z that anything has in the mean: above 0 where much is like the query, or it scores more than typical."""
        return (self.sample_mean - self.mean) / self.std if self.std else 0.0

    def z(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scores in standard deviations above the mean; all 0 if there is no spread to compare with."""
        if self.std == 0.0:
            return np.zeros_like(scores)
        return (scores - self.mean) / self.std


def background_of(
    scores: NDArray[np.float32], rows: int, kind: Modality | None, score_stats: Mapping[Modality, ScoreStats]
) -> Background:
    """Choose what is known of queries like this one.

    Args:
        scores: (n,) of the query on the sample.
        rows: how many it has. What a best of several scores is not what typical queries score.
        kind: what it is; None if that is not known.
        score_stats: of the partition. Where the kind is not among them, the query has the spread of all kinds.
    """
    if kind is not None and kind in score_stats:
        return Background.of(scores, score_stats[kind].std, score_stats[kind].mean if rows == 1 else None)
    squares = [spread.std**2 for spread in score_stats.values()]
    return Background.of(scores, math.sqrt(math.fsum(squares) / len(squares)) if squares else None)


def background(scores: NDArray[np.floating], std: float | None = None) -> tuple[float, float]:
    """Mean and standard deviation of what a query scores where nothing is like it.

    Those of the normal distribution whose lower half is that of the scores. The upper half is left out because it may
    hold matches: of a fifth of the library, they would raise the mean by more than a match stands out from its like.
    What is there many times over, silence or a black picture, counts once: it would have no spread to compare with.

    Args:
        scores: (n,), two or more.
        std: the standard deviation, if it is known better.
    """
    # In plain Python: the scores of a query are few.
    distinct = sorted(set(scores.round(_DECIMALS).tolist()))
    lower = distinct[: max(2, (len(distinct) + 1) // 2)]
    mean = math.fsum(lower) / len(lower)
    found = math.dist(lower, [mean] * len(lower)) / math.sqrt(len(lower)) / _STD_OF_HALF if std is None else std
    return mean + _MEAN_OF_HALF * found, found
