from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest

from tests.embedding_like import build, ids_of, recall, reopen, search, unit, vectors_and_queries
from wave_search.ann import SearchParams, TuningQueries, TuningResult, is_outgrown, shard_set, tune, tuning
from wave_search.store import Tuning
from wave_search.types import Modality, PartitionKey

VIDEO = PartitionKey(Modality.VIDEO)


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    vectors, queries = vectors_and_queries(8000, 64)
    return build(tmp_path_factory.mktemp("shards"), vectors, pieces=2), vectors, queries


@pytest.fixture
def by_codes(monkeypatch):
    """Small as the library is, searches go by its codes, and cost what those of large ones do."""
    monkeypatch.setattr(shard_set, "_FIXED_COST", 0)
    monkeypatch.setattr(shard_set, "_CODE_COST", 5)


@pytest.mark.parametrize("kind", ["same", "other"])
def test_the_wanted_recall_is_reached_and_known(library, by_codes, kind):
    shards, vectors, queries = library
    costs = []
    for target in (0.8, 0.95, 0.99):
        measured = tune(shards, TuningQueries(queries(kind, 200)), target)
        assert measured.recall >= target
        fresh = recall(shards, vectors, ids_of(vectors), queries(kind, 200, seed=2), params=measured.params)
        assert fresh == pytest.approx(measured.recall, abs=0.03)
        costs.append(shards.cost(measured.params))
    assert costs == sorted(costs)
    assert costs[0] < costs[-1]


def test_a_vector_of_the_partition_does_not_count_as_its_own_neighbour(library, by_codes):
    shards, vectors, _ = library
    rows, ids = vectors[::40].astype(np.float32), ids_of(vectors)[::40]
    alone = tune(shards, TuningQueries(rows, ids), 0.95)
    params = alone.params
    shares = []
    for row, own in zip(rows, ids, strict=True):
        found = search(shards, row, 11, params)[1]
        true = exact_without(vectors, row, own)
        shares.append(len(np.intersect1d(found[found != own], true)) / 10)
    assert np.mean(shares) == pytest.approx(alone.recall, abs=0.02)


def exact_without(vectors, row, own):
    order = np.argsort(-(vectors.astype(np.float32) @ row), kind="stable")
    ids = ids_of(vectors)[order]
    return ids[ids != own][:10]


def test_what_was_deleted_is_no_truth(tmp_path, by_codes):
    vectors, queries = vectors_and_queries(3000, 64)
    build(tmp_path, vectors)
    living = ids_of(vectors)[:2000]
    assert tune(reopen(tmp_path, living), TuningQueries(queries("same", 100)), 0.95).recall >= 0.95


def test_equal_vectors_count_for_each_other(tmp_path, by_codes):
    vectors, _ = vectors_and_queries(500, 64)
    vectors = np.repeat(vectors, 12, axis=0)
    shards = build(tmp_path, vectors)
    assert tune(shards, TuningQueries(vectors[::60].astype(np.float32)), 0.95).recall >= 0.95


def test_a_partition_of_fewer_than_ten(tmp_path):
    vectors, queries = vectors_and_queries(4, 64)
    assert tune(build(tmp_path, vectors), TuningQueries(queries("same", 40)), 0.95).recall == 1


def test_a_codebook_that_knows_nothing_of_the_vectors_is_outgrown(tmp_path, by_codes):
    """Trained on one corner of the space, asked about the rest."""
    vectors, queries = vectors_and_queries(6000, 64)
    (tmp_path / "good").mkdir()
    good = build(tmp_path / "good", vectors)
    corner = unit(vectors[0].astype(np.float32) + 0.01 * vectors[:40].astype(np.float32)).astype(np.float16)
    (tmp_path / "bad").mkdir()
    bad = build_with_codebook_of(tmp_path / "bad", corner, vectors)
    questions = TuningQueries(queries("other", 150))
    assert not is_outgrown(good, tune(good, questions, 0.95), 0.95)
    assert is_outgrown(bad, tune(bad, questions, 0.95), 0.95)


def build_with_codebook_of(parent, sample, vectors):
    from wave_search.ann import Codebook, build_shard

    codebook = Codebook.train(sample, len(sample))
    codebook.write(parent)
    build_shard(codebook, [(ids_of(vectors), vectors)], parent)
    return reopen(parent, ids_of(vectors))


