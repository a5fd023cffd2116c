"""Resolution of devices and dtypes, and the free memory of a device."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, get_args

from wave_search.errors import UsageError
from wave_search.system import available_bytes
from wave_search.types import Dtype

if TYPE_CHECKING:
    import torch

_DTYPES = get_args(Dtype)


def resolve_devices(name: str) -> tuple[torch.device, ...]:
    """Return the devices that a name stands for.

    Args:
        name: "auto" (CUDA where there is one), "cpu", "cuda" (all that are visible), "cuda:N" or "mps" (Apple silicon).

    Raises:
        UsageError: the name is unknown, or there is no such device.
    """
    import torch

    if name == "mps":
        if not torch.backends.mps.is_available():
            cause = f"there is no device mps that torch {torch.__version__} can use"
            raise UsageError(cause, "Use --device cpu: mps is the GPU of Apple silicon, from macOS 14 on.")
        return (torch.device("mps"),)
    count = torch.cuda.device_count()
    if name == "cpu" or (name == "auto" and not count):
        return (torch.device("cpu"),)
    match = re.fullmatch(r"auto|cuda(:(?P<index>\d+))?", name)
    if match is None:
        raise UsageError(f"{name!r} is not a device", "Use auto, cpu, cuda, cuda:N or mps.")
    wanted = range(count) if match["index"] is None else [int(match["index"])]
    if not wanted or max(wanted) >= count:
        raise UsageError(
            f"there is no device {name}: {count} CUDA devices are visible to torch {torch.__version__}",
            "Use --device cpu, or install a CUDA build of torch and check that nvidia-smi lists the GPU.",
        )
    return tuple(torch.device("cuda", index) for index in wanted)


def resolve_dtype(name: str) -> torch.dtype | None:
    """Return the dtype that a name stands for; None for that of the checkpoint.

    Raises:
        UsageError: not "auto", "float32" or "bfloat16".
    """
    import torch

    if name not in _DTYPES:
        raise UsageError(f"{name!r} is not a precision", f"Use one of {', '.join(_DTYPES)}.")
    return None if name == "auto" else {"float32": torch.float32, "bfloat16": torch.bfloat16}[name]


def free_bytes(device: torch.device) -> int | None:
    """Return the free memory of a device in bytes; None if the system does not report it."""
    if device.type == "cuda":
        import torch

        return int(torch.cuda.mem_get_info(device)[0])
    return available_bytes()
