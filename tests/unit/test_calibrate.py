from __future__ import annotations

import numpy as np
import pytest

from wave_search.calibration.background import Background


def normal(count: int, mean: float = 0.1, std: float = 0.05) -> np.ndarray:
    return np.random.default_rng(0).normal(mean, std, count).astype(np.float32)


def test_z_is_the_distance_from_the_mean_in_standard_deviations() -> None:
    background = Background.of(normal(10_000))
    np.testing.assert_allclose(background.z(np.array([0.1, 0.15, 0.4], np.float32)), [0, 1, 6], atol=0.05)


def test_what_matches_is_no_background() -> None:
    """A query with matches is measured nearly as if there were none; by mean and deviation of all, z would be 2."""
    alone, matches = normal(4000), normal(1000, mean=0.8, std=0.02)
    with_matches = Background.of(np.concatenate([alone, matches]))
    assert with_matches.mean == pytest.approx(0.1, abs=0.02)
    assert with_matches.z(matches).mean() > 0.85 * Background.of(alone).z(matches).mean()


@pytest.mark.parametrize("typical_std", [None, 0.05])
def test_what_is_there_many_times_over_counts_once(typical_std: float | None) -> None:
    """Most of some libraries is silence, to which every query has one score: that is no spread, and no mean of all."""
    others, silence = normal(1000), np.full(3000, 0.05, np.float32)
    alone, with_silence = (
        Background.of(scores, typical_std) for scores in (others, np.concatenate([others, silence, silence + 1e-7]))
    )
    assert (with_silence.mean, with_silence.std) == pytest.approx((alone.mean, alone.std), rel=0.01)


def test_a_typical_mean_draws_half_of_the_way() -> None:
    scores = normal(1000)
    own, drawn = Background.of(scores, 0.05), Background.of(scores, 0.05, own_mean := 0.3)
    assert drawn.mean == pytest.approx((own.mean + own_mean) / 2)
    assert drawn.std == own.std


def test_the_usual_z_is_the_mean_of_all() -> None:
    scores = np.concatenate([normal(4000), normal(1000, mean=0.8)])
    background = Background.of(scores, 0.05, 0.0)
    assert background.usual_z == pytest.approx(background.z(scores).mean(), rel=1e-3)
    assert Background.of(scores[:1]).usual_z == 0.0


@pytest.mark.parametrize("scores", [[], [0.9], [0.4, 0.4, 0.4]])
def test_without_a_spread_everything_is_0(scores: list[float]) -> None:
    z = Background.of(np.array(scores, np.float32)).z(np.array([0.9, -1.0], np.float32))
    assert z.tolist() == [0.0, 0.0]


def test_a_typical_spread_replaces_the_querys_own() -> None:
    own, typical = Background.of(normal(1000)), Background.of(normal(1000), typical_std=0.1)
    assert own.std == pytest.approx(0.05, rel=0.1)
    assert np.diff(typical.z(np.array([0.2, 0.4], np.float32))) == pytest.approx(2, rel=1e-4)


def test_a_background_of_one_vector_tells_nothing_whatever_is_typical() -> None:
    z = Background.of(np.array([0.4, 0.4, 0.4], np.float32), typical_std=0.1).z(np.array([0.9], np.float32))
    assert z.tolist() == [0.0]
