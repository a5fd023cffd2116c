from __future__ import annotations

import numpy as np

from wave_search.ann import draw


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
