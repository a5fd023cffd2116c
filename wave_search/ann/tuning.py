"""How widely a partition has to be searched for a wanted recall: measured against exact search."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from wave_search.ann.float16 import scaled, widened
from wave_search.ann.shard import Question
from wave_search.ann.shard_set import TUNED_K, SearchParams

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from wave_search.ann.shard_set import Shards

_TRUE_KEPT = 4 * TUNED_K
"""So many of the truly best are kept, for those that share the score of the tenth."""
_SAME_SCORE = 1e-6
_CANDIDATES = (*range(10, 80, 5), *range(80, 160, 10), *range(160, 320, 20), *range(320, 801, 80))
_BLOCK_ROWS = 4_096
_OUTGROWN_CODES = 128
_OUTGROWN_CANDIDATES = 640


@dataclass(frozen=True, slots=True)
class Questions:
    """Vectors to ask a partition for its nearest ones."""

    rows: NDArray[np.float32]
    """(q, dim) of unit norm."""
    own_ids: NDArray[np.int64] | None = None
    """(q,) where they are of the same partition: not to be found themselves."""


@dataclass(frozen=True, slots=True)
class Measured:
    """An effort, and what it gives."""

    effort: SearchParams
    recall: float
    """Mean share of the true best 10 that are found."""


def tune(shards: Shards, questions: Questions, target: float) -> Measured:
    """Find the cheapest effort whose recall@10 is `target` by one standard error, or else the best recall.

    Reads all vectors once, to know the truth.

    Args:
        shards: to search.
        questions: a few hundred.
        target: of the mean recall@10.
    """
    truth, lists = _truth(shards, questions), shards.codebook.lists
    tried: list[_Tried] = []
    for nprobe in _ladder(lists):
        if tried and shards.cost(SearchParams(nprobe, TUNED_K)) >= min(tried).cost:
            break
        tried.append(_try(shards, questions, truth, nprobe, target))
    near = _between(min(tried).measured.effort.nprobe, lists)
    return min([*tried, *(_try(shards, questions, truth, nprobe, target) for nprobe in near)]).measured


@dataclass(frozen=True, slots=True, order=True)
class _Tried:
    """The best for some number of lists. The least of several is the best of them."""

    cost: float
    """Infinite if it is not enough."""
    missed: float
    """Share of the true best 10 that is not found."""
    measured: Measured = field(compare=False)


def _try(shards: Shards, questions: Questions, truth: list[NDArray[np.int64]], nprobe: int, target: float) -> _Tried:
    """Find the least number of candidates whose recall is the target for certain, or else the best recall."""
    ranks = _ranks(shards, questions, truth, nprobe)
    for candidates in _CANDIDATES:
        shares = (ranks < candidates).mean(axis=1)
        measured = Measured(SearchParams(nprobe, candidates), float(shares.mean()))
        if measured.recall - shares.std() / np.sqrt(len(shares)) >= target:
            return _Tried(shards.cost(measured.effort), 1 - measured.recall, measured)
    return _Tried(math.inf, 1 - measured.recall, measured)


def is_outgrown(shards: Shards, measured: Measured, target: float) -> bool:
    """Tell whether a new codebook would pay.

    That is where this one does not reach the target, or only at several times of what a new one takes: on
    embedding-like vectors, codes of about 32 sqrt(n) vectors and 100 candidates.
    """
    codes = len(shards) * measured.effort.nprobe / shards.codebook.lists
    dear = codes > _OUTGROWN_CODES * np.sqrt(len(shards)) or measured.effort.candidates > _OUTGROWN_CANDIDATES
    return measured.recall < target or bool(dear)


def _ladder(lists: int) -> Iterator[int]:
    """Numbers of lists to try, each half as many again."""
    nprobe = max(1, lists // 64)
    while nprobe < lists:
        yield nprobe
        nprobe = max(nprobe + 1, nprobe * 3 // 2)
    yield lists


def _between(nprobe: int, lists: int) -> list[int]:
    """Numbers on either side of one of the ladder, which is coarse because to try one takes a while."""
    near = {round(nprobe * factor) for factor in (0.75, 0.87, 1.15)}
    return sorted(number for number in near if 0 < number <= lists and number != nprobe)


def _truth(shards: Shards, questions: Questions) -> list[NDArray[np.int64]]:
    """For each question the ids of the best `TUNED_K`, and of others with the same score as the last of them."""
    rows = scaled(questions.rows)
    scores = np.full((len(rows), _TRUE_KEPT), -np.inf, np.float32)
    ids = np.full((len(rows), _TRUE_KEPT), -1, np.int64)
    buffer = np.empty((_BLOCK_ROWS, shards.codebook.dim), np.float32)
    for batch_ids, batch in shards.live_batches(_BLOCK_ROWS):
        found = rows @ widened(batch, buffer).T
        if questions.own_ids is not None:
            found[questions.own_ids[:, None] == batch_ids] = -np.inf
        scores = np.concatenate([scores, found], axis=1)
        ids = np.concatenate([ids, np.broadcast_to(batch_ids, found.shape)], axis=1)
        kept = np.argpartition(scores, -_TRUE_KEPT, axis=1)[:, -_TRUE_KEPT:]
        scores, ids = np.take_along_axis(scores, kept, axis=1), np.take_along_axis(ids, kept, axis=1)
    last = np.sort(scores, axis=1)[:, -TUNED_K]
    return [row[(own >= least - _SAME_SCORE) & (row >= 0)] for row, own, least in zip(ids, scores, last, strict=True)]


def _ranks(shards: Shards, questions: Questions, truth: list[NDArray[np.int64]], nprobe: int) -> NDArray[np.int64]:
    """At which place of the candidates each of the true best is found, (q, TUNED_K).

    A great number if it is not found, -1 where there are not so many.
    """
    nearest = shards.nearest(Question.of(shards.codebook, questions.rows, nprobe), _CANDIDATES[-1])
    ranks = np.full((len(nearest), TUNED_K), np.iinfo(np.int64).max)
    for found, true, row in zip(nearest, truth, ranks, strict=True):
        there = found >= 0
        order = np.argsort(found[there])
        ids = np.full(len(found), -1)
        ids[np.flatnonzero(there)[order]] = shards.ids_at(found[there][order])
        row[len(true) :] = -1
        places = np.flatnonzero(np.isin(ids, true))[:TUNED_K]
        row[: len(places)] = places
    return ranks
