"""How widely lists are searched, candidates by their codes, and scores in the same call."""

import numpy as np
import pytest

from wave_search.ann import Codebook, SearchParams, Shard, build_shard
from wave_search.ann.inverted_lists import RefinedLists


def test_search_params_by_rule_grow_with_the_root_of_the_lists():
    assert SearchParams.by_rule(256) == SearchParams(128, 200)
    assert SearchParams.by_rule(512) == SearchParams(182, 200)


@pytest.mark.parametrize(
    ("k", "expected"), [(1, (7, 60)), (10, (7, 60)), (11, (8, 64)), (80, (14, 340)), (81, (15, 344))]
)
def test_more_hits_take_a_wider_search(k, expected):
    assert SearchParams(7, 60).for_k(k) == SearchParams(*expected)


@pytest.fixture(scope="module")
def refined(tmp_path_factory):
    """Vectors in a plane at growing angles to the query; 3 and 4 are the same."""
    angles = np.array([0.1, 0.2, 0.3, 0.4, 0.4, 0.5])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float16)
    folder = tmp_path_factory.mktemp("shards")
    codebook = Codebook.train(vectors, len(vectors))
    shard = Shard.open(folder / build_shard(codebook, [(np.arange(6), vectors)], folder).name, codebook)
    return RefinedLists(codebook, shard.lists, shard.vectors)


@pytest.mark.parametrize(
    ("refine_k", "count", "found"),
    [
        (6, 1, [0]),
        (6, 3, [0, 1, 2]),
        (6, 4, None),  # the fifth scores like the fourth
        (6, 5, [0, 1, 2, 3, 4]),  # both are in
        (6, 6, [0, 1, 2, 3, 4, 5]),
        (6, 9, [0, 1, 2, 3, 4, 5]),
        (7, 3, None),  # fewer candidates than should be scored
    ],
)
def test_the_best_are_returned_unless_others_may_score_the_same(refined, refine_k, count, found):
    query = np.array([[1, 0]], np.float32)
    scores, positions, sure = refined.best(np.tile(query, (2, 1)), SearchParams(1, refine_k), count, None)
    assert [sorted(own.tolist()) if certain else None for own, certain in zip(positions, sure, strict=True)] == [
        found
    ] * 2, "each of the rows"
    if found:
        assert (np.diff(scores) <= 0).all()


def test_equal_scores_at_the_end_do_not_matter_where_none_was_dropped(refined):
    mask = np.array([True, False, False, True, True, False])
    query = np.array([[1, 0]], np.float32)
    for count in (3, 4):
        _, (positions,), (sure,) = refined.best(query, SearchParams(1, 3), count, mask)
        assert sure
        assert sorted(positions.tolist()) == [0, 3, 4]
    assert not refined.best(query, SearchParams(1, 3), 2, mask)[2][0]
    assert not refined.best(query, SearchParams(1, 4), 3, mask)[2][0], "there is no fourth candidate"
