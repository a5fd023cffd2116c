"""Rankings: the fast exact one is the product's, and the index is the product's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.vector_index import TEXTS, VECTORS, fill, make
from wave_search.ann import SearchParams, exact_search
from wave_search.evaluation import ranking
from wave_search.evaluation.ranking import exact_rankings, index_rankings, overlap
from wave_search.types import Modality, PartitionKey

VIDEO, TEXT = Modality.VIDEO, Modality.TEXT


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
    found = index_rankings({VIDEO: vectors}, VIDEO, Modality.TEXT, queries, 10)
    truth = exact_rankings(vectors, queries, 10)
    assert found.shape == truth.shape == (20, 10)
    assert overlap(found, truth).mean() > 0.9


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> list[SearchParams]:
    """The parameters with which shards are searched."""
    params: list[SearchParams] = []

    class Watched(ranking.ShardSet):
        def search(self, queries, k, effort, *rest):
            params.append(effort)
            return super().search(queries, k, effort, *rest)

    monkeypatch.setattr(ranking, "ShardSet", Watched)
    return params


def test_the_index_is_searched_with_the_parameters_that_an_index_measures(
    tmp_path: Path, used: list[SearchParams]
) -> None:
    snapshot = fill(make(tmp_path / "index"), 0, 1200, texts=60)
    tuned = {one.query: SearchParams(one.nprobe, one.refine_k) for one in snapshot.tunings(PartitionKey(VIDEO))}
    assert tuned[TEXT] != tuned[VIDEO]
    vectors, texts = VECTORS[:1200], TEXTS[:60].astype(np.float16)

    asked = texts[:1].astype(np.float32)
    index_rankings({VIDEO: vectors, TEXT: texts}, VIDEO, VIDEO, vectors[:1].astype(np.float32), 10)
    index_rankings({VIDEO: vectors, TEXT: texts}, VIDEO, TEXT, asked, 10)
    assert used == [tuned[VIDEO], tuned[TEXT]]

    rule = SearchParams.by_rule(ranking.Codebook.train(vectors, len(vectors)).lists)
    assert rule not in used
    index_rankings({VIDEO: vectors, TEXT: texts[:5]}, VIDEO, TEXT, asked, 10)  # an index with hardly any text
    assert used[-1].nprobe == max(tuned[VIDEO].nprobe, rule.nprobe)
    assert used[-1].refine_k == max(tuned[VIDEO].refine_k, rule.refine_k)


def test_an_index_of_one_finds_it() -> None:
    rng = np.random.default_rng(2)
    assert index_rankings({VIDEO: unit(rng, 1).astype(np.float16)}, VIDEO, VIDEO, unit(rng, 2), 10).tolist() == [
        [0],
        [0],
    ]


def test_overlap_ignores_order_and_what_is_missing() -> None:
    found = np.array([[2, 1, -1], [7, 8, 9]])
    truth = np.array([[1, 2, 3], [4, 5, 6]])
    np.testing.assert_allclose(overlap(found, truth), [2 / 3, 0])
