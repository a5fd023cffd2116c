"""Memory of an index: for writing, optimizing, verifying and searching it.

    python benchmarks/memory.py --segments 1000000 --dim 3584

Each stage is a separate process, so that its peak can be measured. Private memory excludes mapped files, whose memory
the system reclaims when needed. Vectors are synthetic: a mixture of 1,000 directions with noise, of unit norm. Every
content has three segments, of two modalities, and one file with a path of 60 bytes.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import wave_search as ws
from benchmarks.peak import peak_bytes, private_bytes, watched
from wave_search import indexer
from wave_search.ann.rebuild import refresh_shards
from wave_search.models import ModelSpec
from wave_search.models.wave.clips import SAMPLING
from wave_search.store import ContentRow, FileRow, NewSegment, Settings, Writer, create, open_snapshot
from wave_search.types import Modality, PartitionKey

PER_CONTENT = 3
COMMIT_ROWS = 4096
SPACES = (PartitionKey(Modality.AUDIO), PartitionKey(Modality.VIDEO))
SEARCHES = 200
STAGES = ("write", "shards", "reindex", "optimize", "verify", "search")


def directions(dim: int) -> np.ndarray:
    """(1000, dim) float32, always the same."""
    return np.random.default_rng(0).standard_normal((1000, dim)).astype(np.float32)


def vectors(centres: np.ndarray, seed: int, count: int) -> np.ndarray:
    """(count, dim) float16 of unit norm."""
    chance = np.random.default_rng(seed)
    noise = chance.integers(-128, 128, (count, centres.shape[1]), np.int8).astype(np.float32) / 64
    made = centres[chance.integers(0, len(centres), count)] + noise
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float16)


def write(directory: Path, segments: int, dim: int) -> None:
    """Write complete contents, committed every few thousand rows, as a run of `index` does."""
    spec = ModelSpec("made-up", "0", dim, tuple(Modality), SAMPLING, {})
    create(directory, spec, Settings("10", tuple(key.modality for key in SPACES)))
    centres = directions(dim)
    per_commit = COMMIT_ROWS // PER_CONTENT
    with Writer(directory) as writer:
        for first in range(0, segments // PER_CONTENT, per_commit):
            numbers = range(first, min(first + per_commit, segments // PER_CONTENT))
            made = iter(vectors(centres, first, len(numbers) * PER_CONTENT))
            for number in numbers:
                modality = SPACES[number % 2].modality
                rows = [NewSegment(modality, 10.0 * i, 10.0 * i + 10, None, next(made)) for i in range(PER_CONTENT)]
                content_id = writer.put_content(ContentRow(f"{number:032x}", "video", "mp4", 30.0), rows)
                path = f"/media/of/somebody/{number // 100:06d}/a name of some length {number:09d}.mp4"
                writer.put_file(FileRow(path.encode(), b"/media/of/somebody", number, number, 1, content_id))
            writer.commit(drop_dead=False)
        writer.commit()


def shards(directory: Path) -> None:
    """Build the search structures, as a run of `index` does at its end."""
    with Writer(directory) as writer:
        for key in SPACES:
            refresh_shards(writer, key, ws.MIN_SHARD_ROWS)


def reindex(directory: Path) -> None:
    """Do a later run, which adds one file and removes one."""
    with Writer(directory) as writer:
        known = writer.snapshot.files()
        content_id = next(iter(known.values())).content_id
        writer.put_file(FileRow(b"/media/of/somebody/new", b"/media/of/somebody", 1, 1, 1, content_id))
        writer.remove_files([max(known)])
        writer.commit()


def search(directory: Path, dim: int) -> dict[str, float]:
    """Search through the public call, with metadata."""
    before_bytes = private_bytes()
    began_s = time.perf_counter()
    queries = vectors(directions(dim), 1, SEARCHES).astype(np.float32)
    with ws.open(directory) as index:
        index.search(vector=queries[0], target="audio")
        first_s = time.perf_counter() - began_s
        taken_s = []
        for query in queries:
            began_s = time.perf_counter()
            index.search(vector=query, target="audio")
            taken_s.append(time.perf_counter() - began_s)
        index.search(vector=queries[0], target="video")
    return {
        "first_s": first_s,
        "p50_ms": float(np.median(taken_s)) * 1e3,
        "p99_ms": float(np.quantile(taken_s, 0.99)) * 1e3,
        "before_bytes": before_bytes,
        "anonymous_bytes": private_bytes(),
    }


def stage(name: str, directory: Path, segments: int, dim: int) -> dict[str, float]:
    """Do one stage, and measure this process."""
    began_s, cpu_s = time.perf_counter(), time.process_time()
    found: dict[str, float] = {}
    if name == "write":
        write(directory, segments, dim)
    elif name == "shards":
        shards(directory)
    elif name == "reindex":
        reindex(directory)
    elif name == "optimize":
        indexer.optimize(directory, keep_versions_for_s=0, min_shard_rows=ws.MIN_SHARD_ROWS)
    elif name == "verify":
        if ws.verify(directory):
            raise SystemExit("the index is damaged")
    else:
        found = search(directory, dim)
    return {
        "peak_bytes": peak_bytes(),
        "wall_s": time.perf_counter() - began_s,
        "cpu_s": time.process_time() - cpu_s,
        "disk_bytes": sum(open_snapshot(directory).sizes_bytes().values()),
        **found,
    }


def main() -> None:
    """Measure all stages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--segments", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=3584)
    parser.add_argument("--folder", type=Path, help="where the index is made, and removed afterwards")
    parser.add_argument("--stage", choices=STAGES, help=argparse.SUPPRESS)
    parser.add_argument("--results", type=Path, default=Path(__file__).with_name("RESULTS.md"))
    options = parser.parse_args()
    if options.stage:
        print(json.dumps(stage(options.stage, options.folder, options.segments, options.dim)))
        return
    from results import Table, machine, publish  # keeps torch out of the measured memory

    folder = Path(tempfile.mkdtemp(dir=options.folder)) / "index"
    rows = []
    for name in STAGES:
        common = ["--segments", str(options.segments), "--dim", str(options.dim), "--folder", str(folder)]
        output, private = watched([sys.executable, __file__, "--stage", name, *common])
        figures = {**json.loads(output), "private_bytes": private}
        print(name, figures, file=sys.stderr)
        sizes = (f"{figures[key] / 2**20:,.0f}" for key in ("private_bytes", "peak_bytes", "disk_bytes"))
        rows.append((name, *sizes, f"{figures['cpu_s']:.0f}"))
    shutil.rmtree(folder.parent)
    columns = ("stage", "private MiB", "with mapped files MiB", "index on disk MiB", "CPU s")
    table = Table("Peak memory by stage", columns, rows)
    megabytes = figures["anonymous_bytes"] / 2**20
    notes = (
        f"Search: {figures['first_s']:.2f} s from a cold open to the first answer, then p50 {figures['p50_ms']:.2f} ms "
        f"and p99 {figures['p99_ms']:.2f} ms for ten hits with metadata, both modalities open. {megabytes:,.0f} MiB "
        f"resident without mapped files, {figures['anonymous_bytes'] / options.segments:.0f} bytes a segment."
    )
    about = {"segments": f"{options.segments:,} of {options.dim} dimensions", **machine(2, "cpu")}
    publish(options.results, "Memory of an index (`memory.py`)", about, [table], notes)


if __name__ == "__main__":
    main()
