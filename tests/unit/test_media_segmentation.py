"""Segmentation of files."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wave_search.errors import UsageError
from wave_search.media import Segmentation
from wave_search.media.segmentation import cut_scenes, cut_windows
from wave_search.types import Span


def edges(spans: list[Span]) -> list[float]:
    return [spans[0].start_s, *(span.stop_s for span in spans)]


@pytest.mark.parametrize(
    ("duration_s", "expected"),
    [
        (0.05, [0, 0.05]),
        (10.0, [0, 10]),
        (10.9, [0, 10.9]),  # a remainder under 1 s joins the window before it
        (11.0, [0, 10, 11]),
        (30.0, [0, 10, 20, 30]),
        (30.5, [0, 10, 20, 30.5]),
    ],
)
def test_windows_of_ten_seconds(duration_s: float, expected: list[float]) -> None:
    assert edges(Segmentation.parse("10").windows(Span(0, duration_s))) == expected


def test_windows_begin_where_the_range_begins() -> None:
    assert edges(Segmentation().windows(Span(3.5, 24))) == [3.5, 13.5, 24]


@given(st.floats(0, 10_000), st.floats(0.01, 1000), st.floats(1, 100))
@example(6386.117846566414, 10_000.0, 1.0)  # of which rounding leaves less than 10,000 times 1.0
def test_windows_cover_the_range_and_are_stable(start_s: float, duration_s: float, length_s: float) -> None:
    span = Span(start_s, start_s + duration_s)
    windows = cut_windows(span, length_s)
    assert (windows[0].start_s, windows[-1].stop_s) == (span.start_s, span.stop_s)
    assert all(left.stop_s == right.start_s for left, right in itertools.pairwise(windows))
    assert all(cut_windows(window, length_s) == [window] for window in windows)


@pytest.mark.parametrize("text", ["10", "2.5", "12.345678901234567", "scene", "none"])
def test_rules_survive_being_written_down(text: str) -> None:
    assert str(Segmentation.parse(text)) == text
    assert Segmentation.parse(str(Segmentation.parse(text))) == Segmentation.parse(text)


@pytest.mark.parametrize("text", ["", "0", "0.5", "-3", "nan", "inf", "1e9", "scenes", "10s"])
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="Use seconds"):
        Segmentation.parse(text)


def test_none_leaves_a_file_whole() -> None:
    assert Segmentation.parse("none").windows(Span(0, 5000)) == [Span(0, 5000)]


def test_short_scenes_join_the_one_before() -> None:
    assert edges(cut_scenes(Span(0, 20), [0.4, 5.0, 5.5, 9.0, 19.5])) == [0, 5, 9, 20]


def test_long_scenes_are_cut() -> None:
    assert edges(cut_scenes(Span(0, 70), [5.0])) == [0, 5, 35, 65, 70]
