"""Maps of vectors: known arrangements come out as they are, whatever the batches, and always at the same places."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from wave_search.processes import start_python
from wave_search.projection import preferred_method, project, umap_worker
from wave_search.projection.pca import SAMPLE_ROWS, principal_components, sample, spread

DIM = 24


def in_batches(vectors: NDArray[np.float16], rows: int) -> Callable[[], Iterator[NDArray[np.float16]]]:
    return lambda: (vectors[begin : begin + rows] for begin in range(0, len(vectors), rows))


def plane(count: int, seed: int = 3) -> tuple[NDArray[np.float64], NDArray[np.float16]]:
    """Points of a rectangle, twice as wide as high, and unit vectors that lie on such a piece of a plane."""
    random = np.random.default_rng(seed)
    points = random.uniform(-1, 1, (count, 2)) * (0.4, 0.2)
    axes = np.linalg.qr(random.standard_normal((DIM, 3)))[0].T
    vectors = points @ axes[:2] + axes[2]
    return points, vectors.astype(np.float16)


def placed(vectors: NDArray[np.float16], rows: int = 1000) -> NDArray[np.float32]:
    return project(in_batches(vectors, rows), len(vectors), "pca").points


def test_what_lies_in_a_plane_is_found_again() -> None:
    points, vectors = plane(3000)
    found = placed(vectors)
    assert found.dtype == np.float32
    assert found.min() >= 0
    assert found.max() <= 1
    for axis in range(2):  # up to the sign, which is arbitrary
        assert abs(np.corrcoef(points[:, axis], found[:, axis])[0, 1]) > 0.999


def test_components_are_those_of_the_covariance() -> None:
    random = np.random.default_rng(5)
    vectors = random.standard_normal((400, DIM)) * (1 / (1 + np.arange(DIM)))
    found = principal_components(vectors, 3)
    exact = np.linalg.svd(vectors - vectors.mean(0), full_matrices=False)[2][:3].T
    assert np.abs(found.axes.T @ exact) == pytest.approx(np.eye(3), abs=1e-4)
    assert found.mean == pytest.approx(vectors.mean(0), abs=1e-6)
    assert (found.axes[np.abs(found.axes).argmax(0), range(3)] > 0).all()


def test_the_map_is_the_same_each_time_and_for_all_batches() -> None:
    _, vectors = plane(SAMPLE_ROWS // 8)
    first = placed(vectors)
    assert (placed(vectors) == first).all()
    for rows in (1, 7, len(vectors)):
        assert placed(vectors[:300], rows) == pytest.approx(placed(vectors[:300]), abs=1e-4)


def test_a_sample_is_spread_over_all_vectors() -> None:
    count = SAMPLE_ROWS * 3
    numbers = np.arange(count, dtype=np.float32)[:, None]
    several = sample((numbers[begin : begin + 5000] for begin in range(0, count, 5000)), count)
    assert len(several) == SAMPLE_ROWS
    assert np.diff(several[:, 0]).max() <= 4
    assert (several[0, 0], several[-1, 0]) == (0, count - 1)


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_equal_vectors_are_in_the_middle(count: int) -> None:
    vectors = np.tile(plane(1)[1], (count, 1))
    assert (placed(vectors) == np.full((count, 2), 0.5, np.float32)).all()


def test_two_vectors_are_at_the_sides_and_copies_are_together() -> None:
    two = placed(plane(2)[1])
    assert sorted(two[:, 0]) == pytest.approx([0.05, 0.95], abs=0.01)
    assert (two[:, 1] == 0.5).all()
    twice = placed(np.repeat(plane(20)[1], 2, axis=0))
    assert (twice[::2] == twice[1::2]).all()


def test_one_dimension_is_enough() -> None:
    line = placed(np.array([[1.0], [-1.0], [1.0]], np.float16))
    assert line[0, 0] == line[2, 0] != line[1, 0]
    assert (line[:, 1] == 0.5).all()


def test_outliers_do_not_squeeze_the_rest_and_keep_their_order() -> None:
    ordinary = np.linspace(-1, 1, 1000)
    far = np.array([50.0, -400.0, 1e6])
    found = spread(np.stack([np.concatenate([ordinary, far]), np.zeros(1003)], axis=1))[:, 0]
    assert found[900] - found[100] > 0.7
    assert found.min() >= 0
    assert found.max() <= 1
    order = np.argsort(np.concatenate([ordinary, far]))
    assert (np.diff(found[order].astype(np.float64)) >= 0).all()
    assert found[1000] < found[1002]


def test_the_work_is_reported_and_can_be_ended() -> None:
    _, vectors = plane(500)
    shares: list[float] = []
    project(in_batches(vectors, 50), len(vectors), "pca", shares.append)
    assert shares == sorted(shares)
    assert len(shares) > 20
    assert shares[-1] == pytest.approx(1.0)

    def end(_: float) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        project(in_batches(vectors, 50), len(vectors), "pca", end)


def test_umap_is_used_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted: list[str] = []
    monkeypatch.setattr("importlib.util.find_spec", wanted.append)
    assert preferred_method() == "pca"
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    assert preferred_method() == "umap"
    assert wanted == ["umap"]


def test_umap_arranges_many_points_in_a_process_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stand_in = tmp_path / "umap.py"
    stand_in.write_text(
        "class UMAP:\n"
        "    def __init__(self, **options):\n"
        "        self.seed = options['random_state']\n"
        "    def fit_transform(self, points):\n"
        "        assert self.seed is not None\n"
        "        return points[:, 1:3]\n"
    )
    _, vectors = plane(400)
    monkeypatch.syspath_prepend(str(tmp_path))
    found = project(in_batches(vectors, 100), len(vectors), "umap")
    by_components = placed(vectors)
    assert found.method == "umap"
    assert found.points[:, 0] == pytest.approx(by_components[:, 1], abs=1e-3)
    few = project(in_batches(vectors[:50], 100), 50, "umap")
    assert few.method == "pca"
    stand_in.write_text("raise RuntimeError('does not fit the installed numpy')")
    failed = project(in_batches(vectors, 100), len(vectors), "umap")
    assert failed.method == "pca"
    assert failed.points == pytest.approx(by_components, abs=1e-3)


def test_the_process_ends_with_the_one_that_waits_for_it(tmp_path: Path) -> None:
    (tmp_path / "umap.py").write_text("import threading\nthreading.Event().wait()\n")
    process, connection = start_python([umap_worker.__file__], [str(tmp_path), *sys.path])
    connection.send(np.zeros((2, 2), np.float32))
    assert not connection.poll(0)
    connection.close()
    assert process.wait(60) == 1