class Million:
    """A million vectors in a thousand lists."""

    codebook = SimpleNamespace(lists=1000)

    def __len__(self):
        return 1_000_000

    def cost(self, params):
        return params.nprobe * 10 + params.refine_k


@pytest.mark.parametrize(
    ("nprobe", "refine_k", "recall", "outgrown"),
    [
        (128, 640, 0.95, False),
        (129, 640, 0.95, True),  # more codes than 128 sqrt(n)
        (128, 641, 0.95, True),
        (128, 640, 0.949, True),
    ],
)
def test_a_codebook_is_outgrown_by_a_recall_that_is_missed_or_costs_too_much(nprobe, refine_k, recall, outgrown):
    assert is_outgrown(Million(), TuningResult(SearchParams(nprobe, refine_k), recall, recall), 0.95) is outgrown


def test_values_of_nprobe_to_try():
    assert list(tuning._coarse_nprobes(64)) == [1, 2, 3, 4, 6, 9, 13, 19, 28, 42, 63, 64]
    assert list(tuning._coarse_nprobes(256))[:3] == [4, 6, 9]
    assert list(tuning._coarse_nprobes(1)) == [1]
    assert tuning._fine_nprobes(20, 64) == [15, 17, 23]
    assert tuning._fine_nprobes(60, 64) == [45, 52]
    assert tuning._fine_nprobes(1, 64) == []


def ranked(monkeypatch, *ranks):
    """Let each query find its true neighbours at these ranks of the candidates."""
    monkeypatch.setattr(tuning, "_ranks", lambda *_: np.array(ranks))


def test_a_candidate_counts_if_it_is_scored(monkeypatch):
    ranked(monkeypatch, [*range(9), 10])
    trial = tuning._try(Million(), None, [], 3, 1.0)
    assert trial.result == TuningResult(SearchParams(3, 15), 1.0, 1.0)
    assert (trial.cost, trial.missed) == (45, 0)
    assert tuning._try(Million(), None, [], 3, 0.9).result == TuningResult(SearchParams(3, 10), 0.9, 0.9)


def test_the_target_is_exceeded_by_a_standard_error(monkeypatch):
    # With 10 candidates 0.95 +- 0.025 of them are found, with 15 all.
    ranked(monkeypatch, *[[*range(9), 10]] * 2, *[list(range(10))] * 2)
    assert tuning._try(Million(), None, [], 1, 0.92).result.params.refine_k == 10
    assert tuning._try(Million(), None, [], 1, 0.93).result.params.refine_k == 15


def test_a_recall_that_is_not_reached_has_no_cost_that_is_enough(monkeypatch):
    ranked(monkeypatch, [*range(9), 800])
    trial = tuning._try(Million(), None, [], 1, 0.95)
    assert trial.result == TuningResult(SearchParams(1, 800), 0.9, 0.9)
    assert trial.cost == float("inf")
    assert trial.missed == pytest.approx(0.1)


def test_the_worst_tenth_may_miss_the_target_by_a_tenth(monkeypatch):
    # With 10 candidates, two of ten queries find 0.8 and the others all; with 15, two find 0.9.
    rows = [list(range(10))] * 98
    ranked(monkeypatch, *[[*range(8), 10, 15]] * 12, *rows)
    assert tuning._try(Million(), None, [], 1, 0.9).result == TuningResult(
        SearchParams(1, 10), pytest.approx(1 - 0.2 * 12 / 110), pytest.approx(0.8)
    )
    wider = tuning._try(Million(), None, [], 1, 0.95).result
    assert (wider.params.refine_k, wider.tail) == (15, pytest.approx(0.9))


