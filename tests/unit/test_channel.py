from __future__ import annotations

import threading

import pytest

from wave_search.indexer.pipeline.byte_queue import Channel, Closed


def test_items_come_in_order_up_to_both_bounds() -> None:
    channel: Channel[str] = Channel(100, 1)
    for name, size in (("a", 10), ("b", 20), ("c", 30), ("d", 5)):
        channel.put(name, size)
    assert channel.take(2, 1000) == ["a", "b"]
    assert channel.take(9, 30) == ["c"]
    assert channel.take(9, 30) == ["d"]


def test_one_item_fits_however_large() -> None:
    channel: Channel[str] = Channel(10, 1)
    channel.put("large", 1000)
    assert channel.take(9, 10) == ["large"]


def test_the_end_is_reached_when_all_producers_have_left() -> None:
    channel: Channel[str] = Channel(10, 2)
    channel.leave()
    channel.put("last")
    channel.leave()
    assert channel.take(9, 10) == ["last"]
    assert channel.take(9, 10) == []


def test_a_full_channel_makes_producers_wait() -> None:
    channel: Channel[int] = Channel(10, 1)
    highest = 0

    def produce() -> None:
        for number in range(50):
            channel.put(number, 4)
        channel.leave()

    thread = threading.Thread(target=produce)
    thread.start()
    taken: list[int] = []
    while batch := channel.take(99, 999):
        highest = max(highest, len(batch))
        taken += batch
    thread.join()
    assert taken == list(range(50))
    assert highest <= 2


def test_closing_releases_waiting_producers() -> None:
    channel: Channel[str] = Channel(10, 1)
    channel.put("a", 10)
    outcome: list[str] = []

    def produce() -> None:
        try:
            channel.put("b", 10)
        except Closed:
            outcome.append("closed")

    thread = threading.Thread(target=produce)
    thread.start()
    channel.close()
    thread.join()
    assert outcome == ["closed"]
    with pytest.raises(Closed):
        channel.put("c")
