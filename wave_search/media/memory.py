"""How many decoders run at once, and their memory: together a share of the machine's, each an equal part of it."""

from __future__ import annotations

from pathlib import Path

from wave_search.errors import UsageError
from wave_search.system import cores, physical_bytes

SHARE = 0.25
"""Share of the memory of the machine that the decoders of a pool may use together."""
LEAST_BYTES = 256 << 20
"""Least memory that a decoder can work with; the libraries alone take 150 MiB."""
ENOUGH_BYTES = 1 << 30
"""Memory that suffices for nearly all files. Fewer decoders run at once rather than with less."""


def default_workers() -> int:
    """Return the number of cores, at most 4."""
    return min(4, cores())


def machine_bytes(proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> int:
    """Return the memory of the machine, or the limit of this process's control groups (containers) if it is lower."""
    physical = physical_bytes()
    limits: list[int | None] = []
    for line in _text(proc / "self" / "cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        group = Path(path.lstrip("/"))
        if not controllers:  # version 2
            limits += [_limit_bytes(cgroups / at / "memory.max") for at in (group, *group.parents)]
        elif "memory" in controllers.split(","):
            files = [cgroups / "memory" / at / "memory.limit_in_bytes" for at in (group, *group.parents)]
            limits += map(_limit_bytes, files)
    return min([physical, *(limit for limit in limits if limit is not None)])


def divide_memory(memory_bytes: int | None, workers: int) -> tuple[int, int]:
    """Return how many of at most `workers` decoders may run at once, and the memory of each in bytes.

    Args:
        memory_bytes: of all of them together; None for `SHARE` of the machine's.
        workers: at least 1.

    Raises:
        UsageError: it is less than one decoder needs.
    """
    if memory_bytes is None:
        memory_bytes = max(LEAST_BYTES, int(machine_bytes() * SHARE))
    if not memory_bytes >= LEAST_BYTES:
        least = f"Allow at least {LEAST_BYTES >> 20} MiB."
        raise UsageError(f"{memory_bytes} bytes of memory are too few for a decoder", least)
    count = max(1, min(workers, memory_bytes // ENOUGH_BYTES))
    return count, memory_bytes // count


def _limit_bytes(file: Path) -> int | None:
    limit = _text(file).strip()
    return int(limit) if limit.isdecimal() else None  # "max"


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