def test_vectors_without_structure_have_more_candidates_or_are_searched_exactly(tmp_path, by_codes, monkeypatch):
    vectors = unit(np.random.default_rng(0).standard_normal((2000, 64))).astype(np.float16)
    monkeypatch.setattr(tuning._try, "__kwdefaults__", {"refine_ks": (10, 20)})
    shards = build(tmp_path, vectors)
    questions = TuningQueries(unit(np.random.default_rng(1).standard_normal((60, 64))))
    monkeypatch.setattr(tuning, "_WIDE_REFINE_K", (30, 100, 2001))
    wide = tune(shards, questions, 0.95)
    assert wide.params.refine_k == 100
    assert wide.recall >= 0.95
    monkeypatch.setattr(tuning, "_WIDE_REFINE_K", (30, 2001))
    exact = tune(shards, questions, 0.95)
    assert exact == TuningResult(SearchParams(shards.codebook.lists, 2000), 1.0, 1.0)
    assert recall(shards, vectors, ids_of(vectors), questions.vectors, params=exact.params) == 1


def test_of_many_equal_vectors_any_counts(tmp_path, by_codes):
    """More than are kept as the truth."""
    vectors, _ = vectors_and_queries(600, 64)
    vectors[100:] = vectors[0]
    shards = build(tmp_path, vectors)
    found = tune(shards, TuningQueries(vectors[90:150].astype(np.float32), ids_of(vectors)[90:150]), 0.95)
    assert found.recall >= 0.95
    assert found.params.refine_k < 600


def test_nearly_the_cheapest_of_all_search_params_is_found(library, by_codes):
    shards, _, queries = library
    asked = TuningQueries(queries("other", 60))
    truth = tuning._true_neighbours(shards, asked)
    costs = [tuning._try(shards, asked, truth, nprobe, 0.95).cost for nprobe in range(1, shards.codebook.lists + 1)]
    assert shards.cost(tune(shards, asked, 0.95).params) <= 1.08 * min(costs)


@dataclass
class Measured:
    """What `is_due` asks of a snapshot: what was measured, and how many segments there are."""

    vectors: int = 100
    target: float = 0.95
    texts: int = 0
    videos: int = 1000

    def tunings(self, key):
        return (Tuning(key, Modality.VIDEO, 1, 10, 0.96, 0.9, self.target, self.vectors, ""),) if self.vectors else ()

    def counts(self):
        return SimpleNamespace(segments={VIDEO: self.videos, PartitionKey(Modality.TEXT): self.texts})


@pytest.mark.parametrize(
    ("snapshot", "covered", "due"),
    [
        (Measured(), 100, False),
        (Measured(), 124, False),
        (Measured(), 125, True),
        (Measured(), 81, False),
        (Measured(), 80, True),
        (Measured(target=0.9), 100, True),
        (Measured(texts=31), 100, False),
        (Measured(texts=32), 100, True),
        (Measured(videos=31), 100, True),
        (Measured(vectors=0), 100, True),
    ],
)
def test_tuning_is_due_after_growth_for_another_target_or_other_queries(snapshot, covered, due):
    assert tuning.is_due(snapshot, VIDEO, covered, 0.95) is due


def test_the_target_is_that_of_before():
    assert tuning.last_target(Measured(target=0.8), VIDEO) == 0.8
    assert tuning.last_target(Measured(vectors=0), VIDEO) == 0.95


@pytest.mark.parametrize(
    ("tuned", "queries", "expected"),
    [
        ({"video": (5, 60)}, ["video"], (5, 60)),
        ({"video": (5, 60), "text": (9, 40)}, ["video"], (5, 60)),
        ({"video": (5, 60), "text": (9, 40)}, ["video", "text"], (9, 60)),
        ({"video": (5, 60), "text": (9, 40), "audio": (50, 90)}, ["video", "text"], (9, 60)),
        ({"video": (5, 60), "text": (9, 40)}, [None], (9, 60)),  # as for any
        ({"video": (5, 60), "text": (9, 40)}, ["audio"], (9, 60)),
        ({"video": (5, 60)}, ["text"], (128, 200)),  # the rule: a query of another modality needs more
        ({"video": (500, 60)}, [None], (500, 200)),
        ({}, ["text"], (128, 200)),
    ],
)
def test_the_search_params_of_a_query_are_those_of_its_modality(tuned, queries, expected):
    params = {Modality(name): SearchParams(*widths) for name, widths in tuned.items()}
    asked = [name and Modality(name) for name in queries]
    assert tuning.params_for(params, asked, Modality.VIDEO, lists=256) == SearchParams(*expected)
