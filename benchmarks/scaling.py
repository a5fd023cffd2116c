"""Growth of costs with the number of vectors: this package alone, at several counts, with fitted curves.

    python benchmarks/scaling.py --counts 10000,100000,1000000 [--dim 3584] [--work DIR] [--out DIR]

Vectors, queries and ground truth are those of `ann.py`, which can continue with the same --work. Each stage of
building, and opening and querying, is a separate single-threaded process whose private memory is measured. Existing
indexes are reused and figures of other counts are kept, so that large counts can be added later.

Times are CPU time. Costs of building and opening are fitted by straight lines, the others by power laws.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", LANCE_CPU_THREADS="1", RAYON_NUM_THREADS="1")

import numpy as np

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import wave_search as ws
from benchmarks.ann_measure import KINDS, ask, prepare
from benchmarks.ann_ours import VERSIONS, VIDEO, Ours
from benchmarks.peak import private_bytes, watched
from wave_search.ann import Codebook, Shard, ShardSet, tuning
from wave_search.models import LoadOptions
from wave_search.models.session import ModelSession
from wave_search.query.fusion import Query
from wave_search.query.partition import PartitionSearch
from wave_search.store import LocalFiles, Writer, manifest, open_snapshot
from wave_search.store.snapshot import Snapshot
from wave_search.types import Modality

if TYPE_CHECKING:
    from numpy.typing import NDArray

BUILDING = ("store", "shard", "tune")
ROUNDS = 3
COLUMNS = {
    "vectors": ("count", "{:,.0f}"),
    "store CPU s": ("store_s", "{:,.1f}"),
    "shards and tuning CPU s": ("shard_s", "{:,.1f}"),
    "tuning alone CPU s": ("tune_s", "{:,.1f}"),
    "private MiB, building": ("build_mib", "{:,.0f}"),
    "bytes/vector on disk": ("disk_per_vector", "{:,.0f}"),
    "codes and codebook bytes/vector": ("engine_per_vector", "{:,.0f}"),
    "all that is open bytes/vector": ("open_per_vector", "{:,.0f}"),
    "open to first answer CPU s": ("first_s", "{:.3f}"),
}
ASKED = {
    "vectors": ("count", "{:,.0f}"),
    "lists": ("lists", "{}"),
    "nprobe": ("{kind}_nprobe", "{}"),
    "refine_k": ("{kind}_refine_k", "{}"),
    "recall@10": ("{kind}_recall", "{:.3f}"),
    "partition p50 CPU ms": ("{kind}_alone_ms", "{:.2f}"),
    "Index.search p50 CPU ms": ("{kind}_public_ms", "{:.2f}"),
}
STRAIGHT = {
    "store_s": "store, CPU s",
    "shard_s": "shards and tuning, CPU s",
    "tune_s": "tuning alone, CPU s",
    "engine_mib": "codes and codebook, MiB",
    "open_mib": "all that is open, MiB",
    "first_s": "open to first answer, CPU s",
}
POWERS = {
    "build_mib": "private MiB, building",
    "self_alone_ms": "partition, queries self, CPU ms",
    "cross_alone_ms": "partition, queries cross, CPU ms",
    "self_public_ms": "Index.search, queries self, CPU ms",
    "cross_public_ms": "Index.search, queries cross, CPU ms",
}
NOTES = """The index has files, times and vectors; shards are derived from the table. Private memory leaves out what is
mapped from files. Recall of 0.95 is wanted: nprobe and refine_k are measured with the index's own vectors and texts,
recall is that of other queries."""


def stage(name: str, count: int, dim: int, questions: int, work: Path) -> dict[str, float]:
    """Run one stage in this process."""
    folder = work / "ours"
    folder.mkdir(exist_ok=True)
    engine = Ours(public=False)
    items = np.load(work / "items.npy", mmap_mode="r").view(np.ndarray)
    if name == "open":
        return opened(work)
    if name == "ask":
        return asked(count, dim, questions, work)
    began_s, cpu_s = time.perf_counter(), time.process_time()
    if name == "store":
        engine.store(items, folder)
    elif name == "shard":
        engine.shard(folder)
    else:
        with Writer(folder / "index") as writer:
            codebook, shards = open_shards(writer.snapshot)
            everything = ShardSet(codebook, shards, writer.snapshot.partition(VIDEO).ids)
            writer.set_tunings(VIDEO, tuning.measure(writer.snapshot, VIDEO, everything, tuning.RECALL)[0])
            writer.commit()
    return {"wall_s": time.perf_counter() - began_s, "cpu_s": time.process_time() - cpu_s}


def snapshot_of(work: Path) -> Snapshot:
    """Return the version that is tuned for the default recall: the newest, unless `ann.py` has continued with it."""
    directory, versions = (work / "ours" / "index").absolute(), work / "ours" / VERSIONS
    if not versions.exists():
        return open_snapshot(directory)
    wanted = json.loads(versions.read_text())[f"{100 * tuning.RECALL:.0f}"]
    files = LocalFiles(directory)
    return Snapshot(files, manifest.read(files, wanted))


def open_shards(snapshot: Snapshot) -> tuple[Codebook, list[Shard]]:
    """Codebook and shards of the vectors."""
    ref = snapshot.codebook(VIDEO)
    if ref is None:
        raise RuntimeError("there are too few vectors for shards")
    codebook = Codebook.open(snapshot.shard_dir(ref), snapshot.manifest.model.dim)
    return codebook, [Shard.open(snapshot.shard_dir(shard), codebook) for shard in snapshot.shards(VIDEO)]


def opened(work: Path) -> dict[str, float]:
    """Open codebook and shards, which suffice for a search for ids."""
    import faiss  # noqa: F401 - imported before, because it is not what is measured

    snapshot, before = snapshot_of(work), private_bytes()
    codebook, shards = open_shards(snapshot)
    return {"lists": codebook.lists, "shards": len(shards), "engine_mib": (private_bytes() - before) / 2**20}


def asked(count: int, dim: int, questions: int, work: Path) -> dict[str, float]:
    """Open the index and run queries."""
    import faiss  # noqa: F401 - imported before, because it is not what is measured
    import lance  # noqa: F401

    data = prepare(work, count, dim, questions)
    before, began_s, cpu_s = private_bytes(), time.perf_counter(), time.process_time()
    snapshot = snapshot_of(work)
    index = ws.Index(snapshot, ModelSession.for_index("auto", LoadOptions(), snapshot.manifest.model), 1, None)

    def public(row: NDArray[np.float32], k: int, *_: object) -> list[int]:
        return [hit.segment_id for hit in index.search(vector=row, target="video", k=k, moments=False)]

    public(data.queries["cross"][0], 10)
    found: dict[str, float] = {"first_wall_s": time.perf_counter() - began_s, "first_s": time.process_time() - cpu_s}
    found["open_mib"] = (private_bytes() - before) / 2**20
    partition = PartitionSearch(snapshot, VIDEO)

    def alone(row: NDArray[np.float32], k: int, *_: object) -> NDArray[np.int64]:
        return partition.search([Query.of_vectors(row[None])], k)[0].ids

    for kind in KINDS:
        for name, search in (("alone", alone), ("public", public)):
            rounds = [ask(search, data.queries[kind], data.truth[kind], 0, time.process_time) for _ in range(ROUNDS)]
            found[f"{kind}_{name}_ms"] = float(np.median([one["seconds"] for one in rounds]) * 1e3)
            found[f"{kind}_recall"] = rounds[0]["recall"]
    return found


def tuned(snapshot: Snapshot) -> dict[str, float]:
    """Return the search parameters."""
    found: dict[str, float] = {}
    for one in snapshot.tunings(VIDEO):
        kind = "self" if one.query is Modality.VIDEO else "cross"
        found |= {f"{kind}_nprobe": one.nprobe, f"{kind}_refine_k": one.refine_k}
    return found


def row(count: int, given: argparse.Namespace) -> dict[str, float]:
    """Build unless the index exists, and run queries."""
    work = given.work / f"{count}x{given.dim}"
    prepare(work, count, given.dim, given.questions)
    common = ["--counts", str(count), "--dim", str(given.dim), "--questions", str(given.questions)]
    command = [sys.executable, __file__, *common, "--work", str(given.work), "--stage"]
    record = work / "ours" / "stages.json"
    record.parent.mkdir(exist_ok=True)
    stages = json.loads(record.read_text()) if record.exists() else {}
    for name in BUILDING:
        if name not in stages:
            output, peak = watched([*command, name])
            stages[name] = {**json.loads(output), "peak_bytes": peak}
            record.write_text(json.dumps(stages))
            print(count, name, stages[name], file=sys.stderr)
    snapshot = snapshot_of(work)
    disk_bytes = sum(snapshot.sizes_bytes().values())
    # As ann.py leaves it, which then need not build it again.
    took = {clock: stages["store"][clock] + stages["shard"][clock] for clock in ("wall_s", "cpu_s")}
    (work / "ours" / "built.json").write_text(json.dumps({**took, "disk_bytes": disk_bytes}))
    found = {
        "count": count,
        **{f"{name}_s": stages[name]["cpu_s"] for name in ("store", "shard")},
        "tune_s": stages["tune"]["cpu_s"],
        "build_mib": max(stages[name]["peak_bytes"] for name in BUILDING) / 2**20,
        "disk_bytes": disk_bytes,
        **tuned(snapshot),
        **json.loads(watched([*command, "open"])[0]),
        **json.loads(watched([*command, "ask"])[0]),
    }
    bytes_of = {"disk": disk_bytes, "engine": found["engine_mib"] * 2**20, "open": found["open_mib"] * 2**20}
    return {**found, **{f"{name}_per_vector": size / count for name, size in bytes_of.items()}}


def straight(rows: list[dict[str, float]], name: str) -> tuple[float, float]:
    """A figure as a line: its fixed part, and what each million adds. Fitted to relative errors."""
    values = np.array([row[name] for row in rows])
    slope, fixed = np.polyfit([row["count"] / 1e6 for row in rows], values, 1, w=1 / values)
    return float(fixed), float(slope)


def power(rows: list[dict[str, float]], name: str) -> tuple[float, float]:
    """A figure as a * (count / 1,000,000) ** b: a and b."""
    counts = np.log([row["count"] / 1e6 for row in rows])
    slope, level = np.polyfit(counts, np.log([row[name] for row in rows]), 1)
    return float(np.exp(level)), float(slope)


def tables(rows: list[dict[str, float]], dim: int) -> list[Any]:
    """Return the tables of results."""
    from benchmarks.results import Table

    def lines(columns: dict[str, tuple[str, str]], kind: str) -> list[tuple[str, ...]]:
        return [tuple(form.format(row[key.format(kind=kind)]) for key, form in columns.values()) for row in rows]

    found = [Table(f"Building and opening, vectors of {dim}", tuple(COLUMNS), lines(COLUMNS, ""))]
    found += [Table(f"Queries {kind}, vectors of {dim}", tuple(ASKED), lines(ASKED, kind)) for kind in KINDS]
    if len(rows) > 1:
        for fit, names, title, columns in (
            (straight, STRAIGHT, "Straight lines", ("figure", "fixed", "each million")),
            (power, POWERS, "Powers of the count", ("figure", "at a million", "exponent")),
        ):
            lines_found = [(label, *map("{:.3g}".format, fit(rows, name))) for name, label in names.items()]
            found.append(Table(f"{title}, vectors of {dim}", columns, lines_found))
    return found


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", default="")
    parser.add_argument("--dim", type=int, default=3584)
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--work", type=Path, default=Path("build/ann"))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    parser.add_argument("--stage", choices=(*BUILDING, "open", "ask"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    counts = [int(count) for count in given.counts.split(",") if count]
    if given.stage:
        (count,) = counts
        work = given.work / f"{count}x{given.dim}"
        print(json.dumps(stage(given.stage, count, given.dim, given.questions, work)))
        return
    from benchmarks.results import machine, publish  # torch is none of the memory that is measured

    path = given.out / f"scaling-{given.dim}.json"
    result = json.loads(path.read_text()) if path.exists() else {"rows": []}
    result["about"] = {"command": f"python benchmarks/scaling.py --dim {given.dim}", **machine(1, "cpu")}
    rows = {row["count"]: row for row in result["rows"]}
    for count in counts:
        rows[count] = row(count, given)
    result["rows"] = [rows[count] for count in sorted(rows)]
    path.write_text(json.dumps(result, indent=1) + "\n")
    section = f"Growth, vectors of {given.dim}"
    publish(given.out / "RESULTS.md", section, result["about"], tables(result["rows"], given.dim), NOTES)


if __name__ == "__main__":
    main()
