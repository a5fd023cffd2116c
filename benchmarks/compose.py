"""Comparison of rules that combine the terms of a query, on generated scenes with two attributes.

    python benchmarks/compose.py [--media DIR --icons DIR] --write FILE

Without the folders (see `recipes.wave_nano evaluate`) it runs on the few files of a clone, and measures less.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


from benchmarks.calibration import FOREIGN
from benchmarks.compose_depth import average_precision, avoiding_depth, finding_depth
from benchmarks.compose_rules import AVOIDING, TOGETHER, Seen, joint
from benchmarks.compose_scenes import Asked, Collection, material
from benchmarks.compose_tasks import avoiding, finding
from benchmarks.results import Table, machine, publish
from wave_search.calibration.background import Background
from wave_search.calibration.cohort import cohort_stats
from wave_search.calibration.phrases import PHRASES
from wave_search.models import LoadOptions, load

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from benchmarks.compose_rules import Rule
    from benchmarks.compose_tasks import Query, Tasks

    Vector = NDArray[np.float32]

_FIRST = 10


def typical_spreads(tasks: Tasks, cohorts: Mapping[str, Vector]) -> dict[str, Vector]:
    """Return score statistics (2, 2) for the terms of each task, which its name states, over its items."""
    return {
        task: np.array([_typical(queries[0].items, cohorts[kind]) for kind in re.findall(r"\((\w+)\)", task)])
        for task, queries in tasks.items()
    }


def _typical(items: Vector, cohort: Vector) -> float:
    scores = items @ cohort.T
    return np.array(cohort_stats(scores, np.ones_like(scores, np.bool_)), np.float32)


def seen_by(query: Query, score_stats: Vector) -> Seen:
    """What a rule gets."""
    return Seen(query.parts @ query.items.T, score_stats, float(query.parts[0] @ query.parts[1]))


def finding_table(tasks: Tasks, score_stats: Mapping[str, Vector]) -> Table:
    """Return the mean average precision of each rule, and its difference from the first rule."""
    scores = {
        task: {
            name: np.array([average_precision(rule(seen_by(q, score_stats[task])), q.wanted) for q in queries])
            for name, rule in TOGETHER.items()
        }
        for task, queries in tasks.items()
    }
    one = {
        task: np.mean([average_precision(q.items @ q.one, q.wanted) for q in queries])
        if queries[0].one is not None
        else None
        for task, queries in tasks.items()
    }
    rows = [
        (f"{task} ({len(tasks[task])})", *(f"{v.mean():.3f}" for v in by_rule.values()), _or_dash(one[task]))
        for task, by_rule in scores.items()
    ]
    return Table(
        "Two items to find: average precision of the first 10",
        ("task (queries)", *TOGETHER, "one embedding"),
        [*rows, *_means(scores)],
    )


def avoiding_table(tasks: Tasks, score_stats: Mapping[str, Vector]) -> Table:
    """Return, for each rule, the shares of wanted and of avoided items among the first ten."""
    rows, found = [], []
    for task, queries in tasks.items():
        cells = [_top(rule, queries, score_stats[task]) for rule in AVOIDING.values()]
        found.append(cells)
        rows.append((f"{task} ({len(queries)})", *(f"{wanted:.2f} / {avoided:.2f}" for wanted, avoided in cells)))
    means = np.mean(found, axis=0)
    rows.append(("mean of tasks", *(f"{wanted:.2f} / {avoided:.2f}" for wanted, avoided in means)))
    return Table("One to find, one to avoid: wanted / avoided among the first 10", ("task (queries)", *AVOIDING), rows)


def _top(rule: Rule, queries: Sequence[Query], score_stats: Vector) -> tuple[float, float]:
    firsts = [(-rule(seen_by(query, score_stats))).argsort(kind="stable")[:_FIRST] for query in queries]
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


def absence_table(collection: Collection, asked: Asked, phrases: Vector) -> Table:
    """Return how well the z of the best hit separates pairs in the library from pairs with one or no item in it."""
    rng = np.random.default_rng(2)
    foreign = np.stack(list(collection.texts({text: text for text in FOREIGN}).values()))
    things, colours = (np.stack(list(named.values())) for named in (asked.thing, asked.colour))
    there = [(thing, colour) for colour in colours for thing in things]
    half = [(thing, other) for other in foreign[: len(colours)] for thing in things]
    absent = [tuple(foreign[places]) for places in _pairs(rng, len(foreign))]
    typical = _typical(collection.video, phrases)

    def best(pairs: Sequence[tuple[Vector, ...]], z: Callable[[Seen], Vector]) -> Vector:
        score_stats = np.array([typical, typical])
        return np.array([z(Seen(np.stack(pair) @ collection.video.T, score_stats)).max() for pair in pairs])

    def z_of_sum(seen: Seen, std: float | None) -> Vector:
        sums = seen.cosines.sum(axis=0) / np.float32(np.sqrt(2))
        return Background.of(sums, std).z(sums)

    rules: dict[str, Callable[[Seen], Vector]] = {
        "all terms (shipped)": joint,
        "the sum, spread of typical queries": lambda seen: z_of_sum(seen, float(typical[1])),
        "the sum, its own spread": lambda seen: z_of_sum(seen, None),
    }
    rows = []
    for name, rule in rules.items():
        both, one, none = (best(pairs, rule) for pairs in (there, half, absent))
        areas = [(high[:, None] > low).mean() for high, low in ((both, none), (both, one), (one, none))]
        medians = [f"{np.median(values):.1f}" for values in (both, one, none)]
        rows.append((name, *(f"{area:.3f}" for area in areas), " / ".join(medians)))
    columns = (
        "z by",
        "both present or none",
        "both present or one",
        "one present or none",
        "median z: both / one / none",
    )
    return Table("Present or not: area under the curve", columns, rows)


def _pairs(rng: np.random.Generator, count: int) -> list[NDArray[np.int64]]:
    return [rng.choice(count, 2, replace=False) for _ in range(240)]


def _or_dash(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def main() -> None:
    """Measure, print the tables, and optionally write them to a file."""
    parser = argparse.ArgumentParser(description="Compare the rules for composed queries.")
    parser.add_argument("--model", default="wave-nano")
    parser.add_argument("--media", type=Path, help="folder of sounds with manifest.jsonl")
    parser.add_argument("--icons", type=Path, help="folder with STYLE/icons.json")
    parser.add_argument("--write", type=Path, required=True, metavar="FILE", help="replace the section in FILE")
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = load(options.model, LoadOptions(device="cpu"))
    collection = Collection(model, material(options.media, options.icons))
    asked = collection.asked()
    about = {"model": f"{model.spec.name} at {model.spec.revision[:12]}", **machine(1, "cpu")}
    del about["seconds"]
    phrases = np.stack(list(collection.texts({text: text for text in PHRASES}).values()))
    cohorts = {"words": phrases, **asked.cohorts()}
    to_find, to_avoid = finding(collection, asked), avoiding(collection, asked)
    score_stats = typical_spreads(to_find | to_avoid, cohorts)
    tables = [
        finding_table(to_find, score_stats),
        avoiding_table(to_avoid, score_stats),
        finding_depth(to_find, score_stats),
        avoiding_depth(collection, asked, _typical(collection.video, phrases)),
        absence_table(collection, asked, phrases),
    ]
    publish(options.write, "Figures", about, tables)


if __name__ == "__main__":
    main()
