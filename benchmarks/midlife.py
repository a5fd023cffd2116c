"""A partition in the middle of its life: searches and commits with segments in no shard, removed files, small commits.

    python benchmarks/midlife.py [--count 15000] [--dim 3584] [--work DIR] [--out DIR]

`vectors.py` generates the segments, ten of each file. Searches are of "self" queries by `Index.search`, one at a time
in one thread, after 50 others: from then on segments in no shard are searched by codes. A commit adds one segment, and
compacts where it pays. Seconds are CPU time of all threads.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from pathlib import Path

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", LANCE_CPU_THREADS="1")

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from typing import TYPE_CHECKING

import numpy as np

from benchmarks.ann_ours import VIDEO, Ours, put
from benchmarks.results import Table, machine, publish
from benchmarks.vectors import Library
from wave_search.ann import exact_search
from wave_search.models import LoadOptions
from wave_search.models.session import ModelSession
from wave_search.store import Writer, open_snapshot
from wave_search.types import Modality

if TYPE_CHECKING:
    from numpy.typing import NDArray

import wave_search as ws

PENDING = (0, 1_000, 4_900)
REMOVED = 0.3
COMMITS = 200
QUERIES, WARM = 100, 50


def searched(directory: Path, queries: NDArray[np.float32]) -> tuple[str, str]:
    """Return the median milliseconds of a search, and the recall@10."""
    snapshot = open_snapshot(directory)
    ids = snapshot.partition(VIDEO).ids
    vectors = snapshot.vectors(VIDEO, ids)
    with ws.Index(snapshot, ModelSession.for_index("auto", LoadOptions(), snapshot.manifest.model), 1, None) as index:
        took_ms, shares = [], []
        for number, query in enumerate((*queries[:WARM], *queries)):
            began_s = time.process_time()
            hits = index.search(vector=query, target="video", moments=False)
            if number >= WARM:
                took_ms.append(1e3 * (time.process_time() - began_s))
                true = exact_search(vectors, ids, query, 10)[1]
                shares.append(np.isin(true, [hit.segment_id for hit in hits]).mean())
    return f"{np.median(took_ms):.2f}", f"{np.mean(shares):.3f}"


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=15_000)
    parser.add_argument("--dim", type=int, default=3584)
    parser.add_argument("--work", type=Path, default=Path("build/midlife"))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    given = parser.parse_args()
    shutil.rmtree(given.work, ignore_errors=True)
    directory, library = given.work / "index", Library(given.dim)
    items = np.concatenate(list(library.items(given.count + max(PENDING))))
    queries = library.queries("self", QUERIES, given.count)
    Ours(public=True).build(items[: given.count], given.work)
    rows, added = [], 0
    for pending in PENDING:
        with Writer(directory) as writer:
            for start in range(added, pending, 10):
                rows_of_file = items[given.count + start : given.count + min(start + 10, pending)]
                put(writer, f"new{start:07}.mp4", Modality.VIDEO, rows_of_file)
            writer.commit()
        added = pending
        rows.append((f"{pending:,} in no shard", *searched(directory, queries)))
    with Writer(directory) as writer:
        files = range(int(REMOVED * given.count / 10))
        writer.remove_files([f"/media/video{number:07}.mp4".encode() for number in files])
        writer.commit()
    rows.append((f"and {REMOVED:.0%} removed", *searched(directory, queries)))
    commits_ms = []
    for number in range(COMMITS):
        began_s = time.process_time()
        with Writer(directory) as writer:
            put(writer, f"one{number:05}.mp4", Modality.VIDEO, items[number : number + 1])
            writer.commit()
            writer.compact_if_fragmented()
        commits_ms.append(1e3 * (time.process_time() - began_s))
    rows.append((f"and {COMMITS} commits of one segment", *searched(directory, queries)))
    commits = [
        (f"the {name} ten", f"{np.median(some):.0f}")
        for name, some in (("first", commits_ms[:10]), ("last", commits_ms[-10:]))
    ]
    publish(
        given.out / "RESULTS.md",
        "The middle of a life",
        machine(1, "cpu"),
        [
            Table(
                f"Searches of {given.count:,} vectors of {given.dim} in a shard", ("state", "CPU ms", "recall@10"), rows
            ),
            Table("Commits of one segment", ("commits", "CPU ms each"), commits),
        ],
        "Each row continues the one before. Searches return paths and times, and look whether the files are there.",
    )


if __name__ == "__main__":
    main()
