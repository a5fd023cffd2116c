"""A handful of kills; `python -m tests.crash --rounds 1000` does as many as one likes."""

import subprocess
import sys

from tests.conftest import CHECKOUT
from tests.libraries import PACKAGE_PARENT

# The package first: it is the installed one, if these tests run on that.
RUN = f"""
import sys, wave_search
sys.path.insert(0, {str(CHECKOUT)!r})
from tests.crash.__main__ import main
main()
"""


def test_whenever_it_is_killed_nothing_is_lost() -> None:
    rounds = subprocess.run(
        [sys.executable, "-c", RUN, "--steps", "6", "--rounds", "2", "--seed", "3"],
        check=False,
        capture_output=True,
        text=True,
        cwd=PACKAGE_PARENT,
    )
    assert rounds.returncode == 0, rounds.stderr
    assert "at 6 of" in rounds.stdout
