"""A queue between threads that is bounded in bytes, because a segment is anything from a word to 100 MB of frames."""

from __future__ import annotations

from collections import deque
from threading import Condition
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Closed(Exception):  # noqa: N818 - a signal to producers, not an error
    """The consumer has closed the queue."""


class ByteQueue(Generic[Item]):
    """A queue with several producers and one consumer.

    Args:
        max_bytes: producers wait while more than this is queued.
        producers: number of producers; the queue ends when all of them have left.
    """

    def __init__(self, max_bytes: int, producers: int) -> None:
        self._max_bytes = max_bytes
        self._producers = producers
        self._items: deque[tuple[Item, int]] = deque()
        self._bytes = 0
        self._closed = False
        self._changed = Condition()

    def put(self, item: Item, size_bytes: int = 0) -> None:
        """Queue an item; wait while the queue is full. An empty queue takes an item of any size.

        Raises:
            Closed: the consumer has closed the queue.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: self._closed or not self._bytes or self._bytes + size_bytes <= self._max_bytes
            )
            if self._closed:
                raise Closed
            self._items.append((item, size_bytes))
            self._bytes += size_bytes
            self._changed.notify_all()

    def leave(self) -> None:
        """Leave as a producer, which puts no more items."""
        with self._changed:
            self._producers -= 1
            self._changed.notify_all()

    @property
    def is_empty(self) -> bool:
        """Whether `take` would wait."""
        return not self._items

    def take(self, max_items: int, max_bytes: int) -> list[Item]:
        """Wait for an item, and take it together with further queued items within both bounds.

        Returns:
            An empty list when all producers have left and the queue is empty.
        """
        with self._changed:
            self._changed.wait_for(lambda: bool(self._items) or not self._producers)
            taken: list[Item] = []
            taken_bytes = 0
            while (
                self._items and len(taken) < max_items and (not taken or taken_bytes + self._items[0][1] <= max_bytes)
            ):
                item, size_bytes = self._items.popleft()
                taken.append(item)
                taken_bytes += size_bytes
            self._bytes -= taken_bytes
            self._changed.notify_all()
            return taken

    def close(self) -> None:
        """Close as the consumer: from now on `put` raises `Closed`, also in producers that are waiting."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
