"""When small fragments are merged: how many are left, and how often a row is rewritten."""

import random

import pytest

from wave_search.store.tiers import FAN, LIMITS, due


def appended(sizes: list[int]) -> tuple[int, int, int]:
    """Append fragments; the most fragments that there were, the rows rewritten, and the most of these at once."""
    fragments: list[int] = []
    most, rewritten, most_at_once = 0, 0, 0
    for rows in sizes:
        fragments.append(rows)
        if count := due(fragments):
            at_once = sum(fragments[-count:])
            fragments[-count:] = [at_once]
            rewritten, most_at_once = rewritten + at_once, max(most_at_once, at_once)
        most = max(most, len(fragments))
    assert sum(fragments) == sum(sizes)
    return most, rewritten, most_at_once


@pytest.mark.parametrize("rows", [1, 7, 100])
def test_many_equal_commits_leave_few_fragments_at_a_bounded_cost(rows: int) -> None:
    most, rewritten, most_at_once = appended([rows] * 5_000)
    assert most <= FAN * len(LIMITS) + 5_000 * rows // LIMITS[-1]
    assert rewritten <= len(LIMITS) * 5_000 * rows
    assert most_at_once <= 2 * FAN * LIMITS[-1]


def test_commits_of_all_sizes_are_rewritten_once_for_each_tier() -> None:
    chance = random.Random(0)
    sizes = [round(10 ** chance.uniform(0, 3)) for _ in range(3_000)]
    most, rewritten, most_at_once = appended(sizes)
    assert most <= FAN * len(LIMITS) + sum(sizes) // LIMITS[-1]
    assert rewritten <= len(LIMITS) * sum(sizes)
    assert most_at_once <= 2 * FAN * LIMITS[-1]


def test_large_fragments_are_left() -> None:
    assert due([1, *[LIMITS[-1]] * 100]) == 0
