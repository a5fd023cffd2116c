"""Which segments go into which shards, and random samples of ids."""

from __future__ import annotations

import numpy as np
import pytest

from wave_search.ann import covered, draw, plan
from wave_search.ann.plan import ShardPlan, plan_shards
from wave_search.store import ShardRef
from wave_search.types import Modality, PartitionKey

KEY = PartitionKey(Modality.VIDEO)


def shard(first_id: int, stop_id: int, count: int | None = None) -> ShardRef:
    return ShardRef(KEY, f"{first_id}", first_id, stop_id, stop_id - first_id if count is None else count, "")


def ids(*ranges: tuple[int, int]) -> np.ndarray:
    return np.concatenate([np.arange(first, stop) for first, stop in ranges])


def test_a_shard_covers_its_first_id_and_not_its_stop_id() -> None:
    assert covered(np.arange(8), [shard(2, 4), shard(6, 7)]).tolist() == [
        False,
        False,
        True,
        True,
        False,
        False,
        True,
        False,
    ]
    assert not covered(np.arange(3), []).any()


@pytest.mark.parametrize(
    ("pending", "min_shard_rows", "built"),
    [(99, 100, False), (100, 100, True), (0, 0, False), (1, 0, True), (1, 1, True)],
)
def test_a_shard_is_built_from_a_minimum_of_segments(pending: int, min_shard_rows: int, built: bool) -> None:
    found = plan_shards(np.arange(pending), (), min_shard_rows, compact=False)
    assert found == ShardPlan((), ((0, pending),) if built else ())


@pytest.mark.parametrize(("pending", "joined"), [(99, 0), (100, 1), (149, 1), (150, 2), (249, 2), (250, 3)])
def test_new_segments_take_shards_before_them_that_are_no_larger(pending: int, joined: int) -> None:
    shards = [shard(0, 600), shard(600, 850), shard(850, 950)]
    found = plan_shards(np.arange(950 + pending), shards, 50, compact=False)
    kept = shards[: 3 - joined]
    assert found == ShardPlan(tuple(kept), ((kept[-1].stop_id if kept else 0, 950 + pending),))


def test_deleted_segments_do_not_count_for_the_size_of_a_shard() -> None:
    live = ids((0, 60), (100, 160))
    assert plan_shards(live, [shard(0, 100)], 50, compact=False) == ShardPlan((), ((0, 160),))


@pytest.mark.parametrize(("deleted", "rebuilt"), [(10, False), (11, True)])
def test_a_shard_with_more_than_a_tenth_deleted_is_rebuilt(deleted: int, rebuilt: bool) -> None:
    old = shard(0, 100)
    found = plan_shards(np.arange(deleted, 100), [old], 50, compact=True)
    assert found == (ShardPlan((), ((deleted, 100),)) if rebuilt else ShardPlan((old,), ()))


def test_small_shards_are_joined_and_large_ones_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "SHARD_VECTORS", 100)
    large, small, other = shard(0, 100), shard(100, 199), shard(199, 220)
    live = np.arange(220)
    assert plan_shards(live, [large, small, other], 50, compact=True) == ShardPlan((large,), ((100, 200), (200, 220)))
    assert plan_shards(live[:199], [large, small], 50, compact=True) == ShardPlan((large, small), ())
    assert plan_shards(live, [large, small], 50, compact=True) == ShardPlan((large,), ((100, 200), (200, 220)))
    assert plan_shards(live, [large, small, other], 50, compact=False) == ShardPlan((large, small, other), ())


@pytest.mark.parametrize(("count", "dropped"), [(49, True), (50, False)])
def test_compacting_drops_the_shards_of_too_few_segments(count: int, dropped: bool) -> None:
    old = shard(0, count)
    assert plan_shards(np.arange(count), [old], 50, compact=True) == ShardPlan(() if dropped else (old,), ())


def test_no_range_spans_a_shard_that_stays_or_exceeds_the_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "SHARD_VECTORS", 4)
    kept = shard(10, 20, 4)
    found = plan_shards(ids((0, 9), (10, 14), (30, 34)), [kept], 1, compact=True)
    assert found == ShardPlan((kept,), ((0, 4), (4, 8), (8, 9), (30, 34)))


def test_the_sample_is_all_of_a_small_partition() -> None:
    assert draw(np.arange(5), 8).tolist() == [0, 1, 2, 3, 4]


def test_the_sample_of_a_large_one_is_fixed_sorted_and_spread() -> None:
    everything = np.arange(0, 20_000, 2)
    sample = draw(everything, 100)
    assert sample.tolist() == draw(everything, 100).tolist()
    assert (np.diff(sample) > 0).all()
    assert (np.diff(draw(everything, 9_000)) > 0).all(), "no id twice"
    assert np.isin(sample, everything).all()
    assert abs(sample.mean() - everything.mean()) < 2_000
