from __future__ import annotations

import threading

import pytest

from wave_search.indexer.pipeline.byte_queue import ByteQueue, Closed


def test_items_come_in_order_up_to_both_bounds() -> None:
    queue: ByteQueue[str] = ByteQueue(100, 1)
    for name, size in (("a", 10), ("b", 20), ("c", 30), ("d", 5)):
        queue.put(name, size)
    assert queue.take(2, 1000) == ["a", "b"]
    assert queue.take(9, 30) == ["c"]
    assert queue.take(9, 30) == ["d"]


def test_one_item_fits_however_large() -> None:
    queue: ByteQueue[str] = ByteQueue(10, 1)
    queue.put("large", 1000)
    assert queue.take(9, 10) == ["large"]


def test_the_end_is_reached_when_all_producers_have_left() -> None:
    queue: ByteQueue[str] = ByteQueue(10, 2)
    queue.leave()
    queue.put("last")
    queue.leave()
    assert queue.take(9, 10) == ["last"]
    assert queue.take(9, 10) == []


def test_a_full_queue_makes_producers_wait() -> None:
    queue: ByteQueue[int] = ByteQueue(10, 1)
    highest = 0

    def produce() -> None:
        for number in range(50):
            queue.put(number, 4)
        queue.leave()

    thread = threading.Thread(target=produce)
    thread.start()
    taken: list[int] = []
    while batch := queue.take(99, 999):
        highest = max(highest, len(batch))
        taken += batch
    thread.join()
    assert taken == list(range(50))
    assert highest <= 2


def test_closing_releases_waiting_producers() -> None:
    queue: ByteQueue[str] = ByteQueue(10, 1)
    queue.put("a", 10)
    outcome: list[str] = []

    def produce() -> None:
        try:
            queue.put("b", 10)
        except Closed:
            outcome.append("closed")

    thread = threading.Thread(target=produce)
    thread.start()
    queue.close()
    thread.join()
    assert outcome == ["closed"]
    with pytest.raises(Closed):
        queue.put("c")
