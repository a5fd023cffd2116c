"""Cost of the many commits of a long run for later commits, opening and disk space, and the savings by compaction.

    python benchmarks/commits.py [--commits 2000] [--dim 3584] [--out DIR]

A commit adds two files of ten segments, like half a minute of a slow model. After each commit, the tables are compacted
if `Writer.compact_if_fragmented` finds it worthwhile, as in a run of `index`; or never, for comparison. Seconds are CPU
time of all threads.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", LANCE_CPU_THREADS="1")

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.ann_ours import VIDEO, put
from benchmarks.results import Table, machine, publish
from benchmarks.vectors import Library
from wave_search.models import ModelSpec
from wave_search.models.wave.clips import SAMPLING
from wave_search.store import Settings, Writer, create, open_snapshot
from wave_search.types import Modality

FILES, SEGMENTS = 2, 10
PARTS = 8
"""Of a run, each with a row."""


def run(directory: Path, commits: int, dim: int, *, compact: bool) -> list[tuple[str, ...]]:
    """Fill a new index; return a row for each part of the run."""
    spec = ModelSpec("vectors", "none", dim, tuple(Modality), SAMPLING, {})
    create(directory, spec, Settings("10", (Modality.VIDEO,)))
    vectors = next(Library(dim).items(FILES * SEGMENTS))
    rows = []
    with Writer(directory) as writer:
        for part in range(PARTS):
            began_s = time.process_time()
            for number in range(part * commits // PARTS, (part + 1) * commits // PARTS):
                for file in range(FILES):
                    put(writer, f"{number}-{file}.mp4", Modality.VIDEO, vectors[file * SEGMENTS :][:SEGMENTS])
                writer.commit(drop_dead=False)
                if compact:
                    writer.compact_if_fragmented()
            each_s = (time.process_time() - began_s) / (commits // PARTS)
            began_s = time.process_time()
            open_snapshot(directory).partition(VIDEO)
            opening_s = time.process_time() - began_s
            disk_bytes = writer.snapshot.sizes_bytes()["lance"] / ((number + 1) * FILES * SEGMENTS)
            rows.append((f"{number + 1:,}", f"{1e3 * each_s:.0f}", f"{1e3 * opening_s:.0f}", f"{disk_bytes:,.0f}"))
    return rows


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--commits", type=int, default=2_000)
    parser.add_argument("--dim", type=int, default=3584)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    given = parser.parse_args()
    head = ("commits", "each of the last CPU ms", "opening CPU ms", "bytes of tables/segment")
    tables = []
    for compact in (True, False):
        with tempfile.TemporaryDirectory() as folder:
            rows = run(Path(folder) / "index", given.commits, given.dim, compact=compact)
        tables.append(Table("Compacted where it pays" if compact else "Never compacted", head, rows))
    notes = f"""Commits of {FILES * SEGMENTS} segments of {given.dim} dimensions. What was replaced less than an hour
ago, here all, stays on the disk for those who read it."""
    publish(given.out / "RESULTS.md", "Many commits", machine(1, "cpu"), tables, notes)


if __name__ == "__main__":
    main()
