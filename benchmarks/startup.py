"""CPU time of short commands from their first instruction to their end, and of its parts.

    python benchmarks/startup.py [--rounds 5] [--publish RESULTS.md]

Each command runs in a process of its own, on one thread, in turn with the others; the least of all rounds counts.
Everything is compared with `import torch` in the same run, because the time of an import depends on the machine as that
does. Imports of packages are by the clock, as Python measures them, each module without those that it imports.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.results import Table, machine, publish

CHECKOUT = Path(__file__).resolve().parents[1]
MEDIA = [CHECKOUT / "demo" / "media" / name for name in ("images", "texts")]
PICTURE = MEDIA[0] / "cat.jpg"
IMPORT_TORCH = ("-c", "import torch")
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"),
    "PYTHONPATH": str(CHECKOUT),
}
PACKAGES = 12
"""Number of packages that are listed."""
STEPS = """
import json, sys, time
marks = {"interpreter": time.process_time()}
def mark(name):
    marks[name] = time.process_time() - sum(marks.values())
import wave_search.cli
mark("command line")
import wave_search as ws
index = ws.open(sys.argv[1])
mark("opening the index")
index.search(text="a dog")
mark("model, and its first query")
index.search(text="a cat")
mark("another query")
print(json.dumps(marks))
"""


@dataclass(frozen=True)
class Run:
    """A process that has ended."""

    cpu_s: float
    output: str
    errors: str


def run(*arguments: str) -> Run:
    """Run Python with arguments; CPU time of it and its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, *arguments], env=ENVIRONMENT, cwd=CHECKOUT, capture_output=True, text=True, check=False
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    spent_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(spent_s, done.stdout, done.stderr)


def commands(index: Path) -> dict[str, tuple[str, ...]]:
    """Return what is compared, by its description."""

    def command(*arguments: str) -> tuple[str, ...]:
        return ("-m", "wave_search", *arguments, "--index", str(index))

    return {
        "`python -c pass`": ("-c", "pass"),
        "`import torch`": IMPORT_TORCH,
        "`--help`": ("-m", "wave_search", "--help"),
        "`info`": command("info"),
        "`list`": command("list"),
        "`query --similar` an indexed file": command("query", "--similar", str(PICTURE)),
        "`query --like 1`": command("query", "--like", "1"),
        "`query --text`, wave-nano": command("query", "--text", "a dog"),
        "`query --image`, wave-nano": command("query", "--image", str(PICTURE)),
    }


def compared(index: Path, rounds: int) -> Table:
    """Measure the commands in turn, and one that a server answers."""
    runs = commands(index)
    least_s = dict.fromkeys(runs, float("inf"))
    for _ in range(rounds):
        for name, arguments in runs.items():
            least_s[name] = min(least_s[name], run(*arguments).cpu_s)
    run("-m", "wave_search", "serve", "--index", str(index), "--background", "--port", "0")
    try:
        asked = runs["`query --text`, wave-nano"]
        answered = "`query --text`, answered by a server"
        least_s[answered] = min(run(*asked).cpu_s for _ in range(rounds))
    finally:
        run("-m", "wave_search", "serve", "--index", str(index), "--stop")
    torch_s = least_s["`import torch`"]
    rows = [(name, f"{cpu_s:.2f}", f"{cpu_s / torch_s:.2f}") for name, cpu_s in least_s.items()]
    return Table("Commands", ("process", "CPU s", "of `import torch`"), rows)


def by_step(index: Path, rounds: int) -> Table:
    """Divide a text query into its steps."""
    least_s: dict[str, float] = {}
    for _ in range(rounds):
        for name, spent_s in json.loads(run("-c", STEPS, str(index)).output).items():
            least_s[name] = min(least_s.get(name, spent_s), spent_s)
    return Table("Steps of a text query", ("step", "CPU s"), [(name, f"{s:.2f}") for name, s in least_s.items()])


def by_package(index: Path, name: str, rounds: int) -> Table:
    """List the packages whose imports take longest."""
    least_us: dict[str, int] = {}
    for _ in range(rounds):
        for line in run("-X", "importtime", *commands(index)[name]).errors.splitlines():
            own, _, module = line.removeprefix("import time:").split("|") if line.count("|") == 2 else ("", "", "")
            if own.strip().isdigit():
                module = module.strip()
                least_us[module] = min(least_us.get(module, int(own)), int(own))
    total = Counter[str]()
    for module, own_us in least_us.items():
        root = module.partition(".")[0]
        total["Python" if root in sys.stdlib_module_names else root] += own_us
    rows = [(package, f"{us / 1000:.0f}") for package, us in total.most_common(PACKAGES)]
    return Table(f"Imports of {name}", ("package", "ms"), [*rows, ("all", f"{sum(total.values()) / 1000:.0f}")])


def main() -> None:
    """Measure, print, and replace the section of a file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--publish", type=Path, default=Path(__file__).with_name("RESULTS.md"), metavar="FILE")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        index = Path(folder) / "index"
        run("-m", "wave_search", "index", *map(str, MEDIA), "--index", str(index), "--model", "wave-nano")
        tables = [
            compared(index, options.rounds),
            by_step(index, options.rounds),
            *(by_package(index, name, options.rounds) for name in ("`query --like 1`", "`query --text`, wave-nano")),
        ]
    about = machine(1, "cpu") | {"command": f"python benchmarks/startup.py --rounds {options.rounds}"}
    publish(options.publish, "Start-up", about, tables, "The least of all rounds, in turn.")


if __name__ == "__main__":
    main()
