"""Hostile inputs of each family, the fewest that include all; `make torture` tries ten thousand."""

import subprocess

import pytest

from tests.conftest import CHECKOUT
from tests.fork_server import StandIns

# The package first: it is the installed one, if these tests run on that.
RUN = f"""
import sys, wave_search
sys.path.insert(0, {str(CHECKOUT)!r})
from tests.forked_workers import start_workers_with
from wave_search.processes import start_python
start_workers_with(start_python)  # decoders as children, which are found and killed
from tests.hostile.__main__ import main
import os
os.sched_getaffinity = lambda process: {{0}}  # a decoder is enough for few inputs, and takes 0.3 s to start
sys.exit(main())
"""


@pytest.fixture
def hostile(stand_ins: StandIns):
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [stand_ins.python, "-c", RUN, *arguments]
        return subprocess.run(command, check=False, capture_output=True, text=True)

    return run


def test_whatever_the_inputs_are_each_is_used_or_refused_with_a_cause(hostile):
    run = hostile("--seed", "10", "--inputs", "10")
    assert run.returncode == 0, run.stdout + run.stderr
    assert "10 tried" in run.stdout
