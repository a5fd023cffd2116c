"""Warm searches of two versions of this package, interleaved: `python benchmarks/versions.py --old CHECKOUT`.

Each version builds an index of the same vectors with the code of its own checkout, and answers the same queries in a
separate process. The processes take turns, so that other load on the machine slows both down.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.ann_measure import KINDS, prepare
from benchmarks.results import Table, machine, publish

HERE = Path(__file__).resolve().parents[1]
WAYS = {
    "Index.search": {"public": True, "moments": True},
    "Index.search(moments=False)": {"public": True, "moments": False},
    "its partition alone": {"public": False},
}
CHILD = """
import sys, time
checkout, work, folder, questions = sys.argv[1:]
sys.path.insert(0, checkout)
from pathlib import Path
import numpy as np
from benchmarks.ann_ours import Ours
work, folder = Path(work), Path(folder)
items = np.load(work / "items.npy", mmap_mode="r").view(np.ndarray)
engine = Ours(public=True)
if not folder.exists():
    folder.mkdir()
    engine.build(items, folder)
    engine.finish(folder)
searches = {name: Ours(**options).open(items, folder) for name, options in WAYS.items()}
print("ready", flush=True)
for line in sys.stdin:
    name, kind = line.rstrip().split("\\t")
    rows = np.load(work / f"{kind}-{questions}.npy")
    began = time.process_time()
    found = [searches[name](row, 10, 95, None) for row in rows]
    took = time.process_time() - began
    print(took, sum(map(len, found)), flush=True)
""".replace("WAYS", repr(WAYS))


@dataclass
class Version:
    """A version of the package that answers queries."""

    process: subprocess.Popen[str]

    @classmethod
    def of(cls, checkout: Path, work: Path, folder: Path, questions: int) -> Version:
        """Start the process, which builds its index if there is none."""
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", CHILD, checkout, work, folder, str(questions)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", f"{checkout} cannot be measured"
        return cls(process)

    def seconds(self, name: str, kind: str) -> float:
        """Return the CPU seconds for all queries of a kind."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(name, kind, sep="\t", file=self.process.stdin, flush=True)
        return float(self.process.stdout.readline().split()[0])


def in_turn(versions: list[Version], name: str, kind: str, *, turned: bool) -> list[float]:
    """CPU seconds of each version; every other time the last one begins."""
    order = versions[::-1] if turned else versions
    taken = [version.seconds(name, kind) for version in order]
    return taken[::-1] if turned else taken


def main() -> None:
    """Measure, and write a section of RESULTS.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--old", type=Path, required=True, help="a checkout of the version to compare with")
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--dim", type=int, default=3584)
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--work", type=Path, required=True, help="a folder for vectors and indexes, to be kept")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("RESULTS.md"))
    given = parser.parse_args()
    data = prepare(given.work, given.count, given.dim, given.questions)
    for kind in KINDS:
        np.save(given.work / f"{kind}-{given.questions}.npy", data.queries[kind])
    versions = [
        Version.of(checkout.resolve(), given.work, given.work / name, given.questions)
        for name, checkout in (("old", given.old), ("new", HERE))
    ]
    rows = []
    for name in WAYS:
        for kind in KINDS:
            taken = [in_turn(versions, name, kind, turned=bool(number % 2)) for number in range(given.rounds + 1)][1:]
            old, new = (1000 * np.median(column) / given.questions for column in zip(*taken, strict=True))
            ratios = np.array([after / before for before, after in taken])
            spread = f"{np.median(ratios):.3f} ({ratios.min():.3f} to {ratios.max():.3f})"
            rows.append((name, kind, f"{old:.3f}", f"{new:.3f}", spread))
            print(*rows[-1], sep="\t", flush=True)
    header = ("search", "queries", "old, CPU ms", "new, CPU ms", "new / old, median (range)")
    title = f"{given.count:,} x {given.dim}, {given.questions} queries, {given.rounds} rounds in turn, one thread"
    publish(given.out, "Two versions", machine(1, "cpu"), [Table(title, header, rows)])


if __name__ == "__main__":
    main()
