"""Rankings of a corpus and their figures, for each modality of queries and each modality that they search.

Each ranking is made twice: exactly, and by an index as users get it.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wave_search.ann import Codebook, Questions, SearchParams, Shard, Shards, build_shard, draw, score, tune
from wave_search.evaluation.metrics import DEPTH, figure, query_figures
from wave_search.evaluation.report import DirectionReport

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from wave_search.evaluation.datasets.dataset import Dataset, Item
    from wave_search.evaluation.metrics import Figure
    from wave_search.types import Modality

_BLOCK_QUERIES = 64
_ROUNDING = 2.0**-24
_NOTHING = -1
_RECALL = 0.95
"""The recall@10 that an index is tuned for by default."""
_TUNING_QUERIES = 256
_MIN_TUNING_QUERIES = 32
"""An index tunes its search with as many stored vectors, and not with fewer than the latter."""


def split(dataset: Dataset, vectors: Mapping[Item, NDArray[np.float32]]) -> dict[tuple[Modality, Modality], list[str]]:
    """Sort the queries by direction. One with judgements in several modalities is in several directions.

    Args:
        dataset: the queries and their judgements.
        vectors: of the items that could be embedded; others are ignored.

    Returns:
        (modality of the query, modality that it searches) -> ids of queries.
    """
    found: dict[tuple[Modality, Modality], list[str]] = defaultdict(list)
    for query_id, grades in dataset.qrels.items():
        query = dataset.queries[query_id]
        targets = {dataset.corpus[name].modality for name in grades if dataset.corpus[name] in vectors}
        if query in vectors:
            for target in sorted(targets):
                found[query.modality, target].append(query_id)
    return dict(sorted(found.items()))


def report_direction(
    dataset: Dataset, vectors: Mapping[Item, NDArray[np.float32]], query_ids: list[str], target: Modality
) -> DirectionReport:
    """Rank all items of a modality for queries, exactly and by an index, and compute the figures of both.

    Equally near items are ranked by descending id, as in trec_eval. A query that is itself an item of the corpus does
    not find itself, unless that is judged.

    Args:
        dataset: queries, corpus and judgements.
        vectors: of all items that take part.
        query_ids: of one modality, each with a judgement in `target`.
        target: the modality that they search.
    """
    corpus_ids = sorted(
        (name for name, item in dataset.corpus.items() if item.modality is target and item in vectors), reverse=True
    )
    places = {name: place for place, name in enumerate(corpus_ids)}
    judged = [
        {places[name]: grade for name, grade in dataset.qrels[query_id].items() if name in places}
        for query_id in query_ids
    ]
    queries = [dataset.queries[query_id] for query_id in query_ids]
    asked = np.stack([vectors[query] for query in queries])
    stored = np.stack([vectors[dataset.corpus[name]] for name in corpus_ids]).astype(np.float16)
    alike = stored if queries[0].modality is target else _corpus_vectors(dataset, vectors, queries[0].modality)
    itself = {dataset.corpus[name]: place for name, place in places.items()}
    own = np.array([_own_place(itself.get(query, _NOTHING), of) for query, of in zip(queries, judged, strict=True)])
    exact = _without(exact_rankings(stored, asked, DEPTH + 1), own)
    index = _without(index_rankings(stored, asked, DEPTH + 1, None if alike is stored else alike), own)
    return DirectionReport(
        query=queries[0].modality,
        target=target,
        queries=len(queries),
        items=len(corpus_ids),
        exact=tuple(_figures(exact, judged)),
        index=tuple(_figures(index, judged)),
        index_recall=figure("index recall@10", overlap(index, exact)),
    )


def _corpus_vectors(
    dataset: Dataset, vectors: Mapping[Item, NDArray[np.float32]], modality: Modality
) -> NDArray[np.float16]:
    """(n, dim) of all items of a modality: what an index of the corpus stores of it."""
    items = [item for item in dataset.corpus.values() if item.modality is modality and item in vectors]
    dim = next(iter(vectors.values())).shape[-1]
    return np.array([vectors[item] for item in items], np.float16).reshape(-1, dim)


def _own_place(place: int, judged: Mapping[int, int]) -> int:
    return _NOTHING if place in judged else place


def _without(rankings: NDArray[np.int64], own: NDArray[np.int64]) -> NDArray[np.int64]:
    """Remove the place `own` (q,) from each ranking, and cut them to `DEPTH`."""
    mine = (rankings == own[:, None]) & (own[:, None] != _NOTHING)
    last = np.argsort(mine, axis=1, kind="stable")
    return np.take_along_axis(np.where(mine, _NOTHING, rankings), last, axis=1)[:, :DEPTH]


def _figures(rankings: NDArray[np.int64], judged: list[dict[int, int]]) -> Iterator[Figure]:
    grades = np.array([[of.get(place, 0) for place in row] for row, of in zip(rankings.tolist(), judged, strict=True)])
    for name, values in query_figures(grades, [list(of.values()) for of in judged]).items():
        yield figure(name, values)


def exact_rankings(vectors: NDArray[np.float16], queries: NDArray[np.float32], depth: int) -> NDArray[np.int64]:
    """Rank all items for each query, by the scores of searches.

    Args:
        vectors: (n, dim), n at least 1.
        queries: (q, dim) of unit norm.
        depth: the length of the rankings.

    Returns:
        (q, min(n, depth)) positions, best first, equal scores by position.
    """
    depth = min(depth, len(vectors))
    margin = 2 * vectors.shape[1] * _ROUNDING
    transposed = vectors.T.astype(np.float32)
    rankings = np.empty((len(queries), depth), np.int64)
    for start in range(0, len(queries), _BLOCK_QUERIES):
        block = queries[start : start + _BLOCK_QUERIES]
        # A product of matrices is fast, but its rounding varies with the shape: it only selects candidates.
        rough = block @ transposed
        least = np.partition(rough, -depth, axis=1)[:, -depth] - margin
        for row, (query, scores) in enumerate(zip(block, rough, strict=True), start=start):
            near = np.flatnonzero(scores >= least[row - start])
            rankings[row] = near[np.lexsort((near, -score(vectors[near], query[None])))][:depth]
    return rankings


def index_rankings(
    vectors: NDArray[np.float16],
    queries: NDArray[np.float32],
    depth: int,
    stored_queries: NDArray[np.float16] | None = None,
) -> NDArray[np.int64]:
    """Rank by an IVF-PQ shard that is built, tuned and searched as that of an index of these vectors.

    As in an index, `SearchParams` are measured with stored vectors of the queries' modality, never with the queries
    themselves: see `search_params`.

    Args:
        vectors: as for `exact_rankings`.
        queries: as for `exact_rankings`.
        depth: as for `exact_rankings`.
        stored_queries: (m, dim) the vectors of the queries' modality that the index stores; None for `vectors`.

    Returns:
        (q, min(n, depth)) positions, best first; -1 where the shard found less.
    """
    count = len(vectors)
    sample = draw(np.arange(count), Codebook.sample_size(count))
    rankings = np.full((len(queries), min(count, depth)), -1, np.int64)
    with tempfile.TemporaryDirectory(prefix="wave-search-") as folder:
        codebook = Codebook.train(vectors[sample], count)
        built = build_shard(codebook, [(np.arange(count), vectors)], Path(folder))
        shards = Shards(codebook, [Shard.open(Path(folder, built.name), codebook)], np.arange(count))
        params = search_params(shards, vectors, stored_queries)
        for row, query in zip(rankings, queries, strict=True):
            _, found = shards.search(query, depth, params)
            row[: len(found)] = found
    return rankings


def search_params(
    shards: Shards, vectors: NDArray[np.float16], stored_queries: NDArray[np.float16] | None
) -> SearchParams:
    """Choose how widely to search, as an index does.

    It is measured (`wave_search.ann.tune`) with stored vectors of the queries' modality. Where an index has too few of
    them, it takes the larger values of what was measured with its own vectors and of the general rule.

    Args:
        shards: of the index.
        vectors: (n, dim) the vectors in the shards, at the position of their id.
        stored_queries: (m, dim) stored vectors of the queries' modality; None for `vectors`.
    """
    if stored_queries is not None and len(stored_queries) >= _MIN_TUNING_QUERIES:
        rows = stored_queries[draw(np.arange(len(stored_queries)), _TUNING_QUERIES)]
        return tune(shards, Questions(rows.astype(np.float32)), _RECALL).effort
    rule = SearchParams.by_rule(shards.codebook.lists)
    if len(vectors) < _MIN_TUNING_QUERIES:
        return rule
    ids = draw(np.arange(len(vectors)), _TUNING_QUERIES)
    own = tune(shards, Questions(vectors[ids].astype(np.float32), ids), _RECALL).effort
    if stored_queries is None:
        return own
    return SearchParams(max(own.nprobe, rule.nprobe), max(own.candidates, rule.candidates))


def overlap(found: NDArray[np.int64], truth: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return for each query the share of the true best (q, k) that is among the found (q, k): (q,)."""
    shares: NDArray[np.float64] = (truth[:, :, None] == found[:, None, :]).any(axis=2).mean(axis=1)
    return shares
