"""Which lines of the packages each test executes. Measured again only for tests that have changed, or after a change of
the packages.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tests.mutation.mutants import Mutant

TESTS = ("tests/unit", "tests/integration")
UNRELATED = (
    *("architecture", "checkpoint", "cli", "docs", "finetune", "golden", "media", "model", "packaging", "tokenizer"),
    *("tower", "train", "fork_server", "hostile", "nano", "quantize", "replicas", "silence"),
)
"""Parts of the names of test files that execute none of the packages, or do so in other processes."""
STARTED_BY = {"wave_search/store/sql_worker.py": "wave_search/store/sql_filter.py"}
"""What runs in another process, where it is not measured, and what starts it: the tests of the latter test both."""


@dataclass(frozen=True)
class Executed:
    """What each test executes, and how long it takes."""

    files: dict[str, Any]
    """Test file -> digest, and per test: seconds, and the lines it executes of each source."""

    @classmethod
    def measure(cls, folder: Path, packages: Sequence[str], known: Path) -> Executed:
        """Measure in a copy of the checkout what `known` does not contain, and write it there."""
        every = [file for part in TESTS for file in sorted((folder / part).glob("test_*.py"))]
        tests = [file for file in every if not any(word in file.stem for word in UNRELATED)]
        sources = [file for package in packages for file in sorted((folder / package).glob("*.py"))]
        shared = digest([*sources, *sorted((folder / "tests").glob("*.py")), folder / TESTS[1] / "conftest.py"])
        digests = {str(file.relative_to(folder)): shared + digest([file]) for file in tests}
        files = json.loads(known.read_text()) if known.exists() else {}
        files = {name: file for name, file in files.items() if file["digest"] == digests.get(name)}
        changed = [name for name in digests if name not in files]
        if changed:
            measured = executed_by(changed, folder, packages)
            files |= {name: {"digest": digests[name], "tests": measured.get(name, {})} for name in changed}
            known.write_text(json.dumps(files))
        return cls(files)

    def by(self, mutant: Mutant, budget_s: float) -> list[list[str]]:
        """The tests that execute the line, per file; of a constant, those that execute anything of its file.

        Cheap files, and their fast tests, come first. They share the budget: of expensive files the slow tests are
        left out, never all.
        """
        source = STARTED_BY.get(str(mutant.path), str(mutant.path))
        chosen = {
            name: {
                test: (seconds, lines[source]) for test, (seconds, lines) in file["tests"].items() if source in lines
            }
            for name, file in self.files.items()
        }
        of_line = {
            name: {test: values for test, values in tests.items() if mutant.line in values[1]}
            for name, tests in chosen.items()
        }
        found = of_line if source == str(mutant.path) and any(of_line.values()) else chosen
        files = [sorted((seconds, test) for test, (seconds, _) in tests.items()) for tests in found.values() if tests]
        files.sort(key=lambda tests: sum(seconds for seconds, _ in tests))
        groups = []
        for number, tests in enumerate(files):
            ends = list(accumulate(seconds for seconds, _ in tests))
            kept = max(bisect_right(ends, budget_s / (len(files) - number)), 1)
            groups.append([test for _, test in tests[:kept]])
            budget_s -= ends[kept - 1]
        return groups


def digest(files: Iterable[Path]) -> str:
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def executed_by(tests: Sequence[str], folder: Path, packages: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Test file -> test -> its seconds, and the lines it executes of each source."""
    import coverage

    options = ["-q", "-x", "-p", "no:cacheprovider", "--junitxml=junit.xml", "--cov-context=test", "--cov-report="]
    command = [sys.executable, "-m", "pytest", *tests, *options, *map("--cov={}".format, packages)]
    if subprocess.run(command, check=False, cwd=folder).returncode:
        sys.exit("error: the tests fail before anything is changed")
    data = coverage.CoverageData(str(folder / ".coverage"))
    data.read()
    lines: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for source in data.measured_files():
        for line, contexts in data.contexts_by_lineno(source).items():
            for test in {context.rpartition("|")[0] for context in contexts} - {""}:
                lines[test][str(Path(source).relative_to(folder))].append(line)
    cases = ElementTree.parse(folder / "junit.xml").iter("testcase")
    seconds = {f"{case.get('classname')}::{case.get('name')}": float(case.get("time", 0)) for case in cases}
    measured: dict[str, dict[str, Any]] = defaultdict(dict)
    for test, executed in lines.items():
        file, _, name = test.partition("::")
        key = f"{file.removesuffix('.py').replace('/', '.')}::{name}"
        measured[file][test] = [seconds.get(key, 0.0), executed]
    return measured
