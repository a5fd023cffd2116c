"""The map of a set of vectors: by UMAP where it is installed, otherwise by their principal components."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from wave_search.processes import start_python
from wave_search.projection import umap_worker
from wave_search.projection.pca import principal_components, sample, spread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

Method = Literal["umap", "pca"]
MIN_UMAP_POINTS = 100
"""With fewer points, neighbourhoods of `umap_worker.NEIGHBORS` are no neighbourhoods."""
_UMAP_COMPONENTS = 50
"""Components that UMAP is given: nearly all that vectors differ in, and far less to read than the vectors."""
_POLL_S = 0.25
_READ_SHARE, _FIT_SHARE = 0.3, 0.3
"""Shares of the time of the principal components: reading a sample, and computing them; the rest is for all points."""


@dataclass(frozen=True, slots=True)
class Projection:
    """The points of a map."""

    points: NDArray[np.float32]
    """(n, 2) from 0 to 1."""
    method: Method
    """How they were computed."""


def preferred_method() -> Method:
    """Return "umap" if umap-learn is installed, otherwise "pca"."""
    return "pca" if importlib.util.find_spec("umap") is None else "umap"


def project(
    batches: Callable[[], Iterator[NDArray[np.float16]]],
    count: int,
    method: Method,
    progress: Callable[[float], None] = lambda _: None,
) -> Projection:
    """Place vectors on a map, the same ones always at the same points.

    Args:
        batches: returns arrays (b, dim) of unit vectors, together `count` rows. Called twice.
        count: number of vectors.
        method: "umap" shows clusters, and takes minutes for 100,000 vectors, in a process of its own; a few vectors,
            and those of which it fails, are placed by "pca".
        progress: called with the share that is done. What it raises ends the computation.
    """
    if not count:
        return Projection(np.empty((0, 2), np.float32), "pca")
    neighbourly = method == "umap" and count >= MIN_UMAP_POINTS
    whole = 0.2 if neighbourly else 1.0
    wanted = _UMAP_COMPONENTS if neighbourly else 2

    def reading(share: float, offset: float, rows: Iterator[NDArray[np.float16]]) -> Iterator[NDArray[np.float16]]:
        done = 0
        for batch in rows:
            yield batch
            done += len(batch)
            progress(whole * (offset + share * done / count))

    chosen = sample(reading(_READ_SHARE, 0.0, batches()), count)
    found = principal_components(chosen, wanted, lambda share: progress(whole * (_READ_SHARE + _FIT_SHARE * share)))
    del chosen
    fitted = _READ_SHARE + _FIT_SHARE
    placed = np.concatenate([found.place(batch) for batch in reading(1 - fitted, fitted, batches())])
    if neighbourly and (arranged := _arranged(placed, lambda: progress(whole))) is not None:
        return Projection(spread(arranged), "umap")
    plane = np.zeros((count, 2), np.float32)
    plane[:, : placed.shape[1]] = placed[:, :2]
    return Projection(spread(plane), "pca")


def _arranged(points: NDArray[np.float32], waiting: Callable[[], None]) -> NDArray[np.float32] | None:
    """Return points (n, 2) by UMAP, None if it fails.

    It runs in a process: its compiler would keep the threads of searches waiting for seconds.
    """
    try:
        process, connection = start_python([umap_worker.__file__], sys.path)
    except OSError:
        return None
    with connection:
        try:
            connection.send(points)
            while not connection.poll(_POLL_S):
                waiting()
            answer: NDArray[np.float32] | None = connection.recv()
        except (EOFError, ConnectionError):  # it has ended, perhaps for want of memory
            return None
        finally:
            process.kill()
            process.wait()
    return answer if answer is not None and np.isfinite(answer).all() else None
