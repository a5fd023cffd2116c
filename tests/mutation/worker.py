"""Tests one mutant after the other in children of a process that has imported the libraries, but not the package."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import pytest

from tests.fork_server import load_libraries, stop_threads

TIMEOUT_S = 900


def main() -> None:
    """For each list of tests on stdin, print the exit code of pytest."""
    sys.path.insert(0, str(Path.cwd()))
    os.environ["JE_ARROW_MALLOC_CONF"] = "background_thread:false"  # a fork would lose that thread
    load_libraries()
    stop_threads()
    for line in sys.stdin:
        process = os.fork()
        if not process:
            signal.alarm(TIMEOUT_S)
            silent = os.open(os.devnull, os.O_WRONLY)
            os.dup2(silent, 1)
            os.dup2(silent, 2)
            os._exit(int(pytest.main(["-q", "-x", "-p", "no:cacheprovider", *json.loads(line)])))
        print(os.waitpid(process, 0)[1], flush=True)


if __name__ == "__main__":
    main()
