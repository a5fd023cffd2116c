"""A handful of kills; `make torture` kills at each step, and a thousand times at random."""

import subprocess

from tests.conftest import CHECKOUT
from tests.fork_server import StandIns

# The package first: it is the installed one, if these tests run on that.
RUN = f"""
import sys, wave_search
sys.path.insert(0, {str(CHECKOUT)!r})
from tests.crash.__main__ import main
main()
"""


def test_whenever_it_is_killed_nothing_is_lost(stand_ins: StandIns) -> None:
    rounds = subprocess.run(
        [stand_ins.python, "-c", RUN, "--steps", "1", "--rounds", "1", "--seed", "3"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert rounds.returncode == 0, rounds.stderr
    assert "at 1 of" in rounds.stdout
