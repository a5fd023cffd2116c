"""The background distribution of a query: what it scores on segments that do not match it."""

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
"""Number of segments of a partition that a query is scored on for calibration. More do not change the result, and each
costs time in each search: see docs/design/scores.md for the measurements."""
_MEAN_OF_HALF = math.sqrt(2 / math.pi)
"""Distance between the mean of the lower half of a normal distribution and its mean, in standard deviations."""
_STD_OF_HALF = math.sqrt(1 - 2 / math.pi)
"""Standard deviation of the lower half, in standard deviations of the whole distribution."""
_DECIMALS = 6
"""Scores that agree to this many decimals differ only by rounding."""
MIN_STD = 1e-6
"""Scores with a smaller range or standard deviation come from copies of one vector, so none of them stands out."""


@dataclass(frozen=True, slots=True)
class Background:
    """The distribution of a query's cosines with segments that do not match it."""

    mean: float
    std: float
    """0.0 if the sample does not determine it."""
    sample_mean: float
    """Mean cosine of the whole sample, including matches."""

    @classmethod
    def of_query(
        cls,
        scores: NDArray[np.float32],
        rows: int,
        query_modality: Modality | None,
        score_stats: Mapping[Modality, ScoreStats],
    ) -> Background:
        """Estimate the background of a query from its scores and the measured statistics of the cohort of its modality.

        This is the only rule that chooses mean and standard deviation:

        * std: that of the cohort of the query's modality; the quadratic mean of all cohorts if there is none of this
          modality; the query's own if nothing was measured.
        * mean: the query's own; halfway between it and that of the cohort of its modality, if there is one and the
          query has a single row, because the best of several rows scores higher than the queries of a cohort.

        Args:
            scores: (n,) of the query on the sample.
            rows: number of vectors of the query.
            query_modality: of the media that were embedded; None if it is not known.
            score_stats: of the partition.
        """
        if query_modality is not None and query_modality in score_stats:
            cohort = score_stats[query_modality]
            return cls.of(scores, cohort.std, cohort.mean if rows == 1 else None)
        variances = [cohort.std**2 for cohort in score_stats.values()]
        return cls.of(scores, math.sqrt(math.fsum(variances) / len(variances)) if variances else None)

    @classmethod
    def of(
        cls, scores: NDArray[np.float32], typical_std: float | None = None, typical_mean: float | None = None
    ) -> Background:
        """Estimate the background from the scores (n,) of a query on a sample.

        Args:
            scores: of the query on the sample.
            typical_std: standard deviation of typical queries. None for the query's own, by which even a query that
                matches nothing in the partition has hits that stand out as far as any other's.
            typical_mean: mean score of typical queries. The result is halfway between it and the query's own, because
                some queries score higher on everything, and others because much of the partition matches them. None for
                the query's own.
        """
        values = scores.tolist()  # Python is faster than numpy for few numbers
        if len(values) < 2 or max(values) - min(values) < MIN_STD:
            return cls(0.0, 0.0, 0.0)
        own_mean, std = fit_lower_half(scores, typical_std or None)
        mean = own_mean if typical_mean is None else (own_mean + typical_mean) / 2
        return cls(mean, std if std >= MIN_STD else 0.0, math.fsum(values) / len(values))

    @property
    def usual_z(self) -> float:
        """Mean z of the sample: above 0 where much matches the query, or where it scores more than typical queries."""
        return (self.sample_mean - self.mean) / self.std if self.std else 0.0

    def z(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return scores in standard deviations above the mean; all 0 if there is no standard deviation."""
        if self.std == 0.0:
            return np.zeros_like(scores)
        return (scores - self.mean) / self.std


def fit_lower_half(scores: NDArray[np.floating], std: float | None = None) -> tuple[float, float]:
    """Return mean and standard deviation of the normal distribution whose lower half is that of the scores.

    The upper half is left out because it may contain matches. If a fifth of the partition matched, the mean would rise
    by more than a match stands out. Equal scores count once, because there may be many equal ones, such as those of
    silence or black frames, which would reduce the standard deviation to nothing.

    Args:
        scores: (n,), two or more.
        std: the standard deviation, if it is known better.
    """
    # Plain Python, because a query has few scores.
    distinct = sorted(set(scores.round(_DECIMALS).tolist()))
    lower = distinct[: max(2, (len(distinct) + 1) // 2)]
    mean = math.fsum(lower) / len(lower)
    found = math.dist(lower, [mean] * len(lower)) / math.sqrt(len(lower)) / _STD_OF_HALF if std is None else std
    return mean + _MEAN_OF_HALF * found, found
