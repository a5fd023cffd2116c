"""Segments into moments, and what is left out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pytest

from wave_search.query.grouping import IDENTICAL, Match, Moment, combine, merge, order, ranked, thin
from wave_search.types import Modality


def match(number: int, z: float, start_s: float | None, **changes: Any) -> Match:
    stop_s = None if start_s is None else start_s + 10
    fields = {"file": 0, "modality": Modality.VIDEO, "score": z / 10, **changes}
    return Match(z=z, start_s=start_s, stop_s=stop_s, segment_id=number, content_id=0, **fields)


def by_z(*found: Match) -> list[Match]:
    return sorted(found, key=lambda one: -one.z)


def spans(moments: Iterable[Moment]) -> list[tuple[float | None, float | None, int]]:
    return [(one.start_s, one.stop_s, one.peak.segment_id) for one in moments]


def numbers(moments: list[Moment]) -> list[int]:
    return [one.peak.segment_id for one in moments]


def test_modalities_of_the_same_part_of_a_file_are_one_moment() -> None:
    audio = match(0, 6.0, 0.0, modality=Modality.AUDIO)
    video = match(1, 4.0, 0.0)
    both = match(2, 3.0, 0.0, modality=Modality.AV)
    weak = match(3, 2.9, 0.0, modality=Modality.IMAGE)
    elsewhere = match(4, 5.0, 10.0)
    other = match(5, 4.5, 0.0, file=1)
    found = combine(map(Moment.of, by_z(audio, video, both, weak, elsewhere, other)))
    assert numbers(found) == [0, 4, 5]
    assert [one.others for one in found] == [(Modality.VIDEO, Modality.AV), (), ()]


def test_a_moment_takes_in_what_has_its_middle_in_it() -> None:
    wide = Moment(match(0, 6.0, 10.0), 0.0, 30.0, 3)
    inside, over = (match(n, 4.0, start_s, modality=Modality.AUDIO) for n, start_s in ((1, 24.0), (2, 26.0)))
    assert numbers(combine([wide, Moment.of(inside), Moment.of(over)])) == [0, 2]


def test_texts_and_images_are_never_combined() -> None:
    several = [match(0, 5.0, None, modality=Modality.TEXT), match(1, 4.0, None, modality=Modality.IMAGE)]
    assert numbers(combine([*map(Moment.of, several), Moment.of(match(2, 3.0, 0.0))])) == [0, 1, 2]


def test_equal_ones_come_by_path_and_time() -> None:
    paths, named = [b"/c.mp4", b"/a.mp4", b"/b.mp4"], []

    def paths_at(files: Sequence[int]) -> list[bytes]:
        named.extend(files)
        return [paths[file] for file in files]

    best, worst = match(0, 5.0, 0.0, file=0), match(1, 1.0, 0.0, file=0)
    assert ranked([worst, best], paths_at) == [best, worst]
    assert named == [], "nothing is equal"
    same = [
        match(n, 3.0, start_s, file=file) for n, (file, start_s) in enumerate([(2, 0.0), (0, 0.0), (1, 10.0), (1, 0.0)])
    ]
    assert ranked([*same, worst, best], paths_at) == [best, same[3], same[2], same[0], same[1], worst]


def test_a_moment_is_as_wide_as_its_peak_at_half_height() -> None:
    track = [match(n, z, 10.0 * n) for n, z in enumerate((1.9, 2.1, 4.0, 3.0, 0.5, 3.0))]
    moments = list(merge(by_z(*track)))
    assert spans(moments) == [(10, 40, 2), (50, 60, 5), (0, 10, 0), (40, 50, 4)]
    assert (moments[0].peak.start_s, moments[0].peak.stop_s, moments[0].segments) == (20, 30, 3)
    assert (moments[0].peak.score, moments[0].peak.z) == (0.4, 4.0)
    assert (moments[1].peak.start_s, moments[1].segments) == (50, 1)


def test_a_gap_another_file_and_another_modality_end_a_moment() -> None:
    apart = [
        match(0, 4.0, 0.0),
        match(1, 4.0, 10.2),
        match(2, 4.0, 10.0, file=1),
        match(3, 4.0, 10.0, modality=Modality.AUDIO),
    ]
    assert {one.segments for one in merge(apart)} == {1}


def test_overlapping_segments_and_rounded_times_are_adjacent() -> None:
    assert spans(list(merge(by_z(match(0, 4.0, 0.0), match(1, 3.0, 5.0), match(2, 3.0, 15.02))))) == [(0, 25.02, 0)]


def test_what_is_below_the_least_z_widens_no_moment() -> None:
    track = by_z(match(0, 4.0, 0.0), match(1, 2.5, 10.0))
    assert spans(list(merge(track, min_z=2.4))) == [(0, 20, 0)]
    assert spans(list(merge(track[:1], min_z=3.0))) == [(0, 10, 0)]


@pytest.mark.parametrize("z", [0.0, -1.0])
def test_where_nothing_stands_out_nothing_is_merged(z: float) -> None:
    assert len(list(merge([match(0, z, 0.0), match(1, z, 10.0)]))) == 2


def test_the_query_itself_is_joined_by_itself_only() -> None:
    track = [match(0, 4.0, 0.0, score=1.0), match(1, 3.9, 10.0, score=0.9995), match(2, 3.8, 20.0, score=0.9)]
    assert spans(list(merge(track))) == [(0, 20, 0), (20, 30, 2)]


def test_what_has_no_time_stays_as_it_is() -> None:
    pictures = [match(0, 4.0, None), match(1, 4.0, None)]
    assert list(merge(pictures)) == [Moment.of(picture) for picture in pictures]
    assert spans(merge(pictures)) == [(None, None, 0), (None, None, 1)]


@pytest.mark.parametrize("apart", [False, True])
def test_a_long_file_takes_no_more_steps_per_segment_than_a_short_one(
    monkeypatch: pytest.MonkeyPatch, apart: bool
) -> None:
    looked_at = 0

    def start_of(match: Match) -> float:
        nonlocal looked_at
        looked_at += 1
        return match.start_s or 0.0

    monkeypatch.setattr("wave_search.query.grouping._start", start_of)
    steps = []
    for count in (100, 3200):
        looked_at = 0
        heights = np.random.default_rng(0).permutation(count) + 1.0
        found = [match(at, float(z), (20.0 if apart else 10.0) * at) for at, z in enumerate(heights)]
        moments = list(merge(by_z(*found)))
        assert sum(moment.segments for moment in moments) == count
        heard = [moment._replace(peak=moment.peak._replace(modality=Modality.AUDIO)) for moment in moments]
        assert len(combine([*moments, *heard])) == len(moments)
        steps.append(looked_at / count)
    assert steps[1] < 1.5 * steps[0]


def test_so_many_of_a_file_at_most() -> None:
    found = [*(match(n, 5.0 - n, 20.0 * n) for n in range(3)), match(9, 1.0, 0.0, file=1)]
    moments = [Moment.of(one) for one in found]
    assert numbers(thin(moments, 10, per_file=2)) == [0, 1, 9]
    assert numbers(thin(moments, 2, per_file=1)) == [0, 9]


def test_near_duplicates_give_way_to_the_best_of_their_modality() -> None:
    near = np.array([0.98, np.sqrt(1 - 0.98**2)], np.float32)
    vectors = {0: np.array([1, 0], np.float32), 1: near, 2: np.array([0, 1], np.float32), 3: near}
    found = [match(n, 5.0 - n, 20.0 * n, file=n) for n in range(3)]
    found.append(match(3, 1.0, 0.0, modality=Modality.AUDIO))
    found.append(match(0, 1.0, 0.0, file=3))
    moments = [Moment.of(one) for one in found]
    assert numbers(thin(moments, 10, vectors=vectors, dedupe=0.97)) == [0, 2, 3]
    assert numbers(thin(moments, 10, vectors=vectors, dedupe=1.0)) == [0, 1, 2, 3], "copies always go"
    assert len(thin(moments, 10)) == 5


def test_what_is_identical_with_the_query_comes_first() -> None:
    identical, below = match(0, 1.0, 0.0, score=IDENTICAL), match(1, 9.0, 0.0, score=IDENTICAL - 1e-6)
    assert sorted([below, identical], key=order) == [identical, below]
    assert order(match(0, 2.0, 0.0, score=0.5)) < order(match(1, 2.0, 0.0, score=0.4)), "of equal z the score decides"


def test_limits_of_a_moment_belong_to_it() -> None:
    half = [match(0, 4.0, 0.0), match(1, 2.0, 10.0), match(2, 4.0, 40.0), match(3, 2.0, 30.0)]
    assert spans(merge(half)) == [(0, 20, 0), (30, 50, 2)]
    identical = [match(0, 4.0, 0.0, score=IDENTICAL), match(1, 3.0, 10.0, score=IDENTICAL)]
    assert spans(merge(identical)) == [(0, 20, 0)]


def test_a_moment_ends_at_a_gap_on_either_side() -> None:
    after = [match(0, 4.0, 20.0), match(1, 3.0, 30.04)]
    assert len(list(merge(after))) == 1
    before = [match(0, 4.0, 20.0), match(1, 3.0, 9.96)]
    assert len(list(merge(before))) == 1
    assert len(list(merge([match(0, 4.0, 20.0), match(1, 3.0, 30.06)]))) == 2
    assert len(list(merge([match(0, 4.0, 20.0), match(1, 3.0, 9.94)]))) == 2


def test_a_longer_segment_reaches_beyond_its_successors() -> None:
    long = match(0, 4.0, 0.0)._replace(stop_s=40.0)
    assert spans(merge(by_z(long, match(1, 3.0, 10.0), match(2, 3.5, 30.0)))) == [(0, 40, 0)]


def test_the_same_segment_of_two_files_is_two_moments() -> None:
    assert len(list(merge([match(0, 4.0, 0.0), match(0, 4.0, 0.0, file=1)]))) == 2


def test_a_cosine_of_the_limit_is_a_duplicate() -> None:
    vectors = {0: np.array([1, 0], np.float32), 1: np.array([0.5, 0.75**0.5], np.float32)}
    moments = [Moment.of(match(0, 2.0, None)), Moment.of(match(1, 1.0, None))]
    assert numbers(thin(moments, 10, vectors=vectors, dedupe=0.5)) == [0]
    assert numbers(thin(moments, 10, vectors=vectors, dedupe=0.51)) == [0, 1]


def test_no_more_moments_than_are_wanted() -> None:
    moments = [Moment.of(match(n, 5.0 - n, 20.0 * n)) for n in range(5)]
    assert numbers(thin(moments, 2)) == [0, 1]
    assert numbers(thin(moments, 2, per_file=9)) == [0, 1]
