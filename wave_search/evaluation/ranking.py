"""Rankings of a corpus and their figures, for each pair of a query modality and a target modality.

Each ranking is computed twice: exactly, and by an index as users get it.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wave_search.ann import Codebook, Shard, ShardSet, TuningQueries, build_shard, draw, score, tune
from wave_search.ann.tuning import MIN_QUERIES, QUERIES, RECALL, params_for
from wave_search.evaluation.metrics import DEPTH, figure, query_figures
from wave_search.evaluation.report import DirectionReport

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from wave_search.ann import SearchParams
    from wave_search.evaluation.datasets.dataset import Dataset, Item
    from wave_search.evaluation.metrics import Figure
    from wave_search.types import Modality

_BLOCK_QUERIES = 64
_ROUNDING = 2.0**-24
_NOTHING = -1


def split(dataset: Dataset, vectors: Mapping[Item, NDArray[np.float32]]) -> dict[tuple[Modality, Modality], list[str]]:
    """Group the queries by direction. A query with judgements in several modalities is in several directions.

    Args:
        dataset: the queries and their judgements.
        vectors: of the items that could be embedded; others are ignored.

    Returns:
        (query modality, target modality) -> ids of queries.
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

    Ties are ranked by descending id, as in trec_eval. A query that is itself an item of the corpus is excluded from its
    results, unless it is judged.

    Args:
        dataset: queries, corpus and judgements.
        vectors: of all items to evaluate.
        query_ids: ids of queries of one modality, each with a judgement in `target`.
        target: modality to search.
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
    corpus = {**_by_modality(dataset, vectors), target: stored}
    itself = {dataset.corpus[name]: place for name, place in places.items()}
    own = np.array([_own_place(itself.get(query, _NOTHING), of) for query, of in zip(queries, judged, strict=True)])
    exact = _without(exact_rankings(stored, asked, DEPTH + 1), own)
    index = _without(index_rankings(corpus, target, queries[0].modality, asked, DEPTH + 1), own)
    return DirectionReport(
        query=queries[0].modality,
        target=target,
        queries=len(queries),
        items=len(corpus_ids),
        exact=tuple(_figures(exact, judged)),
        index=tuple(_figures(index, judged)),
        index_recall=figure("index recall@10", overlap(index, exact)),
    )


def _by_modality(dataset: Dataset, vectors: Mapping[Item, NDArray[np.float32]]) -> dict[Modality, NDArray[np.float16]]:
    """Return the vectors (n, dim) by modality that an index of the corpus stores."""
    found: dict[Modality, list[NDArray[np.float32]]] = defaultdict(list)
    for item in dataset.corpus.values():
        if item in vectors:
            found[item.modality].append(vectors[item])
    return {modality: np.array(rows, np.float16) for modality, rows in found.items()}


def _own_place(place: int, judged: Mapping[int, int]) -> int:
    return _NOTHING if place in judged else place


def _without(rankings: NDArray[np.int64], own: NDArray[np.int64]) -> NDArray[np.int64]:
    """Remove the position `own` (q,) from each ranking, and truncate to `DEPTH`."""
    mine = (rankings == own[:, None]) & (own[:, None] != _NOTHING)
    last = np.argsort(mine, axis=1, kind="stable")
    return np.take_along_axis(np.where(mine, _NOTHING, rankings), last, axis=1)[:, :DEPTH]


def _figures(rankings: NDArray[np.int64], judged: list[dict[int, int]]) -> Iterator[Figure]:
    grades = np.array([[of.get(place, 0) for place in row] for row, of in zip(rankings.tolist(), judged, strict=True)])
    for name, values in query_figures(grades, [list(of.values()) for of in judged]).items():
        yield figure(name, values)


def exact_rankings(vectors: NDArray[np.float16], queries: NDArray[np.float32], depth: int) -> NDArray[np.int64]:
    """Rank all items for each query by the scores that searches use.

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
        # A matrix product is fast, but its rounding varies with the shape, so it only selects candidates.
        rough = block @ transposed
        least = np.partition(rough, -depth, axis=1)[:, -depth] - margin
        for row, (query, scores) in enumerate(zip(block, rough, strict=True), start=start):
            near = np.flatnonzero(scores >= least[row - start])
            rankings[row] = near[np.lexsort((near, -score(vectors[near], query[None])))][:depth]
    return rankings


def index_rankings(
    corpus: Mapping[Modality, NDArray[np.float16]],
    target: Modality,
    query: Modality,
    queries: NDArray[np.float32],
    depth: int,
) -> NDArray[np.int64]:
    """Rank by an IVF-PQ shard that is built, tuned and searched as in an index of the corpus.

    As in an index, the search parameters are measured with vectors that the index stores, never with the queries.

    Args:
        corpus: (n, dim) vectors that the index stores, by modality.
        target: modality to rank.
        query: modality of the queries.
        queries: (q, dim) of unit norm.
        depth: the length of the rankings.

    Returns:
        (q, min(n, depth)) positions in `corpus[target]`, best first; -1 where the shard found fewer.
    """
    vectors = corpus[target]
    count = len(vectors)
    sample = draw(np.arange(count), Codebook.sample_size(count))
    rankings = np.full((len(queries), min(count, depth)), -1, np.int64)
    with tempfile.TemporaryDirectory(prefix="wave-search-") as folder:
        codebook = Codebook.train(vectors[sample], count)
        built = build_shard(codebook, [(np.arange(count), vectors)], Path(folder))
        shards = ShardSet(codebook, [Shard.open(Path(folder, built.name), codebook)], np.arange(count))
        params = _params(shards, corpus, target, query)
        for row, asked in zip(rankings, queries, strict=True):
            ((_, found),) = shards.search(asked, depth, params)
            row[: len(found)] = found
    return rankings


def _params(
    shards: ShardSet, corpus: Mapping[Modality, NDArray[np.float16]], target: Modality, query: Modality
) -> SearchParams:
    """Choose the search parameters as an index does: see `params_for`."""
    sources = [modality for modality, vectors in corpus.items() if len(vectors) >= MIN_QUERIES]
    tuned = {}
    for modality in [query] if query in sources else sources:
        ids = draw(np.arange(len(corpus[modality])), QUERIES)
        own_ids = ids if modality is target else None
        tuned[modality] = tune(shards, TuningQueries(corpus[modality][ids].astype(np.float32), own_ids), RECALL).params
    return params_for(tuned, {query}, target, shards.codebook.lists)


def overlap(found: NDArray[np.int64], truth: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return, for each query, the share (q,) of the true best (q, k) that is among the found (q, k)."""
    shares: NDArray[np.float64] = (truth[:, :, None] == found[:, None, :]).any(axis=2).mean(axis=1)
    return shares
