"""Tests one mutant after the other in children of a process that has imported the libraries, but not the package."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import pytest

from tests.fork_server import keep_for_forks, load_libraries

TIMEOUT_S = 900


class FirstFailure:
    """Writes the name of the test that fails first into a file, or of a file of tests that cannot be imported."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def pytest_runtest_logreport(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if report.failed and not self._file.exists():
            self._file.write_text(report.nodeid)

    pytest_collectreport = pytest_runtest_logreport


def main() -> None:
    """For each list of tests on stdin, print which failed first, null if all pass."""
    sys.path.insert(0, str(Path.cwd()))
    os.environ["JE_ARROW_MALLOC_CONF"] = "background_thread:false"  # a fork would lose that thread
    load_libraries()
    keep_for_forks()
    file = Path.cwd() / "first-failure"
    for line in sys.stdin:
        file.unlink(missing_ok=True)
        process = os.fork()
        if not process:
            signal.alarm(TIMEOUT_S)
            silent = os.open(os.devnull, os.O_WRONLY)
            os.dup2(silent, 1)
            os.dup2(silent, 2)
            options = ["-q", "-x", "-p", "no:cacheprovider"]
            os._exit(int(pytest.main([*options, *json.loads(line)], plugins=[FirstFailure(file)])))
        status = os.waitpid(process, 0)[1]
        cause = file.read_text() if file.exists() else f"ended with status {status}"
        print(json.dumps(cause if status else None), flush=True)


if __name__ == "__main__":
    main()
