"""Groups of segments that are linked by their similarity."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from wave_search.query.duplicates import Links, _connected


@given(
    count=st.integers(1, 12),
    share=st.sampled_from((0.05, 0.1, 0.2, 0.9)),
    seed=st.integers(0, 2**32 - 1),
)
def test_groups_are_the_connected_components_and_their_lowest_cosine(count: int, share: float, seed: int) -> None:
    chance = np.random.default_rng(seed)
    linked = np.triu(chance.random((count, count)) < share, 1)
    cosines = chance.uniform(0.9, 1.0, (count, count)).astype(np.float32)

    def links() -> Iterator[Links]:
        for row in chance.permutation(np.flatnonzero(linked.any(axis=1))):
            yield int(row), np.flatnonzero(linked[row]), cosines[row, linked[row]]

    reached = np.linalg.matrix_power((linked | linked.T | np.eye(count, dtype=bool)).astype(np.float64), count) > 0
    found = sorted(_connected(count, links()))
    groups = {tuple(np.flatnonzero(row).tolist()) for row in reached if row.sum() > 1}
    assert [tuple(positions) for positions, _ in found] == sorted(groups)
    for positions, score in found:
        pairs = [pair for pair in combinations(positions, 2) if linked[pair]]
        assert score == min(float(cosines[pair]) for pair in pairs)
