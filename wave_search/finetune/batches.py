"""Which pairs each step takes: batches of one task, every pair once an epoch."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from wave_search.errors import UsageError
from wave_search.finetune.settings import QUESTIONS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from wave_search.finetune.rows import Pair


def by_task(pairs: Sequence[Pair]) -> dict[str, list[Pair]]:
    """Divide pairs, tasks in the order of the alphabet."""
    found: dict[str, list[Pair]] = defaultdict(list)
    for pair in pairs:
        found[pair.task].append(pair)
    return dict(sorted(found.items()))


def chosen(tasks: dict[str, list[Pair]], wanted: Sequence[str]) -> dict[str, list[Pair]]:
    """Keep the tasks that are wanted; all, if none is named.

    Raises:
        UsageError: one is not in the data.
    """
    missing = [name for name in wanted if name not in tasks]
    if missing:
        raise UsageError(f"no pairs for the task {missing[0]}", f"There are {', '.join(tasks) or 'no pairs at all'}.")
    return {name: pairs for name, pairs in tasks.items() if not wanted or name in wanted}


@dataclass(frozen=True, slots=True)
class Batch:
    """What one step takes."""

    task: str
    pairs: tuple[Pair, ...]


class Plan:
    """All batches of a run, each computed when it is asked for: a resumed run takes the same ones.

    The last batch of a task is filled up from the beginning of the epoch's order.

    Args:
        tasks: name -> pairs.
        size: pairs of a batch.
        processes: among which a batch is divided; it must go into `size`.
        seed: of the order.

    Raises:
        UsageError: a task has too few pairs.
    """

    def __init__(self, tasks: dict[str, list[Pair]], size: int, processes: int, seed: int) -> None:
        if size % processes:
            raise UsageError(
                f"a batch of {size} cannot be divided among {processes} processes", "Choose another batch."
            )
        self._tasks, self._seed = tasks, seed
        self._sizes = {name: min(size, len(pairs) // processes * processes) for name, pairs in tasks.items()}
        for name, pairs in tasks.items():
            least = processes if name == QUESTIONS else max(2, processes)
            if len(pairs) < least:
                raise UsageError(
                    f"the task {name} has {len(pairs)} pair, but needs {least} or more",
                    "Add pairs, or list under tasks only the others.",
                )
        self._epoch = lru_cache(1)(self._batches_of)

    @property
    def epoch_steps(self) -> int:
        """Steps in which each pair is used once."""
        return sum(-(-len(pairs) // self._sizes[name]) for name, pairs in self._tasks.items())

    def batch(self, step: int) -> Batch:
        """Give the batch of a step, from 0."""
        epoch, place = divmod(step, self.epoch_steps)
        return self._epoch(epoch)[place]

    def _batches_of(self, epoch: int) -> list[Batch]:
        rng = np.random.default_rng((self._seed, epoch))
        batches = [
            batch for name, pairs in self._tasks.items() for batch in self._cut(name, rng.permutation(len(pairs)))
        ]
        return [batches[place] for place in rng.permutation(len(batches))]

    def _cut(self, name: str, order: NDArray[np.int64]) -> list[Batch]:
        size, pairs = self._sizes[name], self._tasks[name]
        filled = np.concatenate([order, order[: -len(order) % size]])
        return [Batch(name, tuple(pairs[place] for place in part)) for part in filled.reshape(-1, size)]
