"""From vectors to figures, for each modality of queries and each modality that they look for."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from wave_search.evaluation.confidence import figure
from wave_search.evaluation.metrics import DEPTH, query_figures
from wave_search.evaluation.ranking import exact_rankings, index_rankings, overlap
from wave_search.evaluation.report import DirectionReport

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from wave_search.evaluation.confidence import Figure
    from wave_search.evaluation.datasets.dataset import Dataset, Item
    from wave_search.types import Modality

_NOTHING = -1


def split(dataset: Dataset, vectors: Mapping[Item, NDArray[np.float32]]) -> dict[tuple[Modality, Modality], list[str]]:
    """Sort the queries by direction. One with something judged in several modalities is in several directions.

    Args:
        dataset: the queries, and what is judged for them.
        vectors: what could be embedded; the rest counts as if it was not there.

    Returns:
        (modality of the query, modality that is looked for) -> ids of queries.
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
    """Rank everything of a modality for queries, exactly and by an index, and compute the figures of both.

    What is equally near is ranked by descending id, as trec_eval does it. A query that is itself among what can be
    found does not find itself, unless that is judged.

    Args:
        dataset: queries, corpus and judgements.
        vectors: of all that takes part.
        query_ids: of one modality, each with something of `target` judged.
        target: what is looked for.
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
    itself = {dataset.corpus[name]: place for name, place in places.items()}
    own = np.array([_own_place(itself.get(query, _NOTHING), of) for query, of in zip(queries, judged, strict=True)])
    exact = _without(exact_rankings(stored, asked, DEPTH + 1), own)
    index = _without(index_rankings(stored, asked, DEPTH + 1), own)
    return DirectionReport(
        query=queries[0].modality,
        target=target,
        queries=len(queries),
        items=len(corpus_ids),
        exact=tuple(_figures(exact, judged)),
        index=tuple(_figures(index, judged)),
        index_recall=figure("index recall@10", overlap(index, exact)),
    )


def _own_place(place: int, judged: Mapping[int, int]) -> int:
    return _NOTHING if place in judged else place


def _without(rankings: NDArray[np.int64], own: NDArray[np.int64]) -> NDArray[np.int64]:
    """Take the place `own` (q,) out of each ranking, and cut them to the depth that is looked at."""
    mine = (rankings == own[:, None]) & (own[:, None] != _NOTHING)
    last = np.argsort(mine, axis=1, kind="stable")
    return np.take_along_axis(np.where(mine, _NOTHING, rankings), last, axis=1)[:, :DEPTH]


def _figures(rankings: NDArray[np.int64], judged: list[dict[int, int]]) -> Iterator[Figure]:
    grades = np.array([[of.get(place, 0) for place in row] for row, of in zip(rankings.tolist(), judged, strict=True)])
    for name, values in query_figures(grades, [list(of.values()) for of in judged]).items():
        yield figure(name, values)
