"""What benchmarks write into RESULTS.md."""

from __future__ import annotations

import runpy
from itertools import pairwise
from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


def test_sections_are_replaced_and_stand_apart(tmp_path: Path) -> None:
    benchmarks = runpy.run_path(str(BENCHMARKS / "results.py"))
    publish, table = benchmarks["publish"], benchmarks["Table"]("Times", ("what", "s"), [("reading", "1")])
    path = tmp_path / "RESULTS.md"
    publish(path, "First", {"cpu": "one"}, [table], "A note.")
    publish(path, "Second", {"cpu": "one"}, [])
    publish(path, "First", {"cpu": "two"}, [table], "Another note.")
    shown = "### Times\n\n| what | s |\n| --- | --- |\n| reading | 1 |\n\nAnother note.\n"
    assert path.read_text() == f"# Results\n\n## Second\n\n- cpu: one\n\n## First\n\n- cpu: two\n\n{shown}"


def test_the_published_sections_stand_apart() -> None:
    lines = (BENCHMARKS / "RESULTS.md").read_text().splitlines()
    assert [line for before, line in pairwise(lines) if line.startswith("## ") and before] == []
