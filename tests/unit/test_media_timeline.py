"""Times of packets: pauses, broken clocks, and clocks that start again."""

from __future__ import annotations

import pytest

from wave_search.media.timeline import MAX_DURATION_S, PacketClock

HOUR_S = 3600.0
YEARS_S = 2 * 365 * 86_400.0


def placed(
    stamps_s: list[float | None], *, origin_s: float = 0.0, declared_s: float = 0.0, broadcast: bool = False
) -> list[float]:
    clock = PacketClock(origin_s, declared_s, broadcast=broadcast)
    return [clock.place(0, stamp_s, 1.0) for stamp_s in stamps_s]


@pytest.mark.parametrize("pause_s", [1.0, 95.0, 0.9 * HOUR_S])
def test_a_pause_is_a_pause(pause_s: float) -> None:
    assert placed([5.0, 6.0, 7.0 + pause_s], origin_s=5.0) == [0.0, 1.0, 2.0 + pause_s]


def test_a_pause_of_hours_needs_the_declared_duration() -> None:
    assert placed([0.0, 5 * HOUR_S], declared_s=5 * HOUR_S + 1) == [0.0, 5 * HOUR_S]
    assert placed([0.0, 5 * HOUR_S]) == [0.0, 1.0]


def test_a_pause_of_hours_is_believed_if_another_stream_goes_on() -> None:
    clock = PacketClock(0.0, 0.0, broadcast=True)
    clock.place(0, 0.0, 1.0)
    for number in range(5 * 60):
        clock.place(1, number * 60.0, 60.0)
    assert clock.place(0, 5 * HOUR_S, 1.0) == 5 * HOUR_S
    assert clock.joined == set()


@pytest.mark.parametrize("declared_s", [0.0, YEARS_S])
def test_years_are_no_pause(declared_s: float) -> None:
    times_s = placed([0.0, 1.0, YEARS_S, YEARS_S + 1, YEARS_S + 5], declared_s=declared_s)
    assert times_s == [0.0, 1.0, 2.0, 3.0, pytest.approx(7.0)]
    assert placed([0.0, MAX_DURATION_S + 1], declared_s=2 * MAX_DURATION_S) == [0.0, 1.0]


def test_a_clock_that_starts_again_goes_on() -> None:
    assert placed([10.0, 11.0, 0.0, 1.0, None], origin_s=10.0) == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_small_steps_back_are_inaccurate_times() -> None:
    assert placed([0.0, 0.9, 1.7]) == [0.0, 0.9, 1.7]


def test_recordings_that_were_cut_together_are_joined_at_a_minute() -> None:
    assert placed([0.0, 50.0], broadcast=True) == [0.0, 50.0]
    assert placed([0.0, 70.0], broadcast=True) == [0.0, 1.0]


def test_streams_stay_in_step_where_the_clock_is_set() -> None:
    clock = PacketClock(0.0, 0.0, broadcast=True)
    order = [(0, 0.0), (1, 0.2), (0, 1.0), (1, 1.2), (0, 2.0), (0, 500.0), (1, 2.2), (1, 500.2), (0, 501.0)]
    times_s = [clock.place(stream, stamp_s, 1.0) for stream, stamp_s in order]
    assert times_s == pytest.approx([0.0, 0.2, 1.0, 1.2, 2.0, 3.0, 2.2, 3.2, 4.0])
    assert clock.joined == {0, 1}
