from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from wave_search.model.batching import group_by_length

LENGTHS = st.lists(st.integers(1, 300), max_size=60)


@given(LENGTHS, st.integers(1, 500))
def test_each_position_once_within_the_budget(lengths: list[int], budget: int) -> None:
    groups = group_by_length(lengths, budget)
    assert sorted(position for group in groups for position in group) == list(range(len(lengths)))
    for group in groups:
        assert len(group) == 1 or len(group) * max(lengths[position] for position in group) <= budget


@given(LENGTHS, st.integers(1, 500))
def test_neighbours_in_length_stay_together(lengths: list[int], budget: int) -> None:
    groups = group_by_length(lengths, budget)
    for earlier, later in pairwise(groups):
        assert min(lengths[position] for position in earlier) >= max(lengths[position] for position in later)
        # No batch is begun while there is room in the one before.
        assert (len(earlier) + 1) * max(lengths[position] for position in earlier) > budget


def test_equal_lengths_keep_their_order() -> None:
    assert group_by_length([5, 9, 5, 5], 10) == [[1], [0, 2], [3]]
