"""FAISS comes in several packages that install the same files. Exactly one of them must be there."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec

from wave_search.errors import WaveSearchError

_PACKAGES = ("faiss-cpu", "faiss-gpu", "faiss-gpu-cu11", "faiss-gpu-cu12")


def check_faiss() -> None:
    """Refuse to go on with two packages whose files have overwritten each other, or with none.

    Raises:
        WaveSearchError: there is not exactly one.
    """
    present = [name for name in _PACKAGES if _installed(name)]
    if len(present) > 1:
        remove = f"pip uninstall {' '.join(present)}"
        raise WaveSearchError(
            f"{' and '.join(present)} are installed together, and one has overwritten files of the other",
            f"Remove both and install the one you want: {remove}, then pip install {present[0]}.",
        )
    if find_spec("faiss") is None:
        raise WaveSearchError(
            "faiss is not installed", "pip install 'wave-search[cpu]', or 'wave-search[gpu]' for CUDA."
        )


def _installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True
