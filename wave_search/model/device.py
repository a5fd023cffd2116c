"""Where a model runs, and in which precision."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from wave_search.errors import UsageError

if TYPE_CHECKING:
    import torch

_DTYPES = ("auto", "float32", "bfloat16")


def resolve_device(name: str) -> torch.device:
    """Turn a user's word into a device that is there.

    Args:
        name: "auto" (CUDA where there is one), "cpu", "cuda" or "cuda:N".

    Raises:
        UsageError: not such a word, or no such CUDA device.
    """
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if not re.fullmatch(r"cpu|cuda(:\d+)?", name):
        raise UsageError(f"{name!r} is not a device", "Use auto, cpu, cuda or cuda:N.")
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UsageError(
            f"there is no device {name}: {torch.cuda.device_count()} CUDA devices are visible to torch "
            f"{torch.__version__}",
            "Use --device cpu, or install a CUDA build of torch and check that nvidia-smi lists the GPU.",
        )
    return device


def resolve_dtype(name: str) -> torch.dtype | None:
    """Turn a user's word into a dtype; None means that of the checkpoint.

    Raises:
        UsageError: not "auto", "float32" or "bfloat16".
    """
    import torch

    if name not in _DTYPES:
        raise UsageError(f"{name!r} is not a precision", f"Use one of {', '.join(_DTYPES)}.")
    return None if name == "auto" else {"float32": torch.float32, "bfloat16": torch.bfloat16}[name]
