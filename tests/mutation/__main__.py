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
from itertools import islice
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING

from tests.mutation.mutants import Mutant, mutants_of

if TYPE_CHECKING:
    from collections.abc import Sequence

CHECKOUT = Path(__file__).resolve().parents[2]
WORK = CHECKOUT / "build" / "mutation"
PACKAGES = ("wave_search/store", "wave_search/ann", "wave_search/query")
TESTS = ("tests/unit", "tests/integration")
UNRELATED = "finetune or train or golden or media or checkpoint or packaging or architecture or docs or cli"
TIMEOUT_S = 900
COPIED = ("wave_search", "tests", "demo", "recipes", "benchmarks", "scripts", "pyproject.toml", "README.md")


def pytest(folder: Path, *arguments: str, timeout_s: float | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        command, check=False, cwd=folder, env=environment, capture_output=True, text=True, timeout=timeout_s
    )


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


def coverage_of(folder: Path) -> dict[str, dict[str, list[str]]]:
    """For each file the tests that execute each line, as pytest names them."""
    import coverage

    measured = pytest(
        folder, *TESTS, "-k", f"not ({UNRELATED})", *map("--cov={}".format, PACKAGES), "--cov-context=test"
    )
    if measured.returncode:
        sys.exit(f"error: the tests fail before anything is changed:\n{measured.stdout[-3000:]}")
    data = coverage.CoverageData(str(folder / ".coverage"))
    data.read()
    return {
        str(Path(file).relative_to(folder)): {
            str(line): sorted({context.split("|")[0] for context in contexts} - {""})
            for line, contexts in data.contexts_by_lineno(file).items()
        }
        for file in data.measured_files()
    }


def tests_of(mutant: Mutant, coverage: dict[str, dict[str, list[str]]]) -> list[str]:
    """Those that execute the line; of a constant, those that execute anything of the file. Unit tests first."""
    lines = coverage.get(str(mutant.path), {})
    found = lines.get(str(mutant.line), []) or sorted({name for names in lines.values() for name in names})
    return sorted(found, key=lambda name: ("integration" in name, name))


def compiles(mutant: Mutant) -> bool:
    try:
        compile(mutant.code((CHECKOUT / mutant.path).read_text()), mutant.path, "exec")
    except (SyntaxError, AttributeError):  # the latter from an operator that does not know all forms of `except`
        return False
    return True


def survives(mutant: Mutant, tests: Sequence[str], folder: Path) -> bool:
    file = folder / mutant.path
    source = file.read_text()
    file.write_text(mutant.code(source))
    try:
        return not tests or pytest(folder, *tests, timeout_s=TIMEOUT_S).returncode == 0
    except subprocess.TimeoutExpired:
        return False
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
    folders: SimpleQueue[Path] = SimpleQueue()
    first, *others = [copy_of(f"copy{number}") for number in range(options.workers)]
    known = WORK / "coverage.json"
    coverage = json.loads(known.read_text()) if options.again else coverage_of(first)
    known.write_text(json.dumps(coverage))
    for folder in (first, *others):
        folders.put(folder)
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
        folder = folders.get()
        try:
            alive = survives(mutant, tests_of(mutant, coverage), folder)
        finally:
            folders.put(folder)
        print("survived" if alive else "killed  ", mutant, flush=True)
        return alive

    with ThreadPoolExecutor(options.workers) as pool:
        survivors = [mutant for mutant, alive in zip(drawn, pool.map(tried, drawn), strict=True) if alive]
    print(f"{len(survivors)} of {len(drawn)} survived (of {len(every)} in all, seed {options.seed})")
    return int(len(survivors) > options.limit * len(drawn))


if __name__ == "__main__":
    sys.exit(main())
