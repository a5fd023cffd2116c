"""Run mutants of the store, the shards and the search: `python -m tests.mutation [--sample N] [--seed S]`.

Each mutant is tested by the tests that execute its line, until one fails. The tests are run once before, to learn which
lines each executes. Prints the mutants that survive, and their share of each package with its 95 % interval; exit code
1 if they are more than `--limit` allows.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, islice
from pathlib import Path
from queue import SimpleQueue
from statistics import NormalDist
from typing import TYPE_CHECKING

from tests.mutation.executed import TESTS, Executed
from tests.mutation.mutants import Mutant, mutants_of

if TYPE_CHECKING:
    from collections.abc import Sequence

CHECKOUT = Path(__file__).resolve().parents[2]
WORK = CHECKOUT / "build" / "mutation"
PACKAGES = ("store", "ann", "query")
COPIED = ("wave_search", "tests", "demo", "recipes", "benchmarks", "scripts", "pyproject.toml", "README.md")
CHEAP_FILES = 3


def started(folder: Path, *arguments: str, **streams: int | None) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.Popen([sys.executable, *arguments], cwd=folder, env=environment, text=True, **streams)


def copy_of(name: str) -> Path:
    """A copy of the checkout to change files in."""
    folder = WORK / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for part in COPIED:
        source = CHECKOUT / part
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, folder / part)
    # Mutants are tested in half the time where the other modules need not be compiled again.
    for arguments in (("compileall", "-q", "wave_search"), ("pytest", "--collect-only", "-qq", *TESTS)):
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
        command = [sys.executable, "-m", *arguments]
        subprocess.run(command, check=True, cwd=folder, env=environment, stdout=subprocess.DEVNULL)
    return folder


def compiles(mutant: Mutant) -> bool:
    try:
        compile(mutant.code((CHECKOUT / mutant.path).read_text()), mutant.path, "exec")
    except (SyntaxError, AttributeError):  # the latter from an operator that does not know all forms of `except`
        return False
    return True


class Copy:
    """A copy of the checkout, and a process that tests what was changed in it."""

    def __init__(self, name: str) -> None:
        self.folder = copy_of(name)
        self._worker: subprocess.Popen[str] | None = None

    def fails(self, tests: Sequence[str]) -> str | None:
        """The first of some tests that fails, or what ended them; None if all pass."""
        if self._worker is None:
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
            self._worker = started(self.folder, "-m", "tests.mutation.worker", **pipes)
        assert self._worker.stdin is not None
        assert self._worker.stdout is not None
        print(json.dumps(tests), file=self._worker.stdin, flush=True)
        failed: str | None = json.loads(self._worker.stdout.readline())
        return failed

    def killer(self, mutant: Mutant, tests: Sequence[Sequence[str]]) -> str | None:
        """The test that fails with a mutant, as above. Cheap files are tried before the others are imported."""
        cheap = list(chain.from_iterable(tests[:CHEAP_FILES]))
        others = list(chain.from_iterable(tests[CHEAP_FILES:]))
        file = self.folder / mutant.path
        source, times = file.read_text(), file.stat()
        file.write_text(mutant.code(source))
        try:
            failed = (self.fails(part) for part in (cheap, others) if part)
            return next((test for test in failed if test is not None), None)
        finally:
            file.write_text(source)
            os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))  # its bytecode is valid again


def drawn_from(package: str, only: str, seed: int, count: int) -> tuple[list[Mutant], int]:
    """Mutants of a package, drawn at random, and how many there are."""
    files = [file for file in sorted((CHECKOUT / package).glob("*.py")) if only in str(file)]
    every = [mutant for file in files for mutant in mutants_of(file.relative_to(CHECKOUT), file.read_text())]
    random.Random(seed).shuffle(every)
    return list(islice(filter(compiles, every), count)), len(every)


def interval(count: int, total: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927)."""
    z = NormalDist().inv_cdf(0.975)
    share, scale = count / total, 1 + z * z / total
    middle = (share + z * z / (2 * total)) / scale
    half = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total)) / scale
    return middle - half, middle + half


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument(
        "--sample", type=int, default=40, help="mutants of each package to try, drawn at random (default: 40)"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--budget", type=float, default=math.inf, help="seconds of tests per mutant (default: all)")
    parser.add_argument("--limit", type=float, default=0.1, help="share that may survive (default: 0.1)")
    parser.add_argument("--package", choices=PACKAGES, action="append", help="only this one (default: all)")
    parser.add_argument("--only", default="", help="files whose path contains this")
    options = parser.parse_args()
    copies: SimpleQueue[Copy] = SimpleQueue()
    unnamed: list[str] = []
    first, *others = [Copy(f"copy{number}") for number in range(options.workers)]
    executed = Executed.measure(
        first.folder, [f"wave_search/{package}" for package in PACKAGES], WORK / "executed.json"
    )
    for copy in (first, *others):
        copies.put(copy)

    def tried(mutant: Mutant) -> str | None:
        copy = copies.get()
        begin_s = time.monotonic()
        tests = executed.by(mutant, options.budget)
        try:
            killer = copy.killer(mutant, tests)
        finally:
            copies.put(copy)
        if killer is not None and not killer.startswith("tests/"):
            unnamed.extend(chain.from_iterable(tests))
        fate = "survived" if killer is None else "killed  "
        print(f"{fate} {time.monotonic() - begin_s:4.0f} s  {mutant}  {killer or ''}", flush=True)
        return killer

    killers: set[str] = set()
    counts = {}
    with ThreadPoolExecutor(options.workers) as pool:
        for package in options.package or PACKAGES:
            drawn, total = drawn_from(f"wave_search/{package}", options.only, options.seed, options.sample)
            fates = list(pool.map(tried, drawn))
            killers.update(filter(None, fates))
            counts[package] = fates.count(None), len(drawn), total
    # A mutant may also end pytest, but so do tests that pytest does not find.
    named = sorted({*(killer for killer in killers if killer.startswith("tests/")), *unnamed})
    if named and (failed := first.fails(named)) is not None:
        sys.exit(f"error: a test that fails without a change has killed mutants: {failed}")
    for package, (survivors, tries, total) in counts.items():
        low, high = interval(survivors, tries)
        share = f"{survivors / tries:.0%} (95 % interval {low:.0%} to {high:.0%})"
        print(f"{package}: {survivors} of {tries} survived, {share}; {total} in all, seed {options.seed}")
    survivors, tries = (sum(figures) for figures in list(zip(*counts.values(), strict=True))[:2])
    return int(survivors > options.limit * tries)


if __name__ == "__main__":
    sys.exit(main())
