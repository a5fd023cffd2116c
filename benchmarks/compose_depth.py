"""Number of candidates by the sum that must be reordered by all terms, in enlarged collections."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.compose_rules import Seen, joint
from benchmarks.results import Table
from wave_search.query.fusion import joint_z
from wave_search.query.terms import AVOIDED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from benchmarks.compose_scenes import Asked, Collection
    from benchmarks.compose_tasks import Query, Tasks

    Vector = NDArray[np.float32]

_ITEMS = 20_000
_QUERIES = 60
_DEPTHS = (50, 100, 200, 400, 800, _ITEMS)
_COLUMNS = *(f"best {depth}" for depth in _DEPTHS[:-1]), "all"
_FIRST = 10
_DIFFERENCE = 0.7
"""Share of the difference of two items of a kind that is added to another, which increases the variation within the
kind."""


def enlarged(rng: np.random.Generator, vectors: Vector, kinds: NDArray[np.int64], of: NDArray[np.int64]) -> Vector:
    """Generate vectors (m, dim) of unit norm, the i-th similar to vector of[i] of the given (n, dim), of kinds (n,)."""
    order = np.argsort(kinds, kind="stable")
    pairs = np.array([(a, b) for a, b in pairwise(order) if kinds[a] == kinds[b]])
    one, other = pairs[rng.integers(0, len(pairs), len(of))].T
    found = vectors[of] + _DIFFERENCE * rng.choice([-1, 1], (len(of), 1)) * (vectors[one] - vectors[other])
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True), np.float32)


def finding_depth(tasks: Tasks, score_stats: Mapping[str, Vector]) -> Table:
    """Mean average precision by depth: where many items are right, and where only those of the small collection are."""
    rng = np.random.default_rng(3)
    few, many, same = [], [], []
    for task, queries in tasks.items():
        kinds = np.unique(np.stack([query.wanted for query in queries]), axis=1, return_inverse=True)[1].ravel()
        base = queries[0].items
        of = rng.integers(0, len(base), _ITEMS)
        items = enlarged(rng, base, kinds, of)
        results = [
            _one(queries[at], items, of, score_stats[task]) for at in rng.permutation(len(queries))[:_QUERIES].tolist()
        ]
        for rows, result in zip((few, many, same), zip(*results, strict=True), strict=True):
            rows.append(np.mean(result, axis=0))
    rows = [(f"few are right: {task}", *_cells(row)) for task, row in zip(tasks, few, strict=True)]
    rows += [("few are right: mean of tasks", *_cells(np.mean(few, axis=0)))]
    rows += [("many are right: mean of tasks", *_cells(np.mean(many, axis=0)))]
    rows += [("first ten as of all", "-", *_cells(np.mean(same, axis=0)))]
    title = (
        f"How many of {_ITEMS:,} items, best by the sum, are put in order by all terms: "
        "average precision of the first 10"
    )
    return Table(title, ("task", "sum alone", *_COLUMNS), rows)


def average_precision(scores: Vector, wanted: NDArray[np.bool_]) -> float:
    """Return the average precision of the first ten hits, over the best that ten hits could give.

    Not the mAP@10 of trec_eval, which divides by the number of all that are wanted: often hundreds here.
    """
    hits = wanted[np.argsort(-scores, kind="stable")[:_FIRST]]
    precisions = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float((precisions * hits).sum() / min(wanted.sum(), _FIRST))


def _one(query: Query, items: Vector, of: NDArray[np.int64], score_stats: Vector) -> tuple[list[float], ...]:
    wanted = query.wanted[of]
    shares, many = _by_depth(Seen(query.parts @ items.T, score_stats), wanted)
    rare = np.concatenate([items[~wanted], query.items[query.wanted]])
    right = np.arange(len(rare)) >= (~wanted).sum()
    return _by_depth(Seen(query.parts @ rare.T, score_stats), right)[1], many, shares


def _by_depth(seen: Seen, wanted: NDArray[np.bool_]) -> tuple[list[float], list[float]]:
    """Return the share of the first ten that the full depth has, and the precision of the sum and of each depth."""
    z, by_sum = joint(seen), seen.cosines.sum(axis=0)
    order = (-by_sum).argsort(kind="stable")
    shares, precisions = [], [average_precision(by_sum, wanted)]
    best = set((-z).argsort(kind="stable")[:_FIRST].tolist())
    for depth in _DEPTHS:
        ranked = np.full(len(z), -np.inf)
        ranked[order[:depth]] = z[order[:depth]]
        precisions.append(average_precision(ranked, wanted))
        shares.append(len(best & set((-ranked).argsort(kind="stable")[:_FIRST].tolist())) / _FIRST)
    return shares, precisions


def avoiding_depth(all_: Collection, asked: Asked, spread: float) -> Table:
    """Of the first ten, how many are wanted where ten items are and 1,500 have both, by how much is subtracted."""
    rng = np.random.default_rng(4)
    names, kinds = np.unique(np.array([" ".join(one) for one in all_.video_of]), return_inverse=True)
    things, colours = np.array(all_.video_of).T
    rows: dict[float, list[list[float]]] = {0: [], 0.25: [], 0.5: [], 1: []}
    for name in rng.permutation(names)[:_QUERIES].tolist():
        thing, colour = name.rsplit(" ", 1)
        has, avoided = things == thing, colours == colour
        of = [
            rng.choice(np.flatnonzero(chosen), count)
            for chosen, count in ((~has, _ITEMS), (has & ~avoided, _FIRST), (has & avoided, 1500))
        ]
        items = enlarged(rng, all_.video, kinds, np.concatenate(of))
        seen = Seen(np.stack([asked.thing[thing], asked.colour[colour]]) @ items.T, np.array([spread, spread]))
        wanted = (np.arange(len(items)) >= _ITEMS) & (np.arange(len(items)) < _ITEMS + _FIRST)
        z = joint_z(seen.z, (1.0, -AVOIDED), seen.usual)
        for weight, found in rows.items():
            order = (weight * seen.cosines[1] - seen.cosines[0]).argsort(kind="stable")
            found.append([wanted[_best(z, order[:depth])].sum() for depth in _DEPTHS])
    title = f"Avoided is what 1,500 of {_ITEMS:,} items have, wanted what 10 have: found of these in the first 10"
    about = "thing (text), not colour (text): video; candidates by the sum with"
    return Table(
        title, (about, *_COLUMNS), [(f"-{w:g}", *_cells(np.mean(found, axis=0), 2)) for w, found in rows.items()]
    )


def _best(z: Vector, among: NDArray[np.int64]) -> NDArray[np.int64]:
    return among[(-z[among]).argsort(kind="stable")[:_FIRST]]


def _cells(values: NDArray[np.float64], digits: int = 3) -> list[str]:
    return [f"{value:.{digits}f}" for value in values]
