"""Which rule combines the parts of a query best: made scenes with two attributes, searched for by both or by one.

    python benchmarks/compose.py [--media DIR --icons DIR] --write FILE

Without the folders (see `wave_search.train.evaluate`) it runs on the little that a clone has, and shows less.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.calibration import FOREIGN
from benchmarks.compose_scenes import Asked, Collection, material
from benchmarks.compose_tasks import avoiding, finding
from benchmarks.results import Table, machine, publish
from wave_search.indexer.phrases import PHRASES
from wave_search.model import load
from wave_search.query.calibrate import Background
from wave_search.train.metrics import mean_average_precision

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from benchmarks.compose_tasks import Query, Tasks

    Vector = NDArray[np.float32]
    Rule = Callable[[Vector, float], Vector]
    """(2, n) cosines of both parts with all n items, and with each other -> (n,) what the items are ranked by."""

_OUT = 1e9
_FIRST = 10


def _z(cosines: Vector) -> Vector:
    return (cosines - cosines.mean(axis=1, keepdims=True)) / cosines.std(axis=1, keepdims=True)


def _sigmoid(values: Vector) -> Vector:
    return 1 / (1 + np.exp(-values))


def _rank(cosines: Vector) -> Vector:
    return (-cosines).argsort(axis=1).argsort(axis=1)


TOGETHER: dict[str, Rule] = {
    "sum (shipped)": lambda s, _: s[0] + s[1],
    "sum of z": lambda s, _: _z(s).sum(axis=0),
    "rank fusion": lambda s, _: (1 / (60 + _rank(s))).sum(axis=0),
    "max of z": lambda s, _: _z(s).max(axis=0),
    "min of z": lambda s, _: _z(s).min(axis=0),
    "min": lambda s, _: s.min(axis=0),
    "product": lambda s, _: (1 + s).prod(axis=0),
    "product of sigmoids of z": lambda s, _: _sigmoid(_z(s)).prod(axis=0),
    "first part only": lambda s, _: s[0],
}
AVOIDING: dict[str, Rule] = {
    "-0.5 (shipped)": lambda s, _: s[0] - 0.5 * s[1],
    "-0.25": lambda s, _: s[0] - 0.25 * s[1],
    "-1": lambda s, _: s[0] - s[1],
    "-0.5 of z": lambda s, _: _z(s)[0] - 0.5 * _z(s)[1],
    "-1 of z if > 0": lambda s, _: _z(s)[0] - np.maximum(0, _z(s)[1]),
    "-1 above mean": lambda s, _: s[0] - np.maximum(0, s[1] - s[1].mean()),
    "projection": lambda s, c: s[0] - c * s[1],
    "last if z > 1": lambda s, _: _z(s)[0] + np.where(_z(s)[1] > 1, -_OUT, 0),
    "rank fusion": lambda s, _: 1 / (60 + _rank(s)[0]) - 1 / (60 + _rank(s)[1]),
    "ignored": lambda s, _: s[0],
}


def cosines_of(query: Query) -> tuple[Vector, float]:
    """What a rule gets."""
    return query.parts @ query.items.T, float(query.parts[0] @ query.parts[1])


def precision(ranked: Vector, wanted: NDArray[np.bool_]) -> float:
    """Average precision of the first ten."""
    return mean_average_precision(ranked[None], wanted[None], _FIRST)


def finding_table(tasks: Tasks) -> Table:
    """Mean average precision of each rule, and what it loses against the first."""
    scores = {
        task: {
            name: np.array([precision(rule(*cosines_of(q)), q.wanted) for q in queries])
            for name, rule in TOGETHER.items()
        }
        for task, queries in tasks.items()
    }
    one = {
        task: np.mean([precision(q.items @ q.one, q.wanted) for q in queries]) if queries[0].one is not None else None
        for task, queries in tasks.items()
    }
    rows = [
        (f"{task} ({len(tasks[task])})", *(f"{v.mean():.3f}" for v in by_rule.values()), _or_dash(one[task]))
        for task, by_rule in scores.items()
    ]
    return Table("Two things to find: mAP@10", ("task (queries)", *TOGETHER, "one embedding"), [*rows, *_means(scores)])


def avoiding_table(tasks: Tasks) -> Table:
    """Of the first ten, how many are wanted and how many have what is to be avoided; for each rule."""
    rows = []
    for task, queries in tasks.items():
        cells = [_top(rule, queries) for rule in AVOIDING.values()]
        rows.append((f"{task} ({len(queries)})", *(f"{wanted:.2f} / {avoided:.2f}" for wanted, avoided in cells)))
    means = np.mean([[_top(rule, queries) for rule in AVOIDING.values()] for queries in tasks.values()], axis=0)
    rows.append(("mean of tasks", *(f"{wanted:.2f} / {avoided:.2f}" for wanted, avoided in means)))
    return Table("One to find, one to avoid: wanted / avoided among the first 10", ("task (queries)", *AVOIDING), rows)


def _top(rule: Rule, queries: Sequence[Query]) -> tuple[float, float]:
    firsts = [(-rule(*cosines_of(query))).argsort(kind="stable")[:_FIRST] for query in queries]
    wanted = np.mean([query.wanted[first].sum() for query, first in zip(queries, firsts, strict=True)])
    avoided = np.mean([query.avoided[first].sum() for query, first in zip(queries, firsts, strict=True)])
    return float(wanted), float(avoided)


def _means(scores: Mapping[str, Mapping[str, Vector]]) -> list[tuple[str, ...]]:
    shipped = next(iter(TOGETHER))
    means, losses = [], []
    for rule in TOGETHER:
        means.append(np.mean([by_rule[rule].mean() for by_rule in scores.values()]))
        pairs = [by_rule[rule] - by_rule[shipped] for by_rule in scores.values()]
        error = np.sqrt(sum(pair.var() / len(pair) for pair in pairs)) / len(pairs)
        losses.append(f"{np.mean([pair.mean() for pair in pairs]):+.3f} +- {error:.3f}")
    return [
        ("mean of tasks", *(f"{mean:.3f}" for mean in means), "-"),
        ("difference from the first, standard error", "-", *losses[1:], "-"),
    ]


def absence_table(collection: Collection, asked: Asked) -> Table:
    """How well the z of the best hit tells pairs that are there from pairs of which neither is."""
    rng = np.random.default_rng(2)
    phrases, foreign = (
        np.stack(list(collection.texts({t: t for t in texts}).values())) for texts in (PHRASES, FOREIGN)
    )
    things, colours = (np.stack(list(named.values())) for named in (asked.thing, asked.colour))
    present = np.concatenate([_sums(things, colour) for colour in colours])
    half = np.concatenate([_sums(things, one) for one in foreign[: len(colours)]])
    absent = np.concatenate([_sums(foreign[places[:1]], foreign[places[1]]) for places in _pairs(rng, len(foreign))])
    typical_std = float(np.sqrt((collection.video @ phrases.T).var(axis=0).mean()))

    def best(queries: Vector, std: float | None) -> Vector:
        cosines = queries @ collection.video.T
        return np.array([Background.of(row, std).z(row).max() for row in cosines])

    def area(std: float | None, there: Vector) -> str:
        return f"{(best(there, std)[:, None] > best(absent, std)).mean():.3f}"

    rows = [(name, area(std, present), area(std, half)) for name, std in _spreads(typical_std)]
    return Table("There or not: area under the curve", ("z by", "both there", "one of two there"), rows)


def _spreads(typical_std: float) -> list[tuple[str, float | None]]:
    return [("the spread of typical queries (shipped)", typical_std), ("the query's own spread", None)]


def _sums(rows: Vector, other: Vector) -> Vector:
    sums = rows + other
    return np.asarray(sums / np.linalg.norm(sums, axis=1, keepdims=True), np.float32)


def _pairs(rng: np.random.Generator, count: int) -> list[NDArray[np.int64]]:
    return [rng.choice(count, 2, replace=False) for _ in range(240)]


def _or_dash(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def main() -> None:
    """Measure, print, and write the tables into a file if asked to."""
    parser = argparse.ArgumentParser(description="Compare the rules for composed queries.")
    parser.add_argument("--model", default="wave-nano")
    parser.add_argument("--media", type=Path, help="folder of sounds with manifest.jsonl")
    parser.add_argument("--icons", type=Path, help="folder with STYLE/icons.json")
    parser.add_argument("--write", type=Path, required=True, metavar="FILE", help="replace the section in FILE")
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = load(options.model, device="cpu")
    collection = Collection(model, material(options.media, options.icons))
    asked = collection.asked()
    about = {"model": f"{model.spec.name} at {model.spec.revision[:12]}", **machine(1, "cpu")}
    del about["seconds"]
    tables = [finding_table(finding(collection, asked)), avoiding_table(avoiding(collection, asked))]
    tables.append(absence_table(collection, asked))
    publish(options.write, "Figures", about, tables)


if __name__ == "__main__":
    main()
