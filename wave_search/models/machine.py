"""Whether a model runs on this machine, and why."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal

from wave_search.media.memory import machine_bytes
from wave_search.models.device import cuda_devices, has_nvidia_driver

if TYPE_CHECKING:
    from wave_search.models.catalogue import KnownModel

Runs = Literal["yes", "slow", "no"]
_MODULES = {"models": "sentence_transformers"}
"""Extra -> a module of it."""
_MOST = 0.9
"""A machine sold with 16 GB has a little less."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What a machine has for models."""

    memory_bytes: int
    gpu_bytes: int = 0
    """Memory of its largest GPU; 0 for none."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a model runs on a machine."""

    runs: Runs
    reason: str


def this_machine() -> Machine:
    """Return what this machine has. Imports torch only if there is a driver for a GPU."""
    gpus = cuda_devices() if has_nvidia_driver() else []
    return Machine(machine_bytes(), max((gpu.total_bytes for gpu in gpus), default=0))


def verdict(model: KnownModel, machine: Machine) -> Verdict:
    """Return whether a model runs on a machine."""
    if model.extra and find_spec(_MODULES[model.extra]) is None:
        return Verdict("no", f"first pip install 'wave-search[{model.extra}]'")
    if model.gpu_bytes and machine.gpu_bytes >= model.gpu_bytes:
        return Verdict("yes", "on the GPU")
    gpu = f"a GPU with {gibibytes(model.gpu_bytes)}" if model.gpu_bytes else ""
    if machine.memory_bytes < model.memory_bytes * _MOST:
        return Verdict("no", f"it needs {gibibytes(model.memory_bytes)} of memory{f', or {gpu}' if gpu else ''}")
    if model.slow_on_cpu:
        return Verdict("slow", f"no GPU with {gibibytes(model.gpu_bytes)}")
    return Verdict("yes", "on the CPU")


def gibibytes(count: int) -> str:
    """Return a size of memory as people read it: "22 GB"."""
    return f"{count / 2**30:.0f} GB"
