"""Rankings: the fast exact one is the product's, and the index is the product's."""

from __future__ import annotations

import numpy as np
import pytest

from wave_search.ann import exact_search
from wave_search.evaluation.ranking import exact_rankings, index_rankings, overlap


def unit(rng: np.random.Generator, count: int, dim: int = 48) -> np.ndarray:
    rows = rng.standard_normal((count, dim)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize(("items", "depth"), [(1, 10), (7, 7), (400, 10)])
def test_it_is_what_an_exact_search_finds(items: int, depth: int) -> None:
    rng = np.random.default_rng(items)
    vectors = unit(rng, items).astype(np.float16)
    vectors[items // 2 :] = vectors[: items - items // 2]  # equals, which only their place tells apart
    queries = unit(rng, 130)
    expected = [exact_search(vectors, np.arange(items), query, depth)[1] for query in queries]
    np.testing.assert_array_equal(exact_rankings(vectors, queries, depth), expected)


def test_the_index_finds_most_of_what_lies_in_clusters() -> None:
    rng = np.random.default_rng(1)
    vectors = (np.repeat(unit(rng, 100), 20, axis=0) + 0.3 * unit(rng, 2000)).astype(np.float16)
    queries = unit(rng, 20)
    found, truth = index_rankings(vectors, queries, 10), exact_rankings(vectors, queries, 10)
    assert found.shape == truth.shape == (20, 10)
    assert overlap(found, truth).mean() > 0.9


def test_an_index_of_one_finds_it() -> None:
    rng = np.random.default_rng(2)
    assert index_rankings(unit(rng, 1).astype(np.float16), unit(rng, 2), 10).tolist() == [[0], [0]]


def test_overlap_ignores_order_and_what_is_missing() -> None:
    found = np.array([[2, 1, -1], [7, 8, 9]])
    truth = np.array([[1, 2, 3], [4, 5, 6]])
    np.testing.assert_allclose(overlap(found, truth), [2 / 3, 0])
