"""The figures agree with trec_eval, through pytrec_eval; their intervals are what they claim to be."""

from __future__ import annotations

import numpy as np
import pytest
import pytrec_eval

from wave_search.evaluation.datasets.dataset import Dataset, Item
from wave_search.evaluation.metrics import choice_accuracy, figure, query_figures, similarity_figures
from wave_search.evaluation.ranking import report_direction, split
from wave_search.types import Modality

TREC_NAMES = {
    "R@1": "recall_1",
    "R@5": "recall_5",
    "R@10": "recall_10",
    "hit@1": "success_1",
    "hit@5": "success_5",
    "nDCG@10": "ndcg_cut_10",
    "MRR@10": "recip_rank",
    "mAP@10": "map_cut_10",
}
MEASURES = {"recall.1,5,10", "success.1,5", "ndcg_cut.10", "recip_rank", "map_cut.10"}


def trec(qrels: dict[str, dict[str, int]], run: dict[str, dict[str, float]]) -> list[dict[str, float]]:
    """Of rankings cut to 10 as trec_eval orders them, because it knows no cut of the reciprocal rank."""
    ordered = {query: sorted(of, key=lambda name: (of[name], name), reverse=True) for query, of in run.items()}
    cut = {query: {name: run[query][name] for name in names[:10]} for query, names in ordered.items()}
    results = pytrec_eval.RelevanceEvaluator(qrels, MEASURES).evaluate(cut)
    return [results[query] for query in qrels]


@pytest.mark.parametrize("found", [1, 3, 10, 60])
@pytest.mark.parametrize("most", [1, 4], ids=["binary", "graded"])
def test_random_cases_agree_with_trec_eval(found: int, most: int) -> None:
    rng = np.random.default_rng(found * 10 + most)
    qrels: dict[str, dict[str, int]] = {}
    run: dict[str, dict[str, float]] = {}
    grades = np.zeros((200, found), np.int64)
    for number in range(200):
        judged = rng.choice(80, rng.integers(1, 25), replace=False)
        # From -1: junk; a fifth of the queries have nothing relevant at all.
        values = rng.integers(-1, 1 if number % 5 == 0 else most + 1, len(judged))
        qrels[f"q{number:03d}"] = of = {f"d{name}": int(value) for name, value in zip(judged, values, strict=True)}
        ranking = rng.choice(80, found, replace=False)
        run[f"q{number:03d}"] = {f"d{name}": float(found - rank) for rank, name in enumerate(ranking)}
        grades[number] = [of.get(f"d{name}", 0) for name in ranking]
    figures = query_figures(grades, [list(of.values()) for of in qrels.values()])
    truth = trec(qrels, run)
    assert figures.keys() == TREC_NAMES.keys()
    for name, values in figures.items():
        np.testing.assert_allclose(values, [of[TREC_NAMES[name]] for of in truth], atol=1e-6, err_msg=name)


def random_dataset(rng: np.random.Generator, items: int, dim: int = 32) -> tuple[Dataset, dict[Item, np.ndarray]]:
    """A data set in which every third thing that can be found is a copy of the one before it."""
    vectors = rng.standard_normal((items, dim)).astype(np.float32)
    vectors[2::3] = vectors[1::3][: len(vectors[2::3])]
    asked = vectors[rng.choice(items, 40)] + 0.6 * rng.standard_normal((40, dim)).astype(np.float32)
    corpus = {f"d{number}": Item(f"thing {number}") for number in range(items)}
    queries = {f"q{number}": Item(f"query {number}") for number in range(40)}
    qrels = {
        name: {f"d{number}": int(rng.integers(0, 3)) for number in rng.choice(items, 6, replace=False)}
        for name in queries
    }
    rows = [*zip(corpus.values(), vectors, strict=True), *zip(queries.values(), asked, strict=True)]
    embedded = {item: vector / np.linalg.norm(vector) for item, vector in rows}
    return Dataset("pairs", queries, corpus, qrels, (), ()), embedded


def test_a_whole_direction_agrees_with_trec_eval_also_among_equals() -> None:
    dataset, vectors = random_dataset(np.random.default_rng(3), 90)
    report = report_direction(dataset, vectors, list(dataset.queries), Modality.TEXT)
    run = {
        query: {
            name: float(np.float32(vectors[item].astype(np.float16).astype(np.float64) @ vectors[asked]))
            for name, item in dataset.corpus.items()
        }
        for query, asked in dataset.queries.items()
    }
    truth = trec({query: dict(of) for query, of in dataset.qrels.items()}, run)
    assert report.items == 90
    for found in report.exact:
        expected = np.mean([of[TREC_NAMES[found.name]] for of in truth])
        assert found.value == pytest.approx(expected, abs=1e-6), found.name


