from __future__ import annotations

import numpy as np
import pytest

from wave_search.query.calibrate import Background, draw


def test_z_is_the_distance_from_the_mean_in_standard_deviations() -> None:
    background = Background.of(np.array([0.1, 0.3, 0.5], np.float32))
    spread = np.std([0.1, 0.3, 0.5])
    np.testing.assert_allclose(background.z(np.array([0.3, 0.3 + spread], np.float32)), [0, 1], atol=1e-5)


@pytest.mark.parametrize("scores", [[], [0.9], [0.4, 0.4, 0.4]])
def test_without_a_spread_everything_is_0(scores: list[float]) -> None:
    z = Background.of(np.array(scores, np.float32)).z(np.array([0.9, -1.0], np.float32))
    assert z.tolist() == [0.0, 0.0]


def test_the_sample_is_all_of_a_small_partition() -> None:
    assert draw(np.arange(5), 8).tolist() == [0, 1, 2, 3, 4]


def test_the_sample_of_a_large_one_is_fixed_sorted_and_spread() -> None:
    ids = np.arange(0, 20_000, 2)
    sample = draw(ids, 100)
    assert sample.tolist() == draw(ids, 100).tolist()
    assert len(set(sample.tolist())) == 100
    assert (np.diff(sample) > 0).all()
    assert np.isin(sample, ids).all()
    assert abs(sample.mean() - ids.mean()) < 2_000
