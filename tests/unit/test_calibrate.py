from __future__ import annotations

import numpy as np
import pytest

from wave_search.query.calibrate import Background


def test_z_is_the_distance_from_the_mean_in_standard_deviations() -> None:
    background = Background.of(np.array([0.1, 0.3, 0.5], np.float32))
    spread = np.std([0.1, 0.3, 0.5])
    np.testing.assert_allclose(background.z(np.array([0.3, 0.3 + spread], np.float32)), [0, 1], atol=1e-5)


@pytest.mark.parametrize("scores", [[], [0.9], [0.4, 0.4, 0.4]])
def test_without_a_spread_everything_is_0(scores: list[float]) -> None:
    z = Background.of(np.array(scores, np.float32)).z(np.array([0.9, -1.0], np.float32))
    assert z.tolist() == [0.0, 0.0]


def test_a_typical_spread_replaces_the_querys_own() -> None:
    z = Background.of(np.array([0.1, 0.3, 0.5], np.float32), typical_std=0.4).z(np.array([0.3, 0.5], np.float32))
    np.testing.assert_allclose(z, [0, 0.5], atol=1e-5)


def test_a_background_of_one_vector_tells_nothing_whatever_is_typical() -> None:
    z = Background.of(np.array([0.4, 0.4, 0.4], np.float32), typical_std=0.1).z(np.array([0.9], np.float32))
    assert z.tolist() == [0.0]
