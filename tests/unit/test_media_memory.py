"""The memory of decoders: what the machine or its container allows, and how it is divided."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from wave_search.errors import UsageError
from wave_search.media.memory import divide_memory, machine_bytes

PHYSICAL = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
GIB = 1 << 30


def machine(folder: Path, cgroup: str, limits: dict[str, str]) -> int:
    (folder / "proc" / "self").mkdir(parents=True)
    (folder / "proc" / "self" / "cgroup").write_text(cgroup)
    for name, content in limits.items():
        path = folder / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return machine_bytes(folder / "proc", folder / "cgroup")


@pytest.mark.parametrize(
    ("cgroup", "limits", "expected"),
    [
        ("", {}, PHYSICAL),
        ("0::/\n", {"memory.max": "max\n"}, PHYSICAL),
        ("0::/\n", {"memory.max": "104857600\n"}, 100 << 20),  # a container sees its own group as the root
        ("0::/a/b\n", {"a/b/memory.max": "max\n", "a/memory.max": "209715200\n"}, 200 << 20),
        ("5:cpu:/x\n4:hugetlb,memory:/docker/7\n", {"memory/memory.limit_in_bytes": "104857600\n"}, 100 << 20),
        ("4:memory:/a\n", {"memory/a/memory.limit_in_bytes": "9223372036854771712\n"}, PHYSICAL),
        ("4:cpu:/a\n", {"memory/a/memory.limit_in_bytes": "1048576\n"}, PHYSICAL),
    ],
)
def test_the_memory_of_the_machine(tmp_path: Path, cgroup: str, limits: dict[str, str], expected: int) -> None:
    assert machine(tmp_path, cgroup, limits) == expected


@pytest.mark.parametrize(
    ("memory", "workers", "expected"),
    [
        (8 * GIB, 4, (4, 2 * GIB)),
        (8 * GIB, 1, (1, 8 * GIB)),
        (2 * GIB, 4, (2, GIB)),
        (GIB // 2, 4, (1, GIB // 2)),
    ],
)
def test_few_decoders_rather_than_cramped_ones(memory: int, workers: int, expected: tuple[int, int]) -> None:
    assert divide_memory(memory, workers) == expected


def test_a_quarter_of_the_machine_by_default() -> None:
    count, each = divide_memory(None, 4)
    assert count * each <= max(PHYSICAL // 4, 256 << 20)


@pytest.mark.parametrize("memory", [-1, 100, (256 << 20) - 1])
def test_too_little_memory_is_refused(memory: int) -> None:
    with pytest.raises(UsageError, match="Allow at least 256 MiB"):
        divide_memory(memory, 1)
