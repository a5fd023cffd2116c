"""Resolution of devices and dtypes, and the free memory of a device."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from wave_search.errors import UsageError, shown
from wave_search.system import available_bytes
from wave_search.types import Dtype

if TYPE_CHECKING:
    import torch

_DTYPES = get_args(Dtype)
_NAME = re.compile(r"auto|cpu|cuda(:\d+)?|mps")


def check_device(name: str) -> None:
    """Check the form of the name of a device, without torch. Raises UsageError."""
    if not isinstance(name, str) or _NAME.fullmatch(name) is None:
        raise UsageError(f"{shown(name)} is not a device", "Use auto, cpu, cuda, cuda:N or mps.")


def resolve_devices(name: str) -> tuple[torch.device, ...]:
    """Return the devices that a name stands for.

    Args:
        name: "auto" (CUDA where there is one), "cpu", "cuda" (all that are visible), "cuda:N" or "mps" (Apple silicon).

    Raises:
        UsageError: the name is unknown, or there is no such device.
    """
    import torch

    check_device(name)
    if name == "mps":
        if not torch.backends.mps.is_available():
            cause = f"there is no device mps that torch {torch.__version__} can use"
            raise UsageError(cause, "Use --device cpu: mps is the GPU of Apple silicon, from macOS 14 on.")
        return (torch.device("mps"),)
    count = torch.cuda.device_count()
    if name == "cpu" or (name == "auto" and not count):
        return (torch.device("cpu"),)
    number = name.partition(":")[2]
    wanted = [int(number)] if number else range(count)
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
        raise UsageError(f"{shown(name)} is not a precision", f"Use one of {', '.join(_DTYPES)}.")
    return None if name == "auto" else {"float32": torch.float32, "bfloat16": torch.bfloat16}[name]


@dataclass(frozen=True, slots=True)
class CudaDevice:
    """A GPU that torch can use."""

    name: str
    """As for `--device`."""
    model: str
    total_bytes: int


def cuda_devices() -> list[CudaDevice]:
    """Return the GPUs that torch can use."""
    import torch

    found = [torch.cuda.get_device_properties(number) for number in range(torch.cuda.device_count())]
    return [CudaDevice(f"cuda:{number}", one.name, int(one.total_memory)) for number, one in enumerate(found)]


def has_nvidia_driver() -> bool:
    """Return whether the system has a driver for NVIDIA's GPUs, whatever torch can use."""
    return Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None


def free_bytes(device: torch.device) -> int | None:
    """Return the free memory of a device in bytes; None if the system does not report it."""
    if device.type == "cuda":
        import torch

        return int(torch.cuda.mem_get_info(device)[0])
    return available_bytes()
