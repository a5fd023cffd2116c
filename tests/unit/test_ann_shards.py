import re
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tests.embedding_like import build, ids_of, recall, reopen, search, unit, vectors_and_queries
from wave_search.ann import Codebook, SearchParams, codebook, exact_search, score, shard_set

FEW = SearchParams(1, 10)


@pytest.mark.parametrize(("n", "dim"), [(5000, 64), (2500, 512), (800, 3584)])
def test_recall_against_exact_search(tmp_path, n, dim):
    vectors, queries = vectors_and_queries(n, dim)
    shards, ids = build(tmp_path, vectors), ids_of(vectors)
    assert recall(shards, vectors, ids, queries("same")) >= 0.98
    assert recall(shards, vectors, ids, queries("other")) >= 0.98
    assert recall(shards, vectors, ids, queries("other"), k=100) >= 0.95


def cheap(monkeypatch):
    """Let small shards be searched by their codes, which does not pay otherwise."""
    monkeypatch.setattr(shard_set, "_FIXED_COST", 0)
    monkeypatch.setattr(shard_set, "_CODE_COST", 0)


def test_search_params_decide_what_is_found(tmp_path, monkeypatch):
    cheap(monkeypatch)
    vectors, queries = vectors_and_queries(5000, 64)
    shards, ids = build(tmp_path, vectors), ids_of(vectors)
    rows = queries("same")
    little = recall(shards, vectors, ids, rows, params=SearchParams(1, 40))
    more = recall(shards, vectors, ids, rows, params=SearchParams(8, 40))
    much = recall(shards, vectors, ids, rows, params=SearchParams(64, 400))
    assert 0.05 < little < more < much
    assert recall(shards, vectors, ids, rows, params=SearchParams(64, 10)) < much


@pytest.mark.parametrize("params", [FEW, SearchParams.by_rule(16)])
@pytest.mark.parametrize("n", [1, 2, 3, 16, 40, 239, 241, 700])
@pytest.mark.parametrize("dim", [2, 7, 64])
def test_shards_of_any_size(tmp_path, n, dim, params):
    vectors, queries = vectors_and_queries(n, dim)
    shards, ids = build(tmp_path, vectors), ids_of(vectors)
    assert len(shards) == shards.count == n
    assert recall(shards, vectors, ids, queries("same", 10), params=params) >= 0.98
    assert len(search(shards, queries("same", 1), n + 5, params)[1]) == n


@pytest.mark.parametrize("joined", [1_000_000, 1000, 0])
def test_several_shards_are_searched_like_one(tmp_path, monkeypatch, joined):
    cheap(monkeypatch)
    monkeypatch.setattr(shard_set, "_JOINED_VECTORS", joined)
    vectors, queries = vectors_and_queries(4000, 64)
    for name in ("one", "many"):
        (tmp_path / name).mkdir()
    one, many = build(tmp_path / "one", vectors), build(tmp_path / "many", vectors, pieces=8)
    assert len(list((tmp_path / "many").glob("0*"))) == 8
    assert [len(lists) for lists in many._lists] == {1_000_000: [4000], 1000: [1000] * 4, 0: [500] * 8}[joined]
    living = ids_of(vectors)[::2]
    for row in queries("other", 20):
        for allowed_ids in (None, living, living[:300]):
            # Some vectors have the same codes, so that the last candidates depend on the order.
            expected, found = (search(shards, row, 10, SearchParams(20, 60), allowed_ids) for shards in (one, many))
            assert len(np.intersect1d(expected[1], found[1])) >= 9
            assert len(found[1]) == 10
    ids = np.sort(np.random.default_rng(0).choice(living, 50, replace=False))
    for shards in (one, many):
        wanted = np.union1d(ids, [0, 8, 10**9])
        got, here = shards.vectors_of(wanted)
        assert np.array_equal(wanted[here], ids)
        assert np.array_equal(got, vectors[np.searchsorted(ids_of(vectors), ids)])


def recorded(monkeypatch, shards):
    """Calls that would search the codes of the only shard: the search parameters, and how many are asked for."""
    calls = []

    def best(rows, params, count, mask):
        calls.append((params, count))
        return np.empty((len(rows), 0)), np.empty((len(rows), 0)), np.zeros(len(rows), np.bool_)

    monkeypatch.setattr(shards, "_refined", SimpleNamespace(best=best))
    return calls


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """One shard of 2,500 vectors in 64 lists: its folder, the shard, and the ids."""
    folder = tmp_path_factory.mktemp("built")
    vectors = vectors_and_queries(2500, 64)[0]
    shards = build(folder, vectors)
    assert shards.codebook.lists == 64
    return folder, shards, ids_of(vectors)


ROWS = unit(np.random.default_rng(0).standard_normal((2, 64)))


