"""One model replicated on several devices, as one embedder."""

from __future__ import annotations

from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from wave_search.models.base import Embedder, ModelSpec
    from wave_search.types import Clip, Modality

    Vectors = dict[Modality, NDArray[np.float32]]

Result = TypeVar("Result")

_SHARES = 4
"""Number of shares of a call per device: more balance clips of unequal length better, fewer make larger batches."""


class Replicas:
    """An embedder that distributes the clips of a call over devices; each takes the next share when it finishes one.

    A vector does not depend on the device that computes it. See `wave_search.models.Embedder`.
    """

    def __init__(self, makers: Sequence[Callable[[], Embedder]]) -> None:
        """Load the first replica.

        Args:
            makers: each loads the model on one device. All but the first are called when a call first has clips for
                several devices.
        """
        self._makers = makers
        self._locks = [Lock() for _ in makers]
        self._made: dict[int, Embedder] = {0: makers[0]()}

    @property
    def spec(self) -> ModelSpec:
        """What the vectors depend on."""
        return self._made[0].spec

    def embed(
        self, clips: Sequence[Clip], modalities: Sequence[Modality] | None = None, instruction: str | None = None
    ) -> list[Vectors]:
        """See `Embedder.embed`."""
        return self._distribute(clips, lambda replica, part: replica.embed(part, modalities, instruction))

    def embed_each(
        self, clips: Sequence[Clip], instructions: Sequence[str | None], modalities: Sequence[Modality] | None = None
    ) -> list[list[Vectors]]:
        """See `Embedder.embed_each`."""
        return self._distribute(clips, lambda replica, part: replica.embed_each(part, instructions, modalities))

    def _distribute(
        self, clips: Sequence[Clip], embed: Callable[[Embedder, Sequence[Clip]], list[Result]]
    ) -> list[Result]:
        size = max(1, -(-len(clips) // (_SHARES * len(self._makers))))
        starts = range(0, len(clips), size)
        if len(starts) < 2:
            return embed(self._replica(0), clips)
        queue: SimpleQueue[int] = SimpleQueue()
        for start in starts:
            queue.put(start)
        done: dict[int, list[Result]] = {}
        errors: list[BaseException] = []

        def work(number: int) -> None:
            try:
                while not errors:
                    start = queue.get_nowait()
                    done[start] = embed(self._replica(number), clips[start : start + size])
            except Empty:
                pass
            except BaseException as error:
                errors.append(error)

        threads = [Thread(target=work, args=(number,), name=f"replica-{number}") for number in range(len(self._makers))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]
        return [result for start in starts for result in done[start]]

    def _replica(self, number: int) -> Embedder:
        with self._locks[number]:
            if number not in self._made:
                self._made[number] = self._makers[number]()
            return self._made[number]
