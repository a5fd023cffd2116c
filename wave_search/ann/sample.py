"""Random samples that are the same every time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SEED = 0


def draw(ids: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Draw at most `size` of the ids (n,): the same for the same ids, in their order."""
    if len(ids) <= size:
        return ids
    return np.sort(np.random.default_rng(_SEED).choice(ids, size, replace=False))
