"""LanceDB as an engine of `ann.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmarks.ann_engines import blocks

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from benchmarks.ann_engines import Ids, Rows


class Lance:
    """LanceDB with one of its own indexes; the width is nprobes, or a quarter of ef with HNSW.

    Filters by `id IN (...)` before the search.

    Args:
        kind: "IVF_RQ", "IVF_PQ" or "IVF_HNSW_SQ".
        refine: number of candidates per hit whose vectors it fetches and scores exactly.
    """

    widths = (5, 10, 20, 40, 80, 160)

    def __init__(self, kind: str, refine: int) -> None:
        self.name = f"LanceDB {kind}"
        self._kind, self._refine = kind, refine

    def build(self, items: NDArray[np.float16], folder: Path) -> None:
        """Write the table, then its index."""
        import lancedb
        import pyarrow as pa
        from lancedb.index import HnswSq, IvfPq, IvfRq

        dim, start = items.shape[1], 0
        schema = pa.schema([("id", pa.int64()), ("vector", pa.list_(pa.float32(), dim))])
        table = lancedb.connect(str(folder)).create_table("items", schema=schema)
        for block in blocks(items):
            vectors = pa.FixedSizeListArray.from_arrays(pa.array(block.ravel()), dim)
            table.add(pa.table([pa.array(range(start, start + len(block))), vectors], schema=schema))
            start += len(block)
        partitions = max(1, int(np.sqrt(len(items))))
        config = {
            "IVF_RQ": lambda: IvfRq(distance_type="dot", num_partitions=partitions),
            "IVF_PQ": lambda: IvfPq(distance_type="dot", num_partitions=partitions, num_sub_vectors=dim // 16),
            "IVF_HNSW_SQ": lambda: HnswSq(distance_type="dot", num_partitions=max(1, len(items) // 100_000)),
        }[self._kind]()
        table.create_index("vector", config=config)
        table.wait_for_index(["vector_idx"])

    def open(self, items: NDArray[np.float16], folder: Path) -> Callable[[Rows, int, int, Ids | None], Ids]:
        """Open the table."""
        import lancedb

        table = lancedb.connect(str(folder)).open_table("items")

        def search(query: Rows, k: int, width: int, allowed_ids: Ids | None) -> Ids:
            asked = table.search(query, vector_column_name="vector").distance_type("dot").limit(k)
            asked = asked.select(["id", "_distance"])
            asked = asked.ef(max(4 * width, 2 * k)) if self._kind == "IVF_HNSW_SQ" else asked.nprobes(width)
            asked = asked.refine_factor(self._refine)
            if allowed_ids is not None:
                asked = asked.where(f"id IN ({', '.join(map(str, allowed_ids.tolist()))})", prefilter=True)
            return np.asarray(asked.to_arrow().column("id"), np.int64)

        return search
