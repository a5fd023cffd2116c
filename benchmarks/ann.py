"""Nearest neighbours: this package, through its public search call, compared with alternative engines.

    python benchmarks/ann.py [--count 100000] [--dim 3584] [--engines NAME,...] [--rounds 3] [--work DIR] [--out DIR]

`vectors.py` generates the items (stored as segments of video), queries of the same modality ("self") and of another one
("cross"), and other "cross" vectors, stored as segments of text, with which this package tunes its search parameters.
Each engine builds once into a folder under --work, which later runs reuse; then all are open in one process and queried
in turn, one query at a time in one thread. Recall@10 is measured against exact search of the float16 vectors. Each
other engine is tried at several settings of its search parameter, and the cheapest setting that reaches a recall is
reported for it. The only parameter of this package is the target recall.

Seconds are CPU time of all threads with `--clock cpu`, on which other load has less influence, or else wall-clock time.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", LANCE_CPU_THREADS="1", RAYON_NUM_THREADS="1")


if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import ann_engines as peers
from benchmarks.ann_lance import Lance
from benchmarks.ann_measure import KINDS, filtered, measure, prepare
from benchmarks.ann_ours import TARGETS, Ours
from benchmarks.results import Table, machine, publish

PACKAGES = ("faiss-cpu", "hnswlib", "scann", "usearch", "lancedb", "numpy")
NOTES = """One query at a time, one thread, vectors in the page cache. The clock is said above; building is always in
seconds of CPU. Rows of wave-search are stored with their files, and `Index.search` answers with paths, times and `z`;
no other row does. Private bytes leave out what is mapped from files (for most rows float16 vectors to re-score with,
7,168 bytes each at 3,584 dimensions), and hold for wave-search what does not grow with the index: codes and codebook
are 130 bytes a vector of 100,000 and 87 of a million. ScaNN and usearch have no filter. The vectors have few intrinsic
dimensions by construction, see `vectors.py`."""


def engines() -> dict[str, Any]:
    """Return all engines by a short name."""
    return {
        "exact": peers.Exact(),
        "ours": Ours(public=True),
        "ours-moments": Ours(public=True, moments=True),
        "ours-alone": Ours(public=False),
        "hnswlib": peers.Hnswlib(),
        "scann": peers.Scann(),
        "usearch": peers.Usearch(),
        "usearch-b1": peers.UsearchBits(),
        "faiss": peers.FaissIvfPq(),
        "lance-rq": Lance("IVF_RQ", 10),
        "lance-pq": Lance("IVF_PQ", 10),
        "lance-hnsw": Lance("IVF_HNSW_SQ", 2),
        "pca-hnswlib": peers.WithPca(peers.Hnswlib()),
        "pca-scann": peers.WithPca(peers.Scann()),
        "pca-usearch": peers.WithPca(peers.Usearch()),
        "pca-faiss": peers.WithPca(peers.FaissIvfPq()),
        "pca-lance-rq": peers.WithPca(Lance("IVF_RQ", 1)),
        "pca-lance-hnsw": peers.WithPca(Lance("IVF_HNSW_SQ", 1)),
    }


COLD = """
import os, sys, time
import faiss, lancedb, pyarrow
import numpy as np
from pathlib import Path
from benchmarks.ann import engines
engine = engines()[{name!r}]
items = np.load({items!r}, mmap_mode="r").view(np.ndarray)
def private():
    _, resident, shared, *_ = map(int, open("/proc/self/statm").read().split())
    return (resident - shared) * os.sysconf("SC_PAGESIZE")
