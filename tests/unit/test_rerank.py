from __future__ import annotations

import numpy as np
import pytest

from wave_search.query.grouping import Match
from wave_search.query.rerank import rescored
from wave_search.types import Modality


def match(number: int, score: float, z: float, modality: Modality = Modality.AUDIO) -> Match:
    return Match(score, z, number, modality, 0.0, 1.0, number, number)


def test_together_they_stand_out_as_before_and_a_point_counts_as_much() -> None:
    found = [match(1, 0.5, 4.0), match(2, 0.4, 3.0), match(3, 0.3, 2.0)]
    again = rescored(found, {1: 0.90, 2: 0.95, 3: 0.70})
    assert [new.score for new in again] == [0.90, 0.95, 0.70]
    assert [new.z for new in again] == pytest.approx([3.5, 4.0, 1.5])
    assert np.mean([new.z for new in again]) == pytest.approx(3.0)


def test_each_kind_is_measured_by_itself() -> None:
    found = [
        match(1, 0.5, 4.0),
        match(2, 0.1, 1.0, Modality.IMAGE),
        match(3, 0.3, 2.0),
        match(4, 0.2, 1.5, Modality.IMAGE),
    ]
    again = {new.segment_id: new.z for new in rescored(found, {1: 0.6, 2: 0.9, 3: 0.6, 4: 0.9})}
    assert again == pytest.approx({1: 3.0, 3: 3.0, 2: 1.25, 4: 1.25})


@pytest.mark.parametrize(
    "found", [[match(1, 0.5, 4.0)], [match(1, 0.5, 4.0), match(2, 0.5, 4.0)], [match(1, 0.5, 0.0)]]
)
def test_hits_that_say_nothing_about_the_scale_keep_their_z(found: list[Match]) -> None:
    again = rescored(found, {1: 0.9, 2: 0.1})
    assert [new.z for new in again] == [old.z for old in found]
    assert again[0].score == 0.9


def test_a_score_is_a_cosine() -> None:
    assert rescored([match(1, 0.5, 4.0)], {1: 1.0004})[0].score == 1.0
    assert rescored([], {}) == []


def test_matches_of_nearly_one_z_do_not_tell_the_scale() -> None:
    """So near to each other, they would make ten z of a cosine that differs by 0.1."""
    found = [match(1, 0.5, 4.0), match(2, 0.50001, 4.001)]
    assert [new.z for new in rescored(found, {1: 0.9, 2: 0.8})] == pytest.approx([4.0005, 4.0005])
    told = rescored([match(1, 0.5, 4.0), match(2, 0.6, 4.01)], {1: 0.9, 2: 0.8})
    assert [new.z for new in told] == pytest.approx([4.01, 4.0])
