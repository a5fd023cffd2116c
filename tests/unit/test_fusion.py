from __future__ import annotations

import numpy as np
import pytest

from wave_search.errors import UsageError
from wave_search.query.fusion import MAX_ROWS, Query, QueryTerm, joint_z
from wave_search.query.fusion import combine as combine_parts
from wave_search.types import Modality

X, Y, Z = np.eye(3, dtype=np.float32)[:, None]


def combine(parts: list[tuple[np.ndarray, float]]) -> np.ndarray:
    return combine_parts([QueryTerm(rows, weight, None) for rows, weight in parts])


def test_a_single_part_stays_as_it_is() -> None:
    rows = np.concatenate([X, Y])
    assert combine([(rows, 0.3)]) is rows


def test_parts_are_added_by_weight() -> None:
    np.testing.assert_allclose(combine([(X, 1.0), (Y, 1.0)]), [[0.5**0.5, 0.5**0.5, 0]], atol=1e-6)
    np.testing.assert_allclose(combine([(X, 3.0), (Y, 4.0)]), [[0.6, 0.8, 0]], atol=1e-6)
    np.testing.assert_allclose(combine([(X, 30.0), (Y, 40.0)]), [[0.6, 0.8, 0]], atol=1e-6)
    np.testing.assert_allclose(combine([(X, 1.2), (Y, 0.9)]), [[0.8, 0.6, 0]], atol=1e-6)


def test_the_order_of_parts_does_not_matter() -> None:
    parts = [(X, 1.0), (Y, -0.5), (Z, 2.0)]
    np.testing.assert_allclose(combine(parts), combine(parts[::-1]), atol=1e-6)


def test_what_is_avoided_is_taken_away() -> None:
    np.testing.assert_allclose(combine([(X, 4.0), (Y, -3.0)]), [[0.8, -0.6, 0]], atol=1e-6)


def test_each_combination_of_rows_is_a_row() -> None:
    rows = combine([(np.concatenate([X, Y]), 1.0), (np.concatenate([Y, Z]), 1.0)])
    half = 0.5**0.5
    np.testing.assert_allclose(rows, [[half, half, 0], [half, 0, half], [0, 1, 0], [0, half, half]], atol=1e-6)


def test_a_segment_cannot_escape_by_being_unlike_one_row_of_what_is_avoided() -> None:
    rows = combine([(X, 1.0), (np.concatenate([Y, Z]), -0.5)])
    assert len(rows) == 1
    assert rows[0] @ Y[0] == pytest.approx(rows[0] @ Z[0])
    assert rows[0] @ Y[0] < -0.2


def test_only_what_to_avoid_is_no_query() -> None:
    with pytest.raises(UsageError, match="only terms to avoid"):
        combine([(X, -1.0), (Y, -0.5)])


def test_parts_that_cancel_each_other_are_no_query() -> None:
    with pytest.raises(UsageError, match="cancel each other"):
        combine([(X, 1.0), (X, -1.0)])


def test_too_many_combinations_are_refused() -> None:
    many = np.repeat(X, MAX_ROWS, axis=0)
    assert len(combine([(many, 1.0), (Y, 1.0)])) == MAX_ROWS
    with pytest.raises(UsageError, match=r"512 x 2 = 1,024 combinations.*Use a range"):
        combine([(many, 1.0), (np.concatenate([Y, Z]), 1.0)])


def joint(z: list[list[float]], *weights: float, usual: tuple[float, ...] | None = None) -> np.ndarray:
    return joint_z(np.array(z, np.float32), weights, np.array(usual or (0,) * len(weights), np.float32))


def test_what_meets_all_parts_alike_keeps_its_z() -> None:
    z = [-300.0, -1.0, 0.0, 0.5, 4.0, 60.0]
    np.testing.assert_allclose(joint([z, z, z], 1, 2, 3), z, rtol=1e-5, atol=1e-6)


def test_the_part_that_is_met_least_decides() -> None:
    both, one_very, none = joint([[3, 12, 0], [3, 0, 0]], 1, 1)
    assert both > one_very > none
    assert both == pytest.approx(3)
    assert one_very < 2, "nearer to the part that is missing than to the mean"


def test_the_joint_z_is_between_the_least_and_the_mean() -> None:
    z = np.random.default_rng(0).normal(0, 4, (3, 500)).astype(np.float32)
    weights = np.array([1.0, 2.0, 0.5])
    together = joint(z, *weights)
    assert (together >= z.min(axis=0) - 1e-4).all()
    assert (together <= weights @ z / weights.sum() + 1e-4).all()
    moved = joint(z, *weights, usual=(3, -1, 5))
    assert (moved <= weights @ z / weights.sum() + 1e-4).all()


def test_a_part_by_which_everything_stands_out_decides_like_any_other() -> None:
    z = [[10, 8, 8], [0, 0, 2]]
    assert joint(z, 1, 1).argmax() == 2, "by the first part all are met as good as fully"
    first, nothing, second = joint(z, 1, 1, usual=(8, 0))
    assert first == pytest.approx(second)
    assert first > nothing
    assert nothing == pytest.approx(4), "what is usual by both has the mean of the usual z"


def test_weights_count_beside_each_other() -> None:
    z = [[4.0, 1.0], [1.0, 4.0]]
    first, second = joint(z, 3, 1)
    assert first > second
    np.testing.assert_allclose(joint(z, 30, 10), [first, second])
    assert joint(z, 1e-6, 1)[1] == pytest.approx(4, abs=1e-4)


def test_what_is_like_a_part_to_avoid_goes_down_and_nothing_else_does() -> None:
    unlike, little, like, very = joint([[5, 5, 5, 5], [-3, 1, 2, 4]], 1, -0.5)
    assert (unlike, little) == pytest.approx((5, 5))
    assert (like, very) == pytest.approx((1, -7))
    assert joint([[5], [2]], 2, -1) == pytest.approx(like), "only ratios matter"
    assert joint([[5], [2]], 1, -0.25) == pytest.approx(3)
    assert joint([[5], [4]], 1, -0.5, usual=(3, 2)) == pytest.approx(like), "so much above the usual"


def test_however_far_a_segment_stands_out_its_z_is_a_number() -> None:
    """As the odd one among segments that are nearly the same."""
    assert joint([[1e6, 5], [1e5, 1e6]], 1, 1) == pytest.approx((1000, 5 + 2 * np.log(2)), abs=0.1)


@pytest.mark.parametrize(("weight", "left"), [(-0.9995, False), (-0.998, True)])
def test_what_rounding_leaves_of_a_sum_is_no_direction(weight: float, left: bool) -> None:
    if left:
        np.testing.assert_allclose(combine([(X, 1.0), (X, weight)]), X, atol=1e-6)
    else:
        with pytest.raises(UsageError, match="cancel each other"):
            combine([(X, 1.0), (X, weight)])


def test_a_query_has_the_vectors_of_its_terms_together() -> None:
    query = Query((QueryTerm(X, 3.0, Modality.TEXT), QueryTerm(Y, 4.0, None)), frozenset({7}))
    np.testing.assert_allclose(query.vectors, [[0.6, 0.8, 0]], atol=1e-6)
    assert query.exclude_ids == {7}
    alone = Query.of_vectors(X, Modality.AUDIO)
    assert alone.vectors is X
    assert (alone.terms[0].weight, alone.terms[0].modality, alone.exclude_ids) == (1.0, Modality.AUDIO, frozenset())
