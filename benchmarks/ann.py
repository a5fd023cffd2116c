"""Nearest neighbours: this package, through its public search call, against the engines that one would take instead.

    python benchmarks/ann.py [--count 100000] [--dim 3584] [--engines NAME,...] [--rounds 3] [--work DIR] [--out DIR]

`vectors.py` draws the items (stored as segments of video), queries of the same modality ("self") and of another one
("cross"), and other "cross" vectors, stored as segments of text, with which this package measures how widely it has to
search. Each engine builds once into a folder under --work, which later runs use again; then all are open in one process
and asked in turn, one query at a time in one thread. Recall@10 is against exact search of the float16 vectors. Each
peer is tried at several settings of its one knob; what is reported for a recall is the cheapest setting that reaches it
on half of the queries, measured on all.

Seconds are of CPU, of all threads, where `--clock cpu` (other work on the machine then counts less), or by the clock.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", LANCE_CPU_THREADS="1", RAYON_NUM_THREADS="1")

import numpy as np

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import ann_engines as peers
from benchmarks.ann_ours import TARGETS, Ours
from benchmarks.results import Table, machine, publish
from benchmarks.vectors import Library

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

K = 10
FILTER_SHARE = 0.01
KINDS = ("self", "cross")
PACKAGES = ("faiss-cpu", "hnswlib", "usearch", "lancedb", "numpy")
NOTES = """One query at a time, one thread, vectors in the page cache. The clock is said above; building is always in
seconds of CPU. Rows of wave-search are stored with their files, and `Index.search` answers with paths, times and `z`;
no other row does. Private bytes leave out what is mapped from files (for most rows float16 vectors to re-score with,
7,168 bytes each at 3,584 dimensions). The vectors have few intrinsic dimensions by construction, see `vectors.py`."""


def engines() -> dict[str, Any]:
    """All rows by a short name."""
    return {
        "exact": peers.Exact(),
        "ours": Ours(public=True),
        "ours-alone": Ours(public=False),
        "hnswlib": peers.Hnswlib(),
        "usearch": peers.Usearch(),
        "usearch-b1": peers.UsearchBits(),
        "faiss": peers.FaissIvfPq(),
        "lance-rq": peers.Lance("IVF_RQ", 10),
        "lance-pq": peers.Lance("IVF_PQ", 10),
        "lance-hnsw": peers.Lance("IVF_HNSW_SQ", 2),
        "pca-hnswlib": peers.WithPca(peers.Hnswlib()),
        "pca-usearch": peers.WithPca(peers.Usearch()),
        "pca-faiss": peers.WithPca(peers.FaissIvfPq()),
        "pca-lance-rq": peers.WithPca(peers.Lance("IVF_RQ", 1)),
        "pca-lance-hnsw": peers.WithPca(peers.Lance("IVF_HNSW_SQ", 1)),
    }


@dataclass(frozen=True, slots=True)
class Data:
    """What is searched and asked."""

    items: NDArray[np.float16]
    queries: dict[str, NDArray[np.float32]]
    truth: dict[str, NDArray[np.int64]]
    allowed: NDArray[np.int64]
    allowed_truth: NDArray[np.int64]
    """For the queries of "cross"."""


def prepare(work: Path, count: int, dim: int, questions: int) -> Data:
    """Draw items once into a file, and find the truth block by block."""
    path = work / "items.npy"
    library = Library(dim)
    if not path.exists():
        work.mkdir(parents=True, exist_ok=True)
        items = np.lib.format.open_memmap(work / "items.part", "w+", np.float16, (count, dim))
        start = 0
        for block in library.items(count):
            items[start : start + len(block)] = block
            start += len(block)
        del items
        (work / "items.part").rename(path)
    mapped = np.load(path, mmap_mode="r").view(np.ndarray)
    queries = {kind: library.queries(kind, questions, count) for kind in KINDS}
    allowed = np.flatnonzero(np.random.default_rng(1).random(count) < FILTER_SHARE)
    known = work / f"truth-{questions}.npz"
    if not known.exists():
        truth = {kind: _truth(mapped, rows, np.arange(count)) for kind, rows in queries.items()}
        np.savez(known, allowed=_truth(mapped[allowed], queries["cross"], allowed), **truth)
    truth = dict(np.load(known))
    return Data(mapped, queries, truth, allowed, truth["allowed"])


def _truth(items: NDArray[np.float16], rows: NDArray[np.float32], ids: NDArray[np.int64]) -> NDArray[np.int64]:
    scores = np.full((len(rows), K), -np.inf, np.float32)
    best = np.zeros((len(rows), K), np.int64)
    for start in range(0, len(items), peers.BLOCK_ROWS):
        part = rows @ items[start : start + peers.BLOCK_ROWS].astype(np.float32).T
        scores = np.concatenate([scores, part], axis=1)
        best = np.concatenate([best, np.broadcast_to(ids[start : start + part.shape[1]], part.shape)], axis=1)
        kept = np.argpartition(-scores, K - 1, axis=1)[:, :K]
        scores, best = np.take_along_axis(scores, kept, axis=1), np.take_along_axis(best, kept, axis=1)
    return best


def ask(
    search: Any,
    rows: NDArray[np.float32],
    truth: NDArray[np.int64],
    width: int,
    clock: Callable[[], float],
    *,
    allowed: NDArray[np.int64] | None = None,
) -> dict[str, Any]:
    """Ask one query after the other: recall of each, and the seconds that each took."""
    recalls, seconds = [], []
    for row, true in zip(rows, truth, strict=True):
        began = clock()
        found = search(row, K, width, allowed)
        seconds.append(clock() - began)
        recalls.append(len(np.intersect1d(found, true)) / K)
    return {"recall": float(np.mean(recalls)), "seconds": seconds}


def settle(search: Any, engine: Any, data: Data, kind: str, clock: Callable[[], float]) -> dict[float, int]:
    """For each target recall the first width that reaches it on half of the queries; widths ascend."""
    half = slice(None, getattr(engine, "questions", None), 2)
    found: dict[float, int] = {}
    for width in engine.widths:
        recall = ask(search, data.queries[kind][half], data.truth[kind][half], width, clock)["recall"]
        for target in TARGETS:
            if recall >= target:
                found.setdefault(target, width)
        if len(found) == len(TARGETS):
            break
    return found


def measure(
    opened: dict[str, tuple[Any, Any]], data: Data, rounds: int, clock: Callable[[], float]
) -> list[dict[str, Any]]:
    """Ask all engines in turn, `rounds` times, at the settings that reach each target."""
    few = {name: slice(None, getattr(engine, "questions", None)) for name, (engine, _) in opened.items()}
    settled = {
        (name, kind): settle(search, engine, data, kind, clock)
        for name, (engine, search) in opened.items()
        for kind in KINDS
    }
    plan = {(*place, width) for place, widths in settled.items() for width in widths.values()}
    runs: dict[tuple[str, str, int], list[dict[str, Any]]] = {step: [] for step in sorted(plan)}
    for _ in range(rounds):
        for (name, kind, width), each in runs.items():
            part = few[name]
            each.append(ask(opened[name][1], data.queries[kind][part], data.truth[kind][part], width, clock))
    rows = []
    for (name, kind), widths in settled.items():
        for target, width in widths.items():
            each = runs[name, kind, width]
            seconds = np.array([run["seconds"] for run in each])
            row = {"engine": name, "queries": kind, "target": target, "width": width, "recall": each[0]["recall"]}
            row["p50_ms"] = float(np.median(seconds) * 1e3)
            row["p99_ms"] = float(np.median(np.quantile(seconds, 0.99, axis=1)) * 1e3)
            row["qps"] = float(1 / np.median(seconds.mean(axis=1)))
            rows.append(row)
    return rows


def filtered(opened: dict[str, tuple[Any, Any]], data: Data, clock: Callable[[], float]) -> list[dict[str, Any]]:
    """One percent of the items may be found: the widest setting of each, and an exact scan of the allowed ones."""
    rows = []
    part = slice(0, 100)
    searches = {name: (engine.widths[-1], search) for name, (engine, search) in opened.items()}
    searches["exact scan of what is allowed"] = (0, _scan(data))
    for name, (width, search) in searches.items():
        try:
            run = ask(search, data.queries["cross"][part], data.allowed_truth[part], width, clock, allowed=data.allowed)
        except NotImplementedError:
            continue
        rows.append({"engine": name, "recall": run["recall"], "p50_ms": float(np.median(run["seconds"]) * 1e3)})
    return rows


def _scan(data: Data) -> Any:
    def search(query: Any, k: int, width: int, allowed: Any) -> NDArray[np.int64]:
        return peers.exact_search(data.items[allowed], allowed, query, k)[1]

    return search


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
    """Open in a new process, after imports, and ask one query: how long that takes, and private memory after it."""
    script = COLD.format(items=str(work / "items.npy"), name=name, folder=str(folder_of(name, work)))
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=root)
    wall_s, cpu_s, private = map(float, done.stdout.split())
    return {"wall_s": wall_s, "cpu_s": cpu_s, "private_bytes": private}


def folder_of(name: str, work: Path) -> Path:
    """Where an engine builds; both rows of ours are one index."""
    return work / name.removesuffix("-alone")


def tables(result: dict[str, Any]) -> list[Table]:
    """What is told of a run."""
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
    name = f"ann-{given.count}x{given.dim}"
    (given.out / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")
    section = f"Nearest neighbours, {given.count:,} vectors of {given.dim}"
    publish(given.out / "RESULTS.md", section, about, tables(result), NOTES)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"


if __name__ == "__main__":
    main()
