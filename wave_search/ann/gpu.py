"""CUDA, if faiss was built with it and there is a device."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def on_gpus(ivf: Any) -> Iterator[None]:
    """Let the GPUs find the nearest centroids of an IVF index while it is trained or added to.

    That is where the time goes. Encoding stays on the processor, because faiss has no fast-scan codes on GPUs, so the
    files are the same. Without a GPU nothing changes.
    """
    import faiss

    if not faiss.get_num_gpus():
        yield
        return
    quantizer = ivf.quantizer
    # faiss keeps bare pointers to both: these names keep them alive.
    clustering = faiss.index_cpu_to_all_gpus(faiss.IndexFlatL2(quantizer.d))
    copy = faiss.index_cpu_to_all_gpus(quantizer)
    ivf.clustering_index = clustering
    if ivf.is_trained:
        ivf.quantizer = copy
    try:
        yield
    finally:
        ivf.quantizer, ivf.clustering_index = quantizer, None