@pytest.mark.parametrize("filtered", [False, True])
def test_exact_search_is_chosen_where_it_costs_no_more(built, monkeypatch, filtered):
    _, shards, ids = built
    assert shards.cost(SearchParams(16, 100)) == 100 * 64 + 625 * 12 + 270_000
    monkeypatch.setattr(shard_set, "_CODE_COST", 1)
    calls = recorded(monkeypatch, shards)
    # faiss asks a filter for each code, which costs as much again.
    allowed, count, codes = (ids[:1600], 1600, 5000) if filtered else (None, 2500, 2500)
    break_even = count * 64 - 100 * 64 - codes
    for fixed_cost, by_codes in ((break_even - 1, True), (break_even, False)):
        monkeypatch.setattr(shard_set, "_FIXED_COST", fixed_cost)
        assert len(search(shards, ROWS[0], 10, SearchParams(64, 100), allowed)[1]) == 10
        assert calls == [(SearchParams(64, 100), 10)] * by_codes
        calls.clear()


def test_several_rows_cost_no_more_than_as_many_alone(built, monkeypatch):
    """Exact search is chosen as for one row, and what is a candidate of one row is scored for it alone."""
    cheap(monkeypatch)
    _, shards, _ = built
    scored = []
    each = shard_set.best_of_each

    def counted(vectors, ids, rows, k):
        scored.append(len(vectors) * len(rows))
        return each(vectors, ids, rows, k)

    monkeypatch.setattr(shard_set, "best_of_each", counted)
    monkeypatch.setattr(shards, "_refined", None)
    rows = unit(np.random.default_rng(1).standard_normal((40, 64)))
    alone = [shards.search(row, 10, SearchParams(8, 30))[0] for row in rows]
    before, scored[:] = sum(scored), []
    together = shards.search(rows, 10, SearchParams(8, 30))
    assert sum(scored) == before == 40 * 30
    assert [ids.tolist() for _, ids in together] == [ids.tolist() for _, ids in alone]


@pytest.mark.parametrize(
    ("live", "allowed", "nprobe", "expected"),
    [
        (2500, 2500, 8, (8, 20)),
        (2500, 2500, 1, (3, 20)),  # lists with 4 times as many as are scored: 4 * 64 * 20 / 2500
        (2000, 2500, 8, (10, 20)),
        (2500, 1250, 8, (16, 20)),
        (2500, 1249, 8, (17, 40)),  # of less than half, twice as many are scored
        (2500, 250, 8, (64, 40)),  # no more than there are lists
    ],
)
def test_a_filter_widens_the_search(built, monkeypatch, *, live, allowed, nprobe, expected):
    cheap(monkeypatch)
    folder, _, ids = built
    shards = reopen(folder, ids[:live])
    calls = recorded(monkeypatch, shards)
    search(shards, ROWS[0], 10, SearchParams(nprobe, 20), ids[:allowed])
    assert calls[0] == (SearchParams(*expected), 10)


@pytest.mark.parametrize("pieces", [1, 2])
def test_all_lists_are_searched_if_the_nearest_have_too_few(tmp_path, monkeypatch, pieces):
    """Half of the vectors are far from the query, and only these may be found."""
    cheap(monkeypatch)
    random = np.random.default_rng(0)
    far = np.repeat([[-1.0, 0], [1.0, 0]], 2000, axis=0) @ np.eye(2, 64)
    vectors = unit(far + 0.05 * random.standard_normal((4000, 64))).astype(np.float16)
    shards, ids = build(tmp_path, vectors, pieces=pieces), ids_of(vectors)
    calls, nearest = [], shards.nearest
    monkeypatch.setattr(shards, "nearest", lambda query, *given: calls.append(query) or nearest(query, *given))
    found = search(shards, vectors[-1].astype(np.float32), 10, SearchParams(1, 10), ids[:2000])[1]
    assert len(found) == 10
    assert np.isin(found, ids[:2000]).all()
    assert [query.lists.shape[1] for query in calls] == [2, shards.codebook.lists]


