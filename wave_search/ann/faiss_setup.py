"""Set-up of FAISS: the installed package, the number of threads, and GPUs if there are any."""

from __future__ import annotations

import shlex
import sys
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from wave_search.errors import WaveSearchError

if TYPE_CHECKING:
    from collections.abc import Iterator

_PACKAGES = ("faiss-cpu", "faiss-gpu", "faiss-gpu-cu11", "faiss-gpu-cu12")
"""They all install the same files, so only one of them may be installed."""


def check_faiss() -> None:
    """Check that exactly one FAISS package is installed: two would overwrite each other's files.

    Raises:
        WaveSearchError: there are several, or none.
    """
    present = [name for name in _PACKAGES if _is_installed(name)]
    if len(present) > 1:
        remove = f"pip uninstall {' '.join(present)}"
        raise WaveSearchError(
            f"{' and '.join(present)} are installed together, and one has overwritten files of the other",
            f"Remove both and install the one you want: {remove}, then pip install {present[0]}.",
        )
    if find_spec("faiss") is None:
        raise WaveSearchError("faiss is not installed", f"Run: {_installer()} faiss-cpu (or faiss-gpu, for CUDA).")


def _installer() -> str:
    """Return the command that installs packages beside this one; environments of uv have no pip."""
    python = shlex.quote(sys.executable)
    return f"{python} -m pip install" if find_spec("pip") else f"uv pip install --python {python}"


def _is_installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


@contextmanager
def one_thread() -> Iterator[None]:
    """Make faiss use only the calling thread for its calls. Other threads are not affected.

    For small tasks: OpenMP threads synchronise so often that on a busy machine these would take ten times as long.
    """
    import faiss

    usual = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(usual)


@contextmanager
def on_gpus(ivf: Any) -> Iterator[None]:
    """Find the nearest centroids on the GPUs while an IVF index is trained or added to. Does nothing without a GPU.

    This step takes most of the time. Encoding stays on the CPU, because faiss has no fast-scan codes for GPUs; the
    files are therefore the same.
    """
    import faiss

    if not faiss.get_num_gpus():
        yield
        return
    quantizer = ivf.quantizer
    # faiss holds raw pointers to both; these names keep them alive.
    clustering = faiss.index_cpu_to_all_gpus(faiss.IndexFlatL2(quantizer.d))
    copy = faiss.index_cpu_to_all_gpus(quantizer)
    ivf.clustering_index = clustering
    if ivf.is_trained:
        ivf.quantizer = copy
    try:
        yield
    finally:
        ivf.quantizer, ivf.clustering_index = quantizer, None