before = private()
began, cpu = time.perf_counter(), time.process_time()
search = engine.open(items, Path({folder!r}))
search(np.asarray(items[0], np.float32), 10, engine.widths[len(engine.widths) // 2], None)
print(time.perf_counter() - began, time.process_time() - cpu, private() - before)
"""


def cold(name: str, work: Path) -> dict[str, float]:
    """Open an engine in a new process and run one query; return the time, without imports, and the private memory."""
    script = COLD.format(items=str(work / "items.npy"), name=name, folder=str(folder_of(name, work)))
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=root)
    wall_s, cpu_s, private = map(float, done.stdout.split())
    return {"wall_s": wall_s, "cpu_s": cpu_s, "private_bytes": private}


def folder_of(name: str, work: Path) -> Path:
    """Return the folder of an engine. The rows of this package share one index."""
    return work / ("ours" if name.startswith("ours") else name)


def tables(result: dict[str, Any]) -> list[Table]:
    """Return the tables of a run."""
    names, count = result["engines"], result["count"]
    searches, builds, colds = result["searches"], result["builds"], result["cold"]
    clock = result["clock"]
    made = [
        (
            label,
            f"{builds[name]['cpu_s']:.1f}",
            f"{builds[name]['disk_bytes'] / count:,.0f}",
            f"{colds[name]['private_bytes'] / count:,.0f}",
            f"{colds[name][f'{clock}_s']:.3f}",
        )
        for name, label in names.items()
    ]
    found = [
        Table(
            f"{count:,} vectors of {result['dim']}: building and opening",
            ("engine", "build CPU s", "bytes/vector on disk", "private bytes/vector", "open to first answer s"),
            made,
        )
    ]
    for kind in KINDS:
        for target in TARGETS:
            rows = [row for row in searches if row["queries"] == kind and row["target"] == target]
            rows.sort(key=lambda row: -row["qps"])
            lines = [
                (
                    names[r["engine"]],
                    str(r["width"]),
                    f"{r['recall']:.3f}",
                    f"{r['p50_ms']:.2f} / {r['p99_ms']:.2f}",
                    f"{r['qps']:,.0f}",
                )
                for r in rows
            ]
            title = f"{count:,} vectors of {result['dim']}: recall@10 of {target:.2f}, queries {kind}"
            found.append(Table(title, ("engine", "width", "recall@10", "p50 / p99 ms", "queries/s"), lines))
    few = [
        (names.get(r["engine"], r["engine"]), f"{r['recall']:.3f}", f"{r['p50_ms']:.2f}") for r in result["filtered"]
    ]
    title = f"{count:,} vectors of {result['dim']}: 1 % may be found, queries cross, widest setting"
    return [*found, Table(title, ("engine", "recall@10", "p50 ms"), few)]


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=3584)
    parser.add_argument("--questions", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--engines", default=",".join(engines()), help="a list of " + ", ".join(engines()))
    parser.add_argument("--clock", choices=("cpu", "wall"), default="wall")
    parser.add_argument("--build-only", action="store_true")
    parser.add_argument("--part", help="name of this run, if others with other engines are to be told beside it")
    parser.add_argument("--work", type=Path, default=Path("build/ann"))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    given = parser.parse_args()
    work = given.work / f"{given.count}x{given.dim}"
    data = prepare(work, given.count, given.dim, given.questions)
    chosen = {name: engine for name, engine in engines().items() if name in given.engines.split(",")}
    builds = {}
    for name, engine in chosen.items():
        builds[name] = peers.built(engine, data.items, folder_of(name, work))
        print(f"{name}: built in {builds[name]['cpu_s']:.1f} s of CPU", file=sys.stderr)
    if given.build_only:
        return
    clock = time.process_time if given.clock == "cpu" else time.perf_counter
    colds = {name: cold(name, work) for name in chosen}
    opened = {name: (engine, engine.open(data.items, folder_of(name, work))) for name, engine in chosen.items()}
    about = machine(1, given.clock)
    about["command"] = " ".join(["python", "benchmarks/ann.py", *sys.argv[1:]])
    about["versions"] = ", ".join(f"{name} {_version(name)}" for name in PACKAGES)
    result = {
        "about": about,
        "clock": given.clock,
        "count": given.count,
        "dim": given.dim,
        "engines": {name: engine.name for name, engine in chosen.items()},
        "builds": builds,
        "cold": colds,
        "searches": measure(opened, data, given.rounds, clock),
        "filtered": filtered(opened, data, clock),
    }
    name = f"ann-{given.count}x{given.dim}" + (f"-{given.part}" if given.part else "")
    (given.out / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")
    section = f"Nearest neighbours, {given.count:,} vectors of {given.dim}" + (f", {given.part}" if given.part else "")
    absent = "; ".join(engine.name for name, engine in engines().items() if name not in chosen)
    notes = f"{NOTES}\n\nNot in this run: {absent}." if absent else NOTES
    publish(given.out / "RESULTS.md", section, about, tables(result), notes)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"


if __name__ == "__main__":
    main()
