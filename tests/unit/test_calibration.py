"""From cosines to z: the background of a query, and the statistics of a cohort."""

from __future__ import annotations

import numpy as np
import pytest

from wave_search.calibration import Background, cohort_stats, fit_lower_half
from wave_search.store import ScoreStats
from wave_search.types import Modality, PartitionKey


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


def test_scores_that_differ_by_rounding_have_no_deviation() -> None:
    """Otherwise the only other segment among copies of one vector would have a z of a million."""
    almost_equal = np.array([0.1, 0.100001, 0.9], np.float32)
    background = Background.of(almost_equal)
    assert background.z(almost_equal).tolist() == [0.0, 0.0, 0.0]
    assert (background.std, background.usual_z) == (0.0, 0.0)
    assert Background.of(np.array([0.1, 0.2, 0.9], np.float32)).std > 0


@pytest.mark.parametrize(("highest", "has_std"), [(0.4, False), (0.4 + 5e-7, False), (0.41, True)])
def test_a_typical_deviation_needs_scores_that_differ(highest: float, has_std: bool) -> None:
    background = Background.of(np.array([0.4, 0.4, highest]), typical_std=0.1)
    assert bool(background.std) is has_std


def test_the_lower_half_of_a_normal_distribution_tells_the_whole() -> None:
    assert fit_lower_half(normal(20_000)) == pytest.approx((0.1, 0.05), rel=0.02)
    mean, std = fit_lower_half(np.array([0.0, 0.2, 0.5, 0.9]))
    assert std == pytest.approx(0.1 / np.sqrt(1 - 2 / np.pi))
    assert mean == pytest.approx(0.1 + np.sqrt(2 / np.pi) * std)
    mean, std = fit_lower_half(np.array([0.0, 0.2, 0.5, 0.6, 0.9]))
    assert mean - np.sqrt(2 / np.pi) * std == pytest.approx(0.7 / 3), "three of five are the lower half"
    assert fit_lower_half(np.array([0.0, 0.2]), 0.3) == pytest.approx((0.1 + np.sqrt(2 / np.pi) * 0.3, 0.3))


SOUND = PartitionKey(Modality.AUDIO)
STATS = {
    Modality.AUDIO: ScoreStats(SOUND, Modality.AUDIO, 0.3, 0.06),
    Modality.TEXT: ScoreStats(SOUND, Modality.TEXT, 0.0, 0.08),
}


@pytest.mark.parametrize(
    ("modality", "rows", "stats", "typical"),
    [
        (Modality.AUDIO, 1, STATS, (0.06, 0.3)),
        (Modality.TEXT, 1, STATS, (0.08, 0.0)),
        (Modality.AUDIO, 2, STATS, (0.06, None)),
        (Modality.IMAGE, 1, STATS, (np.sqrt((0.06**2 + 0.08**2) / 2), None)),
        (None, 1, STATS, (np.sqrt((0.06**2 + 0.08**2) / 2), None)),
        (Modality.AUDIO, 1, {}, (None, None)),
        (None, 2, {}, (None, None)),
    ],
)
def test_the_rule_that_chooses_mean_and_deviation(
    modality: Modality | None, rows: int, stats: dict[Modality, ScoreStats], typical: tuple[float | None, float | None]
) -> None:
    scores = normal(50)
    found, expected = Background.of_query(scores, rows, modality, stats), Background.of(scores, *typical)
    assert (found.mean, found.std, found.sample_mean) == pytest.approx(
        (expected.mean, expected.std, expected.sample_mean)
    )


def test_a_cohort_has_the_mean_of_the_means_and_of_the_variances() -> None:
    scores = np.stack([normal(1000), normal(1000, 0.3, 0.1)], axis=1)
    counted = np.ones_like(scores, np.bool_)
    means, stds = zip(*(fit_lower_half(row) for row in scores.T), strict=True)
    assert cohort_stats(scores, counted) == pytest.approx((np.mean(means), np.sqrt(np.mean(np.square(stds)))))


def test_a_query_of_a_cohort_is_not_compared_with_itself() -> None:
    scores, counted = np.array([[1.0], [0.1], [0.2], [0.3]]), np.array([[False], [True], [True], [True]])
    assert cohort_stats(scores, counted) == pytest.approx(fit_lower_half(scores[1:, 0]))
    assert cohort_stats(scores[:3], counted[:3])[1] > 0, "two are enough"
    assert cohort_stats(scores[:2], counted[:2]) == (0.0, 0.0), "one score is not"
