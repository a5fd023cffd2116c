from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from wave_search.models.wave.batch import packs

SHAPES = st.lists(st.tuples(st.integers(1, 300), st.integers(0, 2)), max_size=60)


def shape(item: tuple[int, int]) -> tuple[int, int]:
    return item


@given(SHAPES, st.integers(1, 900))
def test_each_sequence_once_within_the_budget(shapes: list[tuple[int, int]], budget: int) -> None:
    made = packs(shapes, shape, budget)
    assert sorted(item for pack in made for item in pack) == sorted(shapes)
    for pack in made:
        assert len(pack) == 1 or sum(tokens for tokens, _ in pack) <= budget


@given(SHAPES, st.integers(1, 900))
def test_same_shapes_side_by_side_and_no_pack_begun_too_early(shapes: list[tuple[int, int]], budget: int) -> None:
    made = packs(shapes, shape, budget)
    assert [item for pack in made for item in pack] == sorted(shapes, reverse=True)
    for earlier, later in pairwise(made):
        assert sum(tokens for tokens, _ in earlier) + later[0][0] > budget


def test_equal_shapes_keep_their_order() -> None:
    assert packs(["a", "bbb", "c", "d"], lambda word: (len(word),), 2) == [["bbb"], ["a", "c"], ["d"]]
