from __future__ import annotations

import numpy as np
import pytest

from wave_search.vectors import normalize


def test_vectors_become_unit_vectors_of_the_same_direction_and_shape() -> None:
    vectors = np.random.default_rng(0).standard_normal((2, 3, 4)) * 100
    unit = normalize(vectors)
    assert (unit.dtype, unit.shape) == (np.float32, vectors.shape)
    np.testing.assert_allclose(unit, vectors / np.linalg.norm(vectors, axis=-1, keepdims=True), rtol=1e-6)
    np.testing.assert_allclose(normalize([3, 4]), [0.6, 0.8], rtol=1e-6)
    assert normalize(np.empty((0, 4), np.float16)).shape == (0, 4)


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf])
def test_one_vector_without_a_usable_norm_is_refused(bad: float) -> None:
    vectors = np.ones((3, 2))
    vectors[1] = bad
    with pytest.raises(ValueError, match="no usable norm"):
        normalize(vectors)


def test_the_norm_has_to_exceed_the_least() -> None:
    np.testing.assert_array_equal(normalize([0.5, 0.0], min_norm=0.499), [1, 0])
    with pytest.raises(ValueError, match="no usable norm"):
        normalize([0.5, 0.0], min_norm=0.5)
