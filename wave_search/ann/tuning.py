"""Tuning of the search parameters of a partition for a target recall, measured against exact search.

The queries are vectors of the index itself, some of each modality, so that queries of another modality are covered. The
results are kept in the manifest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from wave_search.ann.exact import approximate_products
from wave_search.ann.inverted_lists import TUNED_K, ProbedQuery, SearchParams
from wave_search.ann.plan import draw
from wave_search.store import Tuning
from wave_search.types import Modality, PartitionKey

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from wave_search.ann.shard_set import ShardSet
    from wave_search.store import Snapshot

RECALL = 0.95
QUERIES = 256
MIN_QUERIES = 32
"""Minimum number of queries for a meaningful measurement."""
_GROWTH = 1.25
_TRUE_KEPT = 4 * TUNED_K
"""Number of true neighbours that are kept, because some may tie with the tenth."""
_SAME_SCORE = 1e-6
_REFINE_K = (*range(10, 80, 5), *range(80, 160, 10), *range(160, 320, 20), *range(320, 801, 80))
_WIDE_REFINE_K = (1_600, 3_200, 6_400, 12_800)
_TAIL = 0.1
_ROUNDING = 1e-9
_BLOCK_ROWS = 4_096
_OUTGROWN_CODES = 128
_OUTGROWN_REFINE_K = 640


@dataclass(frozen=True, slots=True)
class TuningQueries:
    """Vectors whose nearest neighbours in a partition are searched for."""

    vectors: NDArray[np.float32]
    """(q, dim) of unit norm."""
    own_ids: NDArray[np.int64] | None = None
    """(q,) their ids if they are of the same partition, because they do not count as their own neighbours."""


@dataclass(frozen=True, slots=True)
class TuningResult:
    """Search parameters and the recall that they reach."""

    params: SearchParams
    recall: float
    """Mean share of the true best 10 that is found."""
    tail: float
    """The share that is found for the worst tenth of the queries: their 10th percentile."""


def last_target(snapshot: Snapshot, key: PartitionKey) -> float:
    """Return the previous target recall of a partition, or else the default."""
    return next((tuning.target for tuning in snapshot.tunings(key)), RECALL)


def is_due(snapshot: Snapshot, key: PartitionKey, covered: int, target: float) -> bool:
    """Return whether the search parameters of a partition must be measured again.

    This is the case if the target recall has changed, if the shards have grown or shrunk by a quarter since, or if the
    index now has queries of a new modality.

    Args:
        snapshot: the newest version.
        key: of the partition.
        covered: number of segments in shards.
        target: target recall@10.
    """
    done = {tuning.query: tuning for tuning in snapshot.tunings(key)}
    return done.keys() != {modality for modality, _ in _query_sources(snapshot, key)} or any(
        tuning.target != target or not covered / _GROWTH < tuning.vectors < covered * _GROWTH
        for tuning in done.values()
    )


def measure(snapshot: Snapshot, key: PartitionKey, shards: ShardSet, target: float) -> tuple[list[Tuning], bool]:
    """Find the search parameters for each modality of queries.

    Args:
        snapshot: the source of the queries.
        key: of the partition.
        shards: of the partition.
        target: target recall@10.

    Returns:
        The tunings to store, and whether any of them shows that the codebook is outgrown.
    """
    now = datetime.now(UTC).isoformat(timespec="seconds")
    tunings, outgrown = [], False
    for modality, source in _query_sources(snapshot, key):
        ids = draw(snapshot.partition(source).ids, QUERIES)
        vectors = snapshot.vectors(source, ids).astype(np.float32)
        result = tune(shards, TuningQueries(vectors, ids if source == key else None), target)
        outgrown |= is_outgrown(shards, result, target)
        nprobe, refine_k = result.params.nprobe, result.params.refine_k
        found = nprobe, refine_k, result.recall, result.tail, target, shards.count, now
        tunings.append(Tuning(key, modality, *found))
    return tunings, outgrown


def _query_sources(snapshot: Snapshot, key: PartitionKey) -> Iterator[tuple[Modality, PartitionKey]]:
    """Return each modality of which the index has enough vectors to serve as queries, with the partition of these."""
    segments = snapshot.counts().segments
    for modality in Modality:
        source = key if modality is key.modality else PartitionKey(modality)
        if segments.get(source, 0) >= MIN_QUERIES:
            yield modality, source


def params_for(
    tuned: Mapping[Modality, SearchParams], queries: Collection[Modality | None], own: Modality, lists: int
) -> SearchParams:
    """Return the parameters tuned for queries of these modalities, or else the widest ones of all tunings.

    If only queries of the partition's own modality were measured, the result is at least `SearchParams.by_rule`,
    because queries of another modality need a wider search.

    Args:
        tuned: the measurements of the partition, by modality of the queries.
        queries: their modalities; None for one that is not known.
        own: the modality of the partition.
        lists: of its codebook.
    """
    chosen = [tuned[modality] for modality in queries if modality is not None and modality in tuned]
    if len(chosen) == len(queries) == 1:
        return chosen[0]
    if len(chosen) < len(queries):
        chosen = list(tuned.values())
        if tuned.keys() <= {own}:
            chosen.append(SearchParams.by_rule(lists))
    return SearchParams(max(one.nprobe for one in chosen), max(one.refine_k for one in chosen))


def tune(shards: ShardSet, queries: TuningQueries, target: float) -> TuningResult:
    """Find the cheapest search parameters whose recall@10 exceeds the target by one standard error.

    The worst tenth of the queries may miss the target by `_TAIL`. If only many more candidates reach that, these are
    scored; if none do that cost less than all vectors, all are, as for vectors of which codes know hardly anything.
    Reads all vectors once to find the true neighbours.

    Args:
        shards: to search.
        queries: a few hundred.
        target: of the mean recall@10.
    """
    truth, lists = _true_neighbours(shards, queries), shards.codebook.lists
    exact = shards.count * shards.codebook.dim
    trials: list[_Trial] = []
    for nprobe in _coarse_nprobes(lists):
        if trials and shards.cost(SearchParams(nprobe, TUNED_K)) >= min(trials).cost:
            break
        trials.append(_try(shards, queries, truth, nprobe, target))
    if math.isinf(min(trials).cost):
        affordable = [refine_k for refine_k in _WIDE_REFINE_K if shards.cost(SearchParams(lists, refine_k)) < exact]
        if affordable:
            trials.append(_try(shards, queries, truth, lists, target, refine_ks=affordable))
        if math.isinf(min(trials).cost):
            return TuningResult(SearchParams(lists, max(shards.count, 1)), 1.0, 1.0)
    fine = _fine_nprobes(min(trials).result.params.nprobe, lists)
    return min([*trials, *(_try(shards, queries, truth, nprobe, target) for nprobe in fine)]).result


@dataclass(frozen=True, slots=True, order=True)
class _Trial:
    """The best search parameters for one nprobe. The minimum of several trials is the best one."""

    cost: float
    """Infinite if the recall is below the target."""
    missed: float
    """Mean share of the true best 10 that is not found."""
    result: TuningResult = field(compare=False)


def _try(
    shards: ShardSet,
    queries: TuningQueries,
    truth: list[_Truth],
    nprobe: int,
    target: float,
    *,
    refine_ks: Sequence[int] = _REFINE_K,
) -> _Trial:
    """Find the lowest `refine_k` with which the target is reached as `tune` says, or else the best recall."""
    ranks = _ranks(shards, queries, truth, nprobe, refine_ks[-1])
    for refine_k in refine_ks:
        shares = (ranks < refine_k).mean(axis=1)
        result = TuningResult(SearchParams(nprobe, refine_k), float(shares.mean()), float(np.percentile(shares, 10)))
        is_sure = result.recall - shares.std() / np.sqrt(len(shares)) >= target
        if is_sure and result.tail >= target - _TAIL - _ROUNDING:
            return _Trial(shards.cost(result.params), 1 - result.recall, result)
    return _Trial(math.inf, 1 - result.recall, result)


def is_outgrown(shards: ShardSet, result: TuningResult, target: float) -> bool:
    """Return whether a new codebook would be better.

    This is the case if the current one does not reach the target, or only at several times the cost of a new one, which
    on embedding-like vectors is that of the codes of about 32 sqrt(n) vectors and a `refine_k` of 100.
    """
    codes = len(shards) * result.params.nprobe / shards.codebook.lists
    is_costly = codes > _OUTGROWN_CODES * math.sqrt(len(shards)) or result.params.refine_k > _OUTGROWN_REFINE_K
    return result.recall < target or is_costly


def _coarse_nprobes(lists: int) -> Iterator[int]:
    """Return values of nprobe to try, each 1.5 times the previous one."""
    nprobe = max(1, lists // 64)
    while nprobe < lists:
        yield nprobe
        nprobe = max(nprobe + 1, nprobe * 3 // 2)
    yield lists


def _fine_nprobes(nprobe: int, lists: int) -> list[int]:
    """Return values around the best of the coarse ones; only a few, because each takes a while."""
    near = {round(nprobe * factor) for factor in (0.75, 0.87, 1.15)}
    return sorted(number for number in near if number <= lists and number != nprobe)


@dataclass(frozen=True, slots=True)
class _Truth:
    """The true best `TUNED_K` of a query, and others that tie with the last of them."""

    ids: NDArray[np.int64]
    """At most `_TRUE_KEPT`."""
    least: float | None
    """The score of the last of them if more may tie with it than are in `ids`, as copies of a vector do."""


def _true_neighbours(shards: ShardSet, queries: TuningQueries) -> list[_Truth]:
    scores = np.full((len(queries.vectors), _TRUE_KEPT), -np.inf, np.float32)
    ids = np.full((len(queries.vectors), _TRUE_KEPT), -1, np.int64)
    buffer = np.empty((_BLOCK_ROWS, shards.codebook.dim), np.float32)
    for batch_ids, batch in shards.live_batches(_BLOCK_ROWS):
        found = approximate_products(batch, queries.vectors, buffer)
        if queries.own_ids is not None:
            found[queries.own_ids[:, None] == batch_ids] = -np.inf
        scores = np.concatenate([scores, found], axis=1)
        ids = np.concatenate([ids, np.broadcast_to(batch_ids, found.shape)], axis=1)
        kept = np.argpartition(scores, -_TRUE_KEPT, axis=1)[:, -_TRUE_KEPT:]
        scores, ids = np.take_along_axis(scores, kept, axis=1), np.take_along_axis(ids, kept, axis=1)
    last = np.sort(scores, axis=1)[:, -TUNED_K] - _SAME_SCORE
    several = ((own >= least) & (row >= 0) for row, own, least in zip(ids, scores, last, strict=True))
    return [
        _Truth(row[true], float(least) if true.all() else None)
        for row, true, least in zip(ids, several, last, strict=True)
    ]


def _ranks(shards: ShardSet, queries: TuningQueries, truth: list[_Truth], nprobe: int, count: int) -> NDArray[np.int64]:
    """Return the rank, among `count` candidates, of each of the true best, (q, TUNED_K).

    A large number for one that is not found, -1 where there are fewer than `TUNED_K`.
    """
    nearest = shards.nearest(ProbedQuery.of(shards.codebook, queries.vectors, nprobe), count)
    ranks = np.full((len(nearest), TUNED_K), np.iinfo(np.int64).max)
    for number, (found, true, row) in enumerate(zip(nearest, truth, ranks, strict=True)):
        places = np.flatnonzero(found >= 0)
        places = places[np.argsort(found[places])]
        ids = shards.ids_at(found[places])
        if true.least is None:
            is_true = np.isin(ids, true.ids)
        else:
            is_true = shards.vectors_at(found[places]).astype(np.float32) @ queries.vectors[number] >= true.least
            if queries.own_ids is not None:
                is_true &= ids != queries.own_ids[number]
        row[len(true.ids) :] = -1
        at = np.sort(places[is_true])[:TUNED_K]
        row[: len(at)] = at
    return ranks
