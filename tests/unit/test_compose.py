from __future__ import annotations

import numpy as np
import pytest

from wave_search.errors import UsageError
from wave_search.query.compose import MAX_ROWS, combine

X, Y, Z = np.eye(3, dtype=np.float32)[:, None]


def test_a_single_part_stays_as_it_is() -> None:
    rows = np.concatenate([X, Y])
    assert combine([(rows, 0.3)]) is rows


def test_parts_are_added_by_weight() -> None:
    np.testing.assert_allclose(combine([(X, 1.0), (Y, 1.0)]), [[0.5**0.5, 0.5**0.5, 0]], atol=1e-6)
    np.testing.assert_allclose(combine([(X, 3.0), (Y, 4.0)]), [[0.6, 0.8, 0]], atol=1e-6)
    np.testing.assert_allclose(combine([(X, 30.0), (Y, 40.0)]), [[0.6, 0.8, 0]], atol=1e-6)


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
    with pytest.raises(UsageError, match="nothing to look for"):
        combine([(X, -1.0), (Y, -0.5)])


def test_parts_that_cancel_each_other_are_no_query() -> None:
    with pytest.raises(UsageError, match="cancel each other"):
        combine([(X, 1.0), (X, -1.0)])


def test_too_many_combinations_are_refused() -> None:
    many = np.repeat(X, MAX_ROWS, axis=0)
    assert len(combine([(many, 1.0), (Y, 1.0)])) == MAX_ROWS
    with pytest.raises(UsageError, match=r"512 x 2 = 1,024 combinations.*Give a range"):
        combine([(many, 1.0), (np.concatenate([Y, Z]), 1.0)])