@pytest.mark.parametrize("pieces", [1, 3])
def test_overfetched_segments_come_after_the_best(tmp_path, monkeypatch, pieces):
    cheap(monkeypatch)
    vectors, queries = vectors_and_queries(4000, 64)
    shards, ids, params = build(tmp_path, vectors, pieces=pieces), ids_of(vectors), SearchParams(20, 60)
    for row in queries("other", 20):
        scores, found = search(shards, row, 10, params)
        more_scores, more = search(shards, row, 10, params, overfetch=54)
        assert len(found) == 10
        assert len(more) == 60
        assert (np.diff(more_scores) <= 0).all()
        assert np.array_equal(np.sort(score(vectors[np.sort((more - 7) // 3)], row[None])), np.sort(more_scores))
        assert (found.tolist(), scores.tolist()) == (more[:10].tolist(), more_scores[:10].tolist())
    assert len(search(shards, queries("same", 1), 5000, params, overfetch=10)[1]) == len(ids)


@pytest.mark.parametrize("params", [SearchParams(20, 200), SearchParams(1, 60)])
def test_scores_are_the_same_in_the_call_that_finds_candidates_and_in_another(tmp_path, monkeypatch, params):
    cheap(monkeypatch)
    vectors, queries = vectors_and_queries(4000, 64)
    build(tmp_path, vectors)
    shards, allowed_ids = reopen(tmp_path, ids_of(vectors)[::2]), ids_of(vectors)[::3]
    asked = [*queries("other", 20), queries("same", 3)]
    narrowed = [search(shards, rows, 10, params, allowed_ids) for rows in asked]
    monkeypatch.setattr(shards, "_refined", None)
    for rows, (scores, found) in zip(asked, narrowed, strict=True):
        plain_scores, plain = search(shards, rows, 10, params, allowed_ids)
        assert (found.tolist(), scores.tolist()) == (plain.tolist(), plain_scores.tolist())


def test_nothing_is_lost_where_rounding_moves_norms_most(tmp_path, monkeypatch):
    cheap(monkeypatch)
    random = np.random.default_rng(1)
    # Nearly all of a vector is one number, which float16 rounds by more than it rounds a sum of many.
    large = np.sqrt(0.95 + 0.03 * random.random((2000, 1)))
    rest = random.standard_normal((2000, 24)) @ random.standard_normal((24, 1023))
    rest *= np.sqrt(1 - large**2) / np.linalg.norm(rest, axis=1, keepdims=True)
    vectors = np.concatenate([large, rest], axis=1).astype(np.float16)
    shards, ids = build(tmp_path, vectors), ids_of(vectors)
    everything = SearchParams(shards.codebook.lists, len(ids) - 200)
    for row in unit(
        vectors[:60].astype(np.float32) + 0.3 * unit(random.standard_normal((60, 1024)).astype(np.float32))
    ):
        found, expected = search(shards, row, 50, everything)[1], exact_search(vectors, ids, row, 50)[1]
        assert found.tolist() == expected.tolist()


def test_duplicates_all_have_their_score(tmp_path):
    vectors, _ = vectors_and_queries(1000, 64)
    vectors = np.concatenate([vectors, vectors[:1].repeat(30, axis=0), vectors])
    shards, ids = build(tmp_path, vectors), ids_of(vectors)
    query = vectors[0].astype(np.float32)
    scores, found = search(shards, query, 32, SearchParams.by_rule(64))
    true_scores, true_ids = exact_search(vectors, ids, query, 32)
    assert np.array_equal(scores, true_scores)
    assert np.array_equal(found, true_ids)
    assert len(set(scores.tolist())) == 1


def test_of_equal_ones_those_with_the_lowest_ids_are_found(tmp_path, monkeypatch):
    cheap(monkeypatch)
    vectors, queries = vectors_and_queries(2000, 64)
    row = queries("same", 1)[0]
    ninth = exact_search(vectors, np.arange(2000), row, 9)[1][-1]
    vectors[[3, 700, 1500, 1999]] = vectors[ninth]
    shards, ids = build(tmp_path, vectors), ids_of(vectors)
    everything = SearchParams(shards.codebook.lists, 200)
    expected = exact_search(vectors, ids, row, 20)[1].tolist()
    for k in range(1, 20):
        assert search(shards, row, k, everything)[1].tolist() == expected[:k]


def test_only_identical_vectors(tmp_path, monkeypatch):
    cheap(monkeypatch)
    vectors = unit(np.ones((300, 32))).astype(np.float16)
    shards = build(tmp_path, vectors)
    scores, found = search(shards, vectors[0].astype(np.float32), 5, FEW)
    assert len(set(found.tolist())) == 5
    assert np.allclose(scores, 1, atol=1e-3)


def test_the_best_of_several_rows(tmp_path):
    vectors, queries = vectors_and_queries(3000, 64)
    shards, ids = build(tmp_path, vectors), ids_of(vectors)
    several = [np.concatenate([queries("same", 2, seed), queries("other", 2, seed)]) for seed in range(20)]
    assert recall(shards, vectors, ids, several) >= 0.98


@pytest.mark.parametrize(("allowed", "by_codes"), [(250, False), (400, True)])
def test_a_filter_doubles_the_cost_of_codes(tmp_path, monkeypatch, allowed, by_codes):
    """250 vectors of 64 dimensions cost more than 1000 codes of cost 10, and less than twice as many."""
    monkeypatch.setattr(shard_set, "_FIXED_COST", 0)
    monkeypatch.setattr(shard_set, "_CODE_COST", 10)
    vectors, queries = vectors_and_queries(1000, 64)
    shards = build(tmp_path, vectors, pieces=2)
    searched, nearest = [], shards.nearest
    monkeypatch.setattr(shards, "nearest", lambda *asked: searched.append(asked) or nearest(*asked))
    search(shards, queries("same", 1), 10, SearchParams(shards.codebook.lists, 10), ids_of(vectors)[:allowed])
    assert bool(searched) is by_codes


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("share", [0.0, 0.002, 0.05, 0.2, 0.9])
def test_only_the_living_and_the_allowed_are_found(tmp_path, monkeypatch, share, exact):
    if not exact:
        cheap(monkeypatch)
    vectors, queries = vectors_and_queries(5000, 64)
    build(tmp_path, vectors, pieces=3)
    ids = ids_of(vectors)
    random = np.random.default_rng(1)
    living, allowed_ids = ids[random.random(len(ids)) < share], ids[random.random(len(ids)) < 0.7]
    shards = reopen(tmp_path, np.concatenate([living, ids[-1:] + 1000]))
    assert shards.count == len(living)
    every_third = np.arange(0, ids[-1] + 5000, 3)
    for among in (None, np.union1d(allowed_ids, every_third)):
        expected = living if among is None else np.intersect1d(living, among)
        rows = vectors[np.searchsorted(ids, expected)]
        assert recall(shards, rows, expected, queries("other", 20), allowed_ids=among) >= 0.98 or not len(expected)
    nobody = search(shards, queries("same", 1), 10, FEW, np.array([1, 2, 10**9]))
    assert [len(part) for part in nobody] == [0, 0]


def test_a_filter_of_one_percent_finds_nearly_all(tmp_path, monkeypatch):
    vectors, queries = vectors_and_queries(20_000, 64)
    shards, ids = build(tmp_path, vectors), ids_of(vectors)
    allowed_ids = ids[np.random.default_rng(0).random(len(ids)) < 0.01]
    rows = vectors[np.searchsorted(ids, allowed_ids)]
    for way in ("as it pays", "by codes"):
        if way == "by codes":
            cheap(monkeypatch)
        assert (
            recall(shards, rows, allowed_ids, queries("other"), params=SearchParams(16, 60), allowed_ids=allowed_ids)
            >= 0.99
        )


@pytest.mark.parametrize(
    ("query", "k"), [(np.ones((1, 5), np.float32), 3), (np.full((1, 64), np.nan, np.float32), 3), (np.ones(64), 0)]
)
def test_a_wrong_query_is_refused(tmp_path, query, k):
    shards = build(tmp_path, vectors_and_queries(50, 64)[0])
    with pytest.raises(ValueError, match=r"queries must|k must"):
        search(shards, query, k, FEW)


def test_what_the_codebook_keeps_little_of_is_not_encoded(tmp_path, monkeypatch):
    monkeypatch.setattr(codebook, "_DIMS", 16)
    vectors, queries = vectors_and_queries(1000, 64)
    shards, ids = build(tmp_path, vectors, codebook=Codebook.train(vectors, 1000)), np.arange(10_000, 10_300)
    assert shards.extended(ids, queries("same", 300).astype(np.float16)) is not None
    assert shards.extended(ids, vectors_and_queries(300, 64, seed=1)[0]) is None
    assert shards.extended(np.arange(10_000, 11_001), np.resize(vectors, (1001, 64))) is None, "too many"


def test_reading_all_vectors_holds_few_of_them(tmp_path):
    vectors, _ = vectors_and_queries(6_000, 1024)
    shards = build(tmp_path, vectors, codebook=Codebook.train(vectors[:300], 300))
    resident, before = [], mapped_bytes()
    for (_, batch), start in zip(shards.live_batches(500), range(0, 6_000, 500), strict=True):
        assert np.array_equal(batch, vectors[start : start + 500])
        resident.append(mapped_bytes() - before)
    assert max(resident) < vectors.nbytes / 4


def mapped_bytes():
    status = Path("/proc/self/status").read_text()
    return 1024 * int(re.search(r"RssFile:\s+(\d+)", status)[1])


def test_many_threads_search_at_once(tmp_path, monkeypatch):
    cheap(monkeypatch)
    vectors, queries = vectors_and_queries(3000, 64)
    shards = build(tmp_path, vectors, pieces=2)
    rows = queries("same", 20)
    many_params = [SearchParams(1 + i % 20, 20 + i) for i in range(len(rows))]

    def search_all():
        return [search(shards, row, 10, params)[1].tolist() for row, params in zip(rows, many_params, strict=True)]

    expected, found = search_all(), []
    threads = [threading.Thread(target=lambda: found.append(search_all())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 4
