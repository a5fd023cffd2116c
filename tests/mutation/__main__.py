"""Run mutants of the store, the shards and the search: `python -m tests.mutation [--sample N] [--seed S]`.

Each mutant is tested by the tests that execute its line, until one fails. The tests are run once before, to learn which
lines each executes. Prints the mutants that survive; exit code 1 if they are more than `--limit` allows.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from tests.mutation.mutants import Mutant, mutants_of

if TYPE_CHECKING:
    from collections.abc import Sequence

CHECKOUT = Path(__file__).resolve().parents[2]
WORK = CHECKOUT / "build" / "mutation"
PACKAGES = ("wave_search/store", "wave_search/ann", "wave_search/query")
TESTS = ("tests/unit", "tests/integration")
UNRELATED = "finetune or train or golden or media or checkpoint or packaging or architecture or docs or cli"
COPIED = ("wave_search", "tests", "demo", "recipes", "benchmarks", "scripts", "pyproject.toml", "README.md")


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
    return folder


@dataclass(frozen=True)
class Coverage:
    """What each test executes, and how long it takes."""

    tests: dict[str, dict[str, list[str]]]
    """File -> line -> names of tests."""
    seconds: dict[str, float]

    @classmethod
    def measure(cls, folder: Path) -> Coverage:
        import coverage

        options = ["-q", "-x", "-p", "no:cacheprovider", "--junitxml=junit.xml", "--cov-context=test", "--cov-report="]
        packages = map("--cov={}".format, PACKAGES)
        run = started(folder, "-m", "pytest", *TESTS, "-k", f"not ({UNRELATED})", *options, *packages)
        if run.wait():
            sys.exit("error: the tests fail before anything is changed")
        data = coverage.CoverageData(str(folder / ".coverage"))
        data.read()
        tests = {
            str(Path(file).relative_to(folder)): {
                str(line): sorted({context.split("|")[0] for context in contexts} - {""})
                for line, contexts in data.contexts_by_lineno(file).items()
            }
            for file in data.measured_files()
        }
        cases = ElementTree.parse(folder / "junit.xml").iter("testcase")
        return cls(
            tests, {f"{case.get('classname')}::{case.get('name')}": float(case.get("time", 0)) for case in cases}
        )

    def of(self, mutant: Mutant) -> list[str]:
        """The tests that execute the line; of a constant, those that execute anything of the file. Fast ones first."""
        lines = self.tests.get(str(mutant.path), {})
        found = lines.get(str(mutant.line), []) or sorted({name for names in lines.values() for name in names})
        return sorted(found, key=lambda name: self.seconds.get(name.replace("/", ".").replace(".py::", "::"), 0.0))


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

    def survives(self, mutant: Mutant, tests: Sequence[str]) -> bool:
        if not tests:
            return True  # and no tests to ask the worker for: pytest would run all
        if self._worker is None:
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
            self._worker = started(self.folder, "-m", "tests.mutation.worker", **pipes)
        assert self._worker.stdin is not None
        assert self._worker.stdout is not None
        file = self.folder / mutant.path
        source = file.read_text()
        file.write_text(mutant.code(source))
        try:
            print(json.dumps(tests), file=self._worker.stdin, flush=True)
            return int(self._worker.stdout.readline()) == 0
        finally:
            file.write_text(source)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("--sample", type=int, default=100, help="mutants to try, drawn at random (default: 100)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--limit", type=float, default=0.1, help="share that may survive (default: 0.1)")
    parser.add_argument("--again", action="store_true", help="take the coverage from the run before")
    parser.add_argument("--only", default="", help="files whose path contains this")
    options = parser.parse_args()
    copies: SimpleQueue[Copy] = SimpleQueue()
    first, *others = [Copy(f"copy{number}") for number in range(options.workers)]
    known = WORK / "coverage.json"
    coverage = Coverage(**json.loads(known.read_text())) if options.again else Coverage.measure(first.folder)
    known.write_text(json.dumps(asdict(coverage)))
    for copy in (first, *others):
        copies.put(copy)
    files = [file for package in PACKAGES for file in sorted((CHECKOUT / package).glob("*.py"))]
    every = [
        mutant
        for file in files
        if options.only in str(file)
        for mutant in mutants_of(file.relative_to(CHECKOUT), file.read_text())
    ]
    random.Random(options.seed).shuffle(every)
    drawn = list(islice(filter(compiles, every), options.sample))

    def tried(mutant: Mutant) -> bool:
        copy = copies.get()
        try:
            alive = copy.survives(mutant, coverage.of(mutant))
        finally:
            copies.put(copy)
        print("survived" if alive else "killed  ", mutant, flush=True)
        return alive

    with ThreadPoolExecutor(options.workers) as pool:
        survivors = [mutant for mutant, alive in zip(drawn, pool.map(tried, drawn), strict=True) if alive]
    print(f"{len(survivors)} of {len(drawn)} survived (of {len(every)} in all, seed {options.seed})")
    return int(len(survivors) > options.limit * len(drawn))


if __name__ == "__main__":
    sys.exit(main())
