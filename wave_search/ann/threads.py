"""How many threads faiss uses."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep what faiss does for the calling thread in that thread; others are not affected.

    For small work: OpenMP's threads wait for each other so often that on a busy machine ten times the time is lost.
    """
    import faiss

    usual = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(usual)
