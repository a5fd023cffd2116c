"""Streams of clips: grouped into batches of bounded size, and computed ahead in threads."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator
    from concurrent.futures import Future

    from wave_search.types import Clip

BATCH_CLIPS = 32
"""Clips that a model embeds in one call."""
SHORT_BATCH_CLIPS = 8
"""The same where people watch the progress, which is reported after each batch."""
BATCH_BYTES = 128 << 20
"""Decoded bytes in one call; a single larger clip is a batch of its own."""
WHOLE_BATCH_BYTES = 1 << 30
"""The same for clips of whole files: one of 128 frames takes 68 MB, and several devices share the clips of a call."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def clip_bytes(clip: Clip) -> int:
    """Return the size in bytes of a clip's arrays; a text counts as 0."""
    pixels = clip.frames.pixels if clip.frames else None
    samples = clip.waveform.samples if clip.waveform else None
    return sum(array.nbytes for array in (clip.image, pixels, samples) if array is not None)


def batched(
    items: Iterable[Item],
    size_bytes: Callable[[Item], int],
    *,
    max_items: int = BATCH_CLIPS,
    max_bytes: int = BATCH_BYTES,
) -> Iterator[list[Item]]:
    """Group items, in order, into lists within both bounds; a larger item is a list of its own.

    Args:
        items: consumed one item ahead of the yielded list.
        size_bytes: returns the size of an item.
        max_items: maximum length of a list.
        max_bytes: maximum total size of a list.
    """
    batch: list[Item] = []
    batch_bytes = 0
    for item in items:
        item_bytes = size_bytes(item)
        if batch and (len(batch) == max_items or batch_bytes + item_bytes > max_bytes):
            yield batch
            batch, batch_bytes = [], 0
        batch.append(item)
        batch_bytes += item_bytes
    if batch:
        yield batch


def map_ahead(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    threads: int = 1,
    ahead: int = 1,
    interrupt: Callable[[], object] = lambda: None,
) -> Generator[Result]:
    """Like `map`, with the next results computed in threads while the caller uses the current one.

    Closing the generator early drops the calls that have not begun and waits for the running ones.

    Args:
        function: called once with each item, in `threads` threads.
        items: consumed in the caller's thread.
        threads: number of threads.
        ahead: maximum number of results computed, or being computed, beyond the one that is yielded.
        interrupt: called if the generator ends early, by an error or by closing it: makes running calls end soon.

    Raises:
        Exception: whatever `function` raised, when its result would have been yielded.
    """
    pool = ThreadPoolExecutor(threads, "map-ahead")
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BaseException:
        interrupt()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
