"""When frames are presented, from the time stamps of packets."""

from __future__ import annotations

import numpy as np
import pytest

from wave_search.media.timing import VideoPackets, clock_of


def packets(times_s: list[float], last_s: float = 0.0) -> VideoPackets:
    return VideoPackets(len(times_s), times_s[0], np.array(times_s), last_s, in_order=True)


@pytest.mark.parametrize("fps", [10.0, 24_000 / 1001, 25.0, 30_000 / 1001, 60.0])
def test_time_stamps_in_milliseconds_are_of_a_constant_rate(fps: float) -> None:
    clock = clock_of(packets([round(number / fps, 3) for number in range(500)]), fps, 0.0)
    assert (clock.timing, clock.fps, clock.stop_s) == ("constant", fps, pytest.approx(500 / fps))


def test_a_wrong_declaration_is_corrected() -> None:
    clock = clock_of(packets([8.0 + number / 10 for number in range(200)]), 25.0, 0.0)
    assert (clock.timing, clock.fps, clock.start_s, clock.stop_s) == ("constant", 10.0, 8.0, 28.0)


@pytest.mark.parametrize(
    "times_s",
    [
        [number / 30 for number in range(300)] + [10.0 + number for number in range(20)],
        [number / 25 for number in range(50)] + [number / 25 for number in range(53, 100)],  # three frames are missing
        [0.0, 10.0, 24.0, 30.0],
    ],
)
def test_other_steps_are_a_variable_rate(times_s: list[float]) -> None:
    clock = clock_of(packets(times_s), len(times_s) / times_s[-1], 0.0)
    assert clock.timing == "variable"
    assert times_s[-1] < clock.stop_s


@pytest.mark.parametrize(
    ("times_s", "last_s", "declared_s", "stop_s"),
    [
        ([0.0], 0.04, 60.0, 60.0),  # a still
        ([0.0, 3.0, 20.0], 6.7, 100.0, 100.0),  # slides without durations
        ([0.0, 3.0, 20.0], 80.0, 100.0, 100.0),
        ([0.0, 3.0, 20.0], 6.7, 0.0, 26.7),
        ([number / 25 for number in range(50)], 0.04, 100.0, 2.0),  # a film of which 98 s are missing
        ([number / 25 for number in range(50)], 5.0, 0.0, 6.96),
        ([0.0, 0.2, 0.28], 0.0, 0.32, 0.32),  # no duration, as in ASF
        ([0.0, 0.2, 0.28], 0.0, 9.0, 0.42),
    ],
)
def test_how_long_the_last_frame_is_shown(
    times_s: list[float], last_s: float, declared_s: float, stop_s: float
) -> None:
    assert clock_of(packets(times_s, last_s), 25.0, declared_s).stop_s == pytest.approx(stop_s)


def test_without_time_stamps_frames_are_counted() -> None:
    unstamped = VideoPackets(50, 0.0, None, 0.0, in_order=False)
    assert clock_of(unstamped, 10.0, 0.0).stop_s == 5.0
    assert clock_of(unstamped, 0.0, 0.0).stop_s == 2.0
    assert clock_of(packets([1.0, 1.0, 1.0]), 10.0, 0.0).timing == "counted"
