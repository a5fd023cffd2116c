import numpy as np
import pytest

from wave_search.ann import exact, exact_search, score


def unit(random, *shape):
    values = random.standard_normal(shape)
    return (values / np.linalg.norm(values, axis=-1, keepdims=True)).astype(np.float32)


@pytest.fixture
def random():
    return np.random.default_rng(0)


@pytest.mark.parametrize("dim", [2, 64, 3584])
@pytest.mark.parametrize("rows", [1, 3])
def test_scores_are_inner_products_and_the_best_row_counts(random, dim, rows):
    vectors, queries = unit(random, 700, dim).astype(np.float16), unit(random, rows, dim)
    expected = (vectors.astype(np.float64) @ queries.astype(np.float64).T).max(axis=1)
    assert np.allclose(score(vectors, queries), expected, rtol=0, atol=2e-7)


def test_a_score_does_not_depend_on_its_neighbours(random):
    vectors, queries = unit(random, 1000, 3584).astype(np.float16), unit(random, 2, 3584)
    together = score(vectors, queries)
    chosen = random.permutation(1000)[:300]
    assert np.array_equal(score(vectors[chosen], queries), together[chosen])
    assert np.array_equal(score(vectors[::-3], queries), together[::-3]), "wherever it is in memory"
    assert all(score(vectors[i : i + 1], queries)[0] == together[i] for i in range(0, 1000, 97))


@pytest.mark.parametrize("n", [0, 1, 9, 10, 11, 3000])
@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize("block_rows", [5, 4096])
def test_the_best_are_found(random, monkeypatch, n, rows, block_rows):
    monkeypatch.setattr(exact, "_BLOCK_ROWS", block_rows)
    vectors, queries = unit(random, n, 48).astype(np.float16), unit(random, rows, 48)
    ids = random.permutation(10 * n)[:n].astype(np.int64)
    scores, found = exact_search(vectors, ids, queries, 10)
    everything = score(vectors, queries)
    order = sorted(range(n), key=lambda i: (-everything[i], ids[i]))[:10]
    assert found.tolist() == ids[order].tolist()
    assert scores.tolist() == everything[order].tolist()
    assert (scores.dtype, found.dtype) == (np.float32, np.int64)


@pytest.mark.parametrize("block_rows", [50, 4096])
def test_equal_scores_come_by_id(random, monkeypatch, block_rows):
    monkeypatch.setattr(exact, "_BLOCK_ROWS", block_rows)
    vectors = np.repeat(unit(random, 3, 32), 400, axis=0).astype(np.float16)
    ids = random.permutation(1200).astype(np.int64)
    query = vectors[500].astype(np.float32)
    scores, found = exact_search(vectors, ids, query, 7)
    assert len(set(scores.tolist())) == 1
    assert found.tolist() == sorted(ids[400:800].tolist())[:7]
    farther = unit(random, 2, 32) @ np.diag(np.r_[np.ones(31), 0]).astype(np.float32)
    for rows in (np.stack([query, farther[0] * 0.01]), np.stack([farther[1] * 0.01, query])):
        assert exact_search(vectors, ids, rows, 7)[1].tolist() == found.tolist(), "dropped by one of the rows"


def test_the_vectors_are_searched_again_only_for_equal_scores(random, monkeypatch):
    searched, in_place = [], exact.in_place
    monkeypatch.setattr(exact, "in_place", lambda block: searched.append(len(block)) or in_place(block))
    vectors, query = unit(random, 500, 32).astype(np.float16), unit(random, 32)
    best = exact_search(vectors, np.arange(500), query, 10)[1]
    assert searched == [500]
    vectors[best[9:]] = vectors[best[8]]
    exact_search(vectors, np.arange(500), query, 10)
    assert searched == [500] * 2, "the tenth scores like the ninth, and the eleventh does not"
    exact_search(vectors, np.arange(500), query, 9)
    assert searched == [500] * 4, "the tenth, which is dropped, scores like the ninth"


def test_a_segment_finds_itself_by_any_of_its_rows(random):
    vectors = unit(random, 500, 256).astype(np.float16)
    queries = np.stack([unit(random, 256), vectors[123].astype(np.float32)])
    scores, found = exact_search(vectors, np.arange(500), queries, 1)
    assert found.tolist() == [123]
    assert scores[0] == pytest.approx(1, abs=1e-3)


def test_approximate_products_are_inner_products(random):
    vectors, queries = unit(random, 300, 64).astype(np.float16), unit(random, 5, 64)
    vectors[0] *= np.float16(2.0**-11)  # subnormal numbers
    products = exact.approximate_products(vectors, queries, np.empty((400, 64), np.float32))
    assert products.shape == (5, 300)
    assert np.allclose(products, queries.astype(np.float64) @ vectors.astype(np.float64).T, rtol=1e-4, atol=1e-6)


def test_vectors_of_another_kind_are_refused():
    with pytest.raises(ValueError, match="float16"):
        exact_search(np.ones((9, 4), np.float32), np.arange(9), np.ones(4, np.float32), 3)


@pytest.mark.parametrize(
    ("queries", "k"),
    [
        (np.ones((1, 5), np.float32), 3),
        (np.ones((0, 4), np.float32), 3),
        (np.full((1, 4), np.nan, np.float32), 3),
        (np.ones((1, 4), np.float32), 0),
    ],
)
def test_a_wrong_query_is_refused(queries, k):
    with pytest.raises(ValueError, match=r"queries must|k must"):
        exact_search(np.ones((9, 4), np.float16), np.arange(9), queries, k)


def test_vectors_that_are_no_numbers_are_not_found() -> None:
    vectors = np.eye(4, 8, dtype=np.float16)
    vectors[1:] = np.nan
    for k in (2, 9):
        scores, ids = exact_search(vectors, np.arange(4), np.eye(1, 8, dtype=np.float32), k)
        assert (scores.tolist(), ids.tolist()) == ([1.0], [0])