def test_the_loss_of_the_index_is_apart_from_the_quality_of_the_model() -> None:
    dataset, vectors = random_dataset(np.random.default_rng(4), 3000, dim=256)
    report = report_direction(dataset, vectors, list(dataset.queries), Modality.TEXT)
    assert 0.3 < report.index_recall.value < 1.0, "without structure, some of the best are missed"
    assert {found.name for found in report.index} == set(TREC_NAMES)
    small, few = random_dataset(np.random.default_rng(4), 300)
    assert report_direction(small, few, list(small.queries), Modality.TEXT).index_recall.value == 1.0


def test_a_query_does_not_find_itself_unless_that_is_judged() -> None:
    things = {name: Item(f"thing {name}") for name in "abc"}
    vectors = dict(zip(things.values(), np.eye(3, 4, dtype=np.float32), strict=True))
    vectors[things["b"]] = np.array([0.8, 0.6, 0, 0], np.float32)
    dataset = Dataset("pairs", things, things, {"a": {"b": 1}, "c": {"c": 1}}, (), ())
    report = report_direction(dataset, vectors, ["a", "c"], Modality.TEXT)
    assert {found.name: found.value for found in report.exact}["R@1"] == 1.0


def test_what_could_not_be_embedded_counts_as_if_it_was_not_there() -> None:
    dataset, vectors = random_dataset(np.random.default_rng(5), 30)
    lost = dataset.queries["q0"], dataset.corpus["d0"]
    kept = {item: vector for item, vector in vectors.items() if item not in lost}
    only_lost = Dataset("pairs", dataset.queries, dataset.corpus, {**dataset.qrels, "q1": {"d0": 1}}, (), ())
    (query_ids,) = split(only_lost, kept).values()
    assert sorted({*dataset.queries} - {*query_ids}) == ["q0", "q1"]
    assert report_direction(only_lost, kept, query_ids, Modality.TEXT).items == 29


def test_the_right_choice_among_equals_counts_as_a_guess() -> None:
    similarities = [np.array(row, np.float32) for row in ([0.9, 0.1], [0.1, 0.9, 0.3], [0.5, 0.5], [0.2, 0.2, 0.2])]
    assert choice_accuracy(similarities, [0, 0, 1, 2]).tolist() == pytest.approx([1.0, 0.0, 0.5, 1 / 3])


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    intervals = [figure("hit@1", (rng.random(80) < 0.7).astype(float)) for _ in range(200)]
    covered = np.mean([found.low <= 0.7 <= found.high for found in intervals])
    assert 0.89 <= covered <= 0.99


def test_intervals_are_the_same_each_time_and_shrink_with_more_queries() -> None:
    values = np.random.default_rng(1).random(50)
    assert figure("MRR@10", values) == figure("MRR@10", values)
    wide, narrow = figure("MRR@10", values), figure("MRR@10", np.tile(values, 16))
    assert narrow.high - narrow.low == pytest.approx((wide.high - wide.low) / 4, rel=0.2)
    alone = figure("MRR@10", np.array([0.25]))
    assert (alone.value, alone.low, alone.high) == (0.25, 0.25, 0.25)


def test_figures_of_similarities_are_those_of_trec_eval() -> None:
    rng = np.random.default_rng(3)
    similarities = rng.standard_normal((20, 40)).astype(np.float32)
    relevant = rng.random((20, 40)) < rng.uniform(0, 0.6, (20, 1))  # often more than 10, and none at all
    figures = similarity_figures(similarities, relevant)
    items = [f"d{item:02d}" for item in range(40)]
    qrels = {
        str(query): {item: int(right) for item, right in zip(items, row, strict=True)}
        for query, row in enumerate(relevant)
    }
    run = {str(q): dict(zip(items, map(float, row), strict=True)) for q, row in enumerate(similarities)}
    for query, expected in enumerate(trec(qrels, run)):
        for name, of_trec in TREC_NAMES.items():
            assert figures[name][query] == pytest.approx(expected[of_trec], abs=1e-6), name
