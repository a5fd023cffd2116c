"""Random samples that are the same every time, and what the scores of a sample say of all."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SEED = 0
BACKGROUND_SIZE = 1024
"""So many segments of a partition stand for all of it when the scores of typical queries are measured."""
_MEAN_OF_HALF = math.sqrt(2 / math.pi)
_STD_OF_HALF = math.sqrt(1 - 2 / math.pi)
"""Of the lower half of a normal distribution: how far its mean is below that of the whole, and its standard deviation,
both in standard deviations of the whole."""
_DECIMALS = 6
"""Beyond these, scores differ by rounding."""


def draw(ids: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Draw at most `size` of the ids (n,): the same for the same ids, in their order."""
    if len(ids) <= size:
        return ids
    return np.sort(np.random.default_rng(_SEED).choice(ids, size, replace=False))


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
