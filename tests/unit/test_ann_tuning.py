import numpy as np
import pytest

from tests.embedding_like import build, ids_of, recall, reopen, unit, vectors_and_queries
from wave_search.ann import SearchParams, TuningQueries, TuningResult, is_outgrown, shard_set, tune


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
        fresh = recall(shards, vectors, ids_of(vectors), queries(kind, 200), params=measured.params)
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
        found = shards.search(row, 11, params)[1]
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


def test_a_recall_that_takes_too_much_is_outgrown_too(library):
    shards = library[0]
    lists = shards.codebook.lists
    assert not is_outgrown(shards, TuningResult(SearchParams(lists // 4, 100), 0.96), 0.95)
    assert is_outgrown(shards, TuningResult(SearchParams(lists // 4, 100), 0.94), 0.95)
    assert is_outgrown(shards, TuningResult(SearchParams(lists // 4, 800), 0.96), 0.95)
