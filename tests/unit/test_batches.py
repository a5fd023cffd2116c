from __future__ import annotations

import threading

import numpy as np
import pytest

from wave_search.batches import batched, clip_bytes, map_ahead
from wave_search.types import Clip, Frames, Waveform


def test_batches_keep_the_order_within_both_bounds() -> None:
    made = list(batched([10, 20, 30, 5, 200, 1], lambda size: size, max_items=2, max_bytes=40))
    assert made == [[10, 20], [30, 5], [200], [1]]
    assert list(batched([], len)) == []


def test_the_bytes_of_a_clip_are_those_of_its_arrays() -> None:
    frames, waveform = Frames(np.zeros((2, 4, 4, 3), np.uint8), 1.0), Waveform(np.zeros(10, np.float32), 16_000)
    assert clip_bytes(Clip(frames=frames, waveform=waveform)) == 2 * 4 * 4 * 3 + 4 * 10
    assert clip_bytes(Clip(image=np.zeros((3, 3, 3), np.uint8))) == 27
    assert clip_bytes(Clip(text="any")) == 0


def test_results_come_in_order_and_no_further_ahead_than_asked() -> None:
    started: list[int] = []

    def double(number: int) -> int:
        started.append(number)
        return 2 * number

    results = map_ahead(double, range(10), threads=2, ahead=3)
    assert next(results) == 0
    assert max(started) <= 3
    assert list(results) == [2 * number for number in range(1, 10)]
    assert sorted(started) == list(range(10))


def test_the_next_result_is_computed_while_the_current_one_is_used() -> None:
    computed = threading.Event()

    def note(number: int) -> int:
        if number == 1:
            computed.set()
        return number

    results = map_ahead(note, range(3))
    assert next(results) == 0
    assert computed.wait(30)
    results.close()


@pytest.mark.parametrize("ahead", [1, 5])
def test_running_calls_are_interrupted_by_an_error_and_by_closing(ahead: int) -> None:
    interrupted = threading.Event()

    def wait_or_fail(number: int) -> int:
        if number == 0:
            return number
        if number == 1:
            raise ValueError("one")
        assert interrupted.wait(30)
        return number

    results = map_ahead(wait_or_fail, range(4), threads=4, ahead=3, interrupt=interrupted.set)
    assert next(results) == 0
    with pytest.raises(ValueError, match="one"):
        next(results)
    assert interrupted.is_set()
    interrupted.clear()
    results = map_ahead(wait_or_fail, [0, 2, 3], threads=2, ahead=ahead, interrupt=interrupted.set)
    assert next(results) == 0
    results.close()
    assert interrupted.is_set()


def test_a_complete_iteration_interrupts_nothing() -> None:
    interrupted = threading.Event()
    assert list(map_ahead(abs, [-1, 2], interrupt=interrupted.set)) == [1, 2]
    assert not interrupted.is_set()


def test_an_error_comes_at_its_place_and_closing_ends_the_threads() -> None:
    threads = threading.active_count()

    def divide(number: int) -> float:
        return 1 / (number - 2)

    results = map_ahead(divide, range(100), threads=3, ahead=5)
    assert [next(results), next(results)] == [-0.5, -1.0]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert threading.active_count() <= threads
