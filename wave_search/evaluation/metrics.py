"""Retrieval metrics per query, as defined by trec_eval, and their means with confidence intervals.

Source: https://github.com/usnistgov/trec_eval, and Jarvelin and Kekalainen 2002 for nDCG. An item is relevant if its
grade is above 0. All metrics of a query without relevant items are 0. A ranking that ends early counts as if no
relevant items followed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

DEPTH = 10
"""Rankings are truncated to this length, the default number of hits of a search."""
_RESAMPLES = 1000
_BLOCK = 50
_SEED = 0
_OUTSIDE = (2.5, 97.5)


@dataclass(frozen=True, slots=True)
class Figure:
    """The mean of a metric over queries."""

    name: str
    value: float
    low: float
    """Lower bound of the 95 % confidence interval."""
    high: float
    """Upper bound of the 95 % confidence interval."""


def figure(name: str, values: NDArray[np.float64]) -> Figure:
    """Average over queries, with a deterministic percentile bootstrap interval (Efron 1979).

    Args:
        name: name of the metric.
        values: (queries,), at least one.
    """
    rng = np.random.default_rng(_SEED)
    count = len(values)
    shares = np.full(count, 1 / count)
    means = (
        np.concatenate([rng.multinomial(count, shares, _BLOCK) @ values for _ in range(_RESAMPLES // _BLOCK)]) / count
    )
    low, high = np.percentile(means, _OUTSIDE)
    return Figure(name, float(values.mean()), float(low), float(high))


def similarity_figures(
    similarities: NDArray[np.float32], relevant: NDArray[np.bool_]
) -> dict[str, NDArray[np.float64]]:
    """Rank items by similarity, and compute all metrics per query: see `query_figures`.

    Args:
        similarities: (queries, items). Equal ones are ranked by position.
        relevant: (queries, items), whether an item is relevant, used as grades 1 and 0.
    """
    first = np.argsort(-similarities, axis=1, kind="stable")[:, :DEPTH]
    grades = np.take_along_axis(relevant, first, axis=1).astype(np.int64)
    return query_figures(grades, [[1] * int(count) for count in relevant.sum(axis=1)])


def query_figures(grades: NDArray[np.int64], judged: Sequence[Sequence[int]]) -> dict[str, NDArray[np.float64]]:
    """Compute all metrics per query.

    Args:
        grades: (queries, depth) of the hits, best first; 0 for a hit without a judgement.
        judged: for each query the grades of all its judgements, in any order.

    Returns:
        By name, (queries,) from 0 to 1. "R@k": share of the relevant items that are among the first k. "hit@k": 1 if at
        least one is; papers with one relevant item per query call this R@k. "nDCG@10": gains are the grades. "MRR@10":
        reciprocal rank of the first relevant item, 0 if it is not among the first 10. "mAP@10": sum of the precision at
        each relevant hit among the first 10, divided by the number of relevant items.
    """
    missing = max(0, DEPTH - grades.shape[1])
    gains = np.maximum(np.pad(grades[:, :DEPTH], ((0, 0), (0, missing))), 0)
    hits = gains > 0
    relevant = np.array([sum(grade > 0 for grade in of_query) for of_query in judged], np.float64)
    some = np.maximum(relevant, 1.0)
    figures = {f"R@{k}": hits[:, :k].sum(axis=1) / some for k in (1, 5, 10)}
    figures |= {f"hit@{k}": hits[:, :k].any(axis=1).astype(np.float64) for k in (1, 5)}
    figures["nDCG@10"] = _ndcg(gains, judged)
    figures["MRR@10"] = np.where(hits.any(axis=1), 1.0 / (hits.argmax(axis=1) + 1), 0.0)
    precision = np.cumsum(hits, axis=1) / np.arange(1, DEPTH + 1)
    figures["mAP@10"] = (precision * hits).sum(axis=1) / some
    return figures


def _ndcg(gains: NDArray[np.int64], judged: Sequence[Sequence[int]]) -> NDArray[np.float64]:
    best = np.zeros((len(judged), DEPTH))
    for row, of_query in zip(best, judged, strict=True):
        ideal = sorted((grade for grade in of_query if grade > 0), reverse=True)[:DEPTH]
        row[: len(ideal)] = ideal
    discounts = 1.0 / np.log2(np.arange(2, DEPTH + 2))
    reached, possible = gains @ discounts, best @ discounts
    return np.divide(reached, possible, out=np.zeros_like(possible), where=possible > 0)


def choice_accuracy(similarities: Sequence[NDArray[np.float32]], answers: Sequence[int]) -> NDArray[np.float64]:
    """Score each question by whether the right choice is nearest.

    Args:
        similarities: for each question (choices,).
        answers: for each question the index of the right choice.

    Returns:
        (questions,): 1, 0, or, if the right choice is one of several that tie for nearest, the reciprocal of their
        number: the expected score of guessing among them.
    """
    nearest = [row == row.max() for row in similarities]
    return np.array([best[answer] / best.sum() for best, answer in zip(nearest, answers, strict=True)], np.float64)
