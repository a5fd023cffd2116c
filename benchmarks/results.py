"""Output of results: tables on the terminal, and a section of RESULTS.md."""

from __future__ import annotations

import os
import platform
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from rich.console import Console
from rich.table import Table as RichTable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_CONSOLE_WIDTH = 140


@dataclass(frozen=True, slots=True)
class Table:
    """A table; all cells are text."""

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]


def machine(threads: int, clock: str) -> dict[str, str]:
    """Return the machine and versions that the numbers depend on."""
    names = re.findall(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "cpu": f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores, {threads} threads used",
        "gpu": gpu,
        "seconds": {"wall": "by the clock", "cpu": "of CPU, of all threads, as the machine was shared"}[clock],
        "versions": ", ".join(f"{package} {version(package)}" for package in ("torch", "transformers", "numpy")),
    }


def publish(path: Path, section: str, about: Mapping[str, str], tables: Sequence[Table], notes: str = "") -> None:
    """Print tables, and replace the section of that name in a file."""
    console = Console(width=_CONSOLE_WIDTH)
    lines = [f"## {section}", "", *(f"- {key}: {value}" for key, value in about.items()), ""]
    for table in tables:
        shown = RichTable(*table.columns, title=table.title)
        for row in table.rows:
            shown.add_row(*row)
        console.print(shown)
        lines += [f"### {table.title}", "", _line(table.columns), _line(["---"] * len(table.columns))]
        lines += [*map(_line, table.rows), ""]
    if notes:
        lines.append(notes)
    _replace(path, section, "\n".join(lines))


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _replace(path: Path, section: str, text: str) -> None:
    old = path.read_text(encoding="utf-8") if path.exists() else "# Results"
    head, *sections = re.split(r"^(?=## )", old, flags=re.MULTILINE)
    kept = [part for part in sections if part.splitlines()[0] != f"## {section}"]
    path.write_text("\n\n".join(part.strip("\n") for part in (head, *kept, text)) + "\n", encoding="utf-8")
