"""The engines that `ann.py` compares. Each builds once into its own folder and is opened from there.

In a row "PCA-256", an engine is combined with the rotation and the exact re-scoring of `wave_search.ann`, which it
lacks. `width` is the parameter of an engine that controls recall; its meaning is documented for each engine.
Single-threaded.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from wave_search.ann import exact_search
from wave_search.ann.codebook import principal_rotation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    Rows = NDArray[np.float32]
    Ids = NDArray[np.int64]

BLOCK_ROWS = 8_192
_PCA_DIMS, _PCA_SAMPLE = 256, 16_384


class Engine(Protocol):
    """An engine, which is one row of the tables."""

    name: str
    widths: tuple[int, ...]

    def build(self, items: NDArray[np.float16], folder: Path) -> None:
        """Write an index of the items (n, dim) into an empty folder."""

    def open(self, items: NDArray[np.float16], folder: Path) -> Callable[[Rows, int, int, Ids | None], Ids]:
        """Open the index; return search(query (dim,), k, width, allowed ids), which returns ids, best first."""


def blocks(items: NDArray[np.float16]) -> Iterator[Rows]:
    """Yield items as float32, in blocks."""
    for start in range(0, len(items), BLOCK_ROWS):
        yield items[start : start + BLOCK_ROWS].astype(np.float32)


def built(engine: Engine, items: NDArray[np.float16], folder: Path) -> dict[str, float]:
    """Build an index unless it exists; return the cost."""
    record = folder / "built.json"
    if not record.exists():
        folder.mkdir(parents=True)
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        engine.build(items, folder)
        took = {"wall_s": time.perf_counter() - wall_s, "cpu_s": time.process_time() - cpu_s}
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        record.write_text(json.dumps({**took, "disk_bytes": size}))
    if hasattr(engine, "finish"):
        engine.finish(folder)
    loaded: dict[str, float] = json.loads(record.read_text())
    return loaded


class Exact:
    """Exact search in float32."""

    name, widths = "exact (faiss, float32)", (0,)
    questions = 40
    """Fewer queries, because it is slow."""

    def build(self, items: NDArray[np.float16], folder: Path) -> None:
        """Nothing to do."""

    def open(self, items: NDArray[np.float16], folder: Path) -> Callable[[Rows, int, int, Ids | None], Ids]:
        """Widen them."""
        import faiss

        index = faiss.IndexFlatIP(items.shape[1])
        for block in blocks(items):
            index.add(block)

        def search(query: Rows, k: int, width: int, allowed_ids: Ids | None) -> Ids:
            params = faiss.SearchParameters(sel=_selector(allowed_ids)) if allowed_ids is not None else None
            return index.search(query[None], k, params=params)[1][0]

        return search


class Hnswlib:
    """hnswlib: M 16, ef_construction 200; the width is ef. With an allowed set, its filter function."""

    name, widths = "hnswlib", (32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048)

    def build(self, items: NDArray[np.float16], folder: Path) -> None:
        """Add all in one thread."""
        import hnswlib

        index = hnswlib.Index("ip", items.shape[1])
        index.init_index(len(items), M=16, ef_construction=200, random_seed=1)
        start = 0
        for block in blocks(items):
            index.add_items(block, np.arange(start, start + len(block)), num_threads=1)
            start += len(block)
        index.save_index(str(folder / "index"))

    def open(self, items: NDArray[np.float16], folder: Path) -> Callable[[Rows, int, int, Ids | None], Ids]:
        """Read it whole."""
        import hnswlib

        index = hnswlib.Index("ip", items.shape[1])
        index.load_index(str(folder / "index"))

        def search(query: Rows, k: int, width: int, allowed_ids: Ids | None) -> Ids:
            index.set_ef(max(width, k))
            keep = set(allowed_ids.tolist()).__contains__ if allowed_ids is not None else None
            try:
                return index.knn_query(query, k, num_threads=1, filter=keep)[0][0].astype(np.int64)
            except RuntimeError:  # fewer than k were found
                return np.empty(0, np.int64)

        return search


class Usearch:
    """usearch: connectivity 16, expansion_add 128, float16; the width is expansion_search. It has no filter."""

    name, widths = "usearch f16", (32, 64, 96, 128, 192, 256, 384, 512, 768)

    def build(self, items: NDArray[np.float16], folder: Path) -> None:
        """Add all in one thread."""
        index = self._empty(items.shape[1])
        start = 0
        for block in blocks(items):
            index.add(np.arange(start, start + len(block)), block, threads=1)
            start += len(block)
        index.save(str(folder / "index"))

    def open(self, items: NDArray[np.float16], folder: Path) -> Callable[[Rows, int, int, Ids | None], Ids]:
        """Read it whole."""
        index = self._empty(items.shape[1])
        index.load(str(folder / "index"))

        def search(query: Rows, k: int, width: int, allowed_ids: Ids | None) -> Ids:
            if allowed_ids is not None:
                raise NotImplementedError
            index.expansion_search = width
            return np.asarray(index.search(query, k, threads=1).keys, np.int64)

        return search

    def _empty(self, dim: int) -> Any:
        from usearch.index import Index

        return Index(ndim=dim, metric="ip", dtype="f16", connectivity=16, expansion_add=128)


class UsearchBits:
    """usearch on the signs of centred vectors, re-scored exactly; the width is the number of re-scored candidates."""

    name, widths = "usearch b1, re-scored", (50, 100, 150, 200, 300, 400, 600, 800)

    def build(self, items: NDArray[np.float16], folder: Path) -> None:
        """Add the signs in one thread."""
        mean = np.mean([block.mean(axis=0) for block in blocks(items)], axis=0)
        index = self._empty(items.shape[1])
        start = 0
        for block in blocks(items):
            index.add(np.arange(start, start + len(block)), np.packbits(block > mean, axis=1), threads=1)
            start += len(block)
        index.save(str(folder / "index"))
        np.save(folder / "mean.npy", mean)

    def open(self, items: NDArray[np.float16], folder: Path) -> Callable[[Rows, int, int, Ids | None], Ids]:
        """Read it whole; the vectors stay mapped."""
        index = self._empty(items.shape[1])
        index.load(str(folder / "index"))
        mean = np.load(folder / "mean.npy")

        def search(query: Rows, k: int, width: int, allowed_ids: Ids | None) -> Ids:
            if allowed_ids is not None:
                raise NotImplementedError
            index.expansion_search = max(width, 64)
            bits = np.packbits(query - mean @ query * mean / (mean @ mean) > 0)
            return _rescored(items, np.asarray(index.search(bits, width, threads=1).keys, np.int64), query, k)

        return search

    def _empty(self, dim: int) -> Any:
        from usearch.index import Index

        return Index(ndim=dim, metric="hamming", dtype="b1", connectivity=16, expansion_add=128)


class Scann:
    """ScaNN: a tree with SOAR spilling, anisotropic hashing, the best re-ordered by the float32 vectors.

    Configured as its authors advise for this size; the width is the number of leaves searched. It has no filter.
    """

    name, widths = "ScaNN", (8, 16, 32, 64, 96, 128, 192, 256, 384, 512)

    def build(self, items: NDArray[np.float16], folder: Path) -> None:
        """Train and add in one thread."""
        from scann.scann_ops.py import scann_ops_pybind

        leaves = int(2 ** np.round(np.log2(2 * np.sqrt(len(items)))))
        builder = scann_ops_pybind.builder(np.concatenate(list(blocks(items))), 10, "dot_product")
        builder.set_n_training_threads(1)
        builder.tree(leaves, leaves // 8, soar_lambda=1.5, overretrieve_factor=1.5)
        builder.score_ah(2, anisotropic_quantization_threshold=0.2).reorder(100).build().serialize(str(folder))

    def open(self, items: NDArray[np.float16], folder: Path) -> Callable[[Rows, int, int, Ids | None], Ids]:
        """Read it whole."""
        from scann.scann_ops.py import scann_ops_pybind

        index = scann_ops_pybind.load_searcher(str(folder))
        index.set_num_threads(1)

        def search(query: Rows, k: int, width: int, allowed_ids: Ids | None) -> Ids:
            if allowed_ids is not None:
                raise NotImplementedError
            found, _ = index.search(query, k, max(100, 3 * k), width)
            return np.asarray(found, np.int64)

        return search


class FaissIvfPq:
    """faiss IVF-PQ as autofaiss would configure it, re-scored exactly; the width is nprobe, with 40 candidates per hit.

    The number of dimensions per sub-quantiser is such that codes take 1/32 of float16 vectors.
    """

    name, widths = "faiss IVF,PQ8 + re-scoring", (8, 16, 32, 64, 128, 256, 512)

    def build(self, items: NDArray[np.float16], folder: Path) -> None:
        """Train on 40 points for each list."""
        import faiss

        count, dim = items.shape
        lists = int(2 ** np.round(np.log2(4 * np.sqrt(count))))
        index = faiss.IndexIVFPQ(faiss.IndexFlatIP(dim), dim, lists, dim // 32 if dim > 512 else dim // 4, 8, 0)
        sample = np.sort(np.random.default_rng(0).choice(count, min(count, 40 * lists), replace=False))
        index.train(items[sample].astype(np.float32))
        for block in blocks(items):
            index.add(block)
        faiss.write_index(index, str(folder / "index"))

    def open(self, items: NDArray[np.float16], folder: Path) -> Callable[[Rows, int, int, Ids | None], Ids]:
        """Read it whole; the vectors stay mapped."""
        import faiss

        index = faiss.read_index(str(folder / "index"))

        def search(query: Rows, k: int, width: int, allowed_ids: Ids | None) -> Ids:
            params = faiss.SearchParametersIVF(nprobe=width)
            if allowed_ids is not None:
                params.sel = _selector(allowed_ids)
            found = index.search(query[None], 40 * k, params=params)[1][0]
            return _rescored(items, found[found >= 0], query, k)

        return search


class WithPca:
    """An engine on 256 principal components, whose candidates are re-scored with the full vectors.

    Args:
        peer: the engine.
        candidates: number of candidates to request per hit.
    """

    def __init__(self, peer: Any, candidates: int = 5) -> None:
        self.name, self.widths = f"PCA-256, {peer.name}, re-scored", peer.widths
        self._peer, self._candidates = peer, candidates

    def build(self, items: NDArray[np.float16], folder: Path) -> None:
        """Rotate the items, then build the engine."""
        sample = items[:: max(1, len(items) // _PCA_SAMPLE)].astype(np.float32)
        rotation = principal_rotation(sample, min(_PCA_DIMS, items.shape[1] // 2 * 2), 0)
        np.save(folder / "rotation.npy", rotation)
        (folder / "peer").mkdir()
        turned = np.concatenate([_unit(block @ rotation.T).astype(np.float16) for block in blocks(items)])
        self._peer.build(turned, folder / "peer")

    def open(self, items: NDArray[np.float16], folder: Path) -> Callable[[Rows, int, int, Ids | None], Ids]:
        """Open the engine; the full vectors stay mapped."""
        rotation = np.load(folder / "rotation.npy")
        inner = self._peer.open(np.empty((len(items), len(rotation)), np.float16), folder / "peer")

        def search(query: Rows, k: int, width: int, allowed_ids: Ids | None) -> Ids:
            found = inner(_unit(rotation @ query), self._candidates * k, width, allowed_ids)
            return _rescored(items, found, query, k)

        return search


def _unit(rows: Rows) -> Rows:
    unit: Rows = rows / np.linalg.norm(rows, axis=-1, keepdims=True)
    return unit


def _rescored(items: NDArray[np.float16], found: Ids, query: Rows, k: int) -> Ids:
    found = np.sort(found)
    return exact_search(items[found], found, query, k)[1]


def _selector(allowed_ids: Ids) -> Any:
    import faiss

    return faiss.IDSelectorBatch(allowed_ids)
