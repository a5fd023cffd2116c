"""The command; see the package."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from tests.conftest import CHECKOUT, PACKAGE_PARENT
from tests.fork_server import load
from tests.hostile.report import Tally, kill_writers, publish, summary
from tests.hostile.trials import BLOCK, Trials

KEPT = CHECKOUT / "build" / "hostile"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.hostile")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--inputs", type=int, default=200, help="how many inputs (default: 200)")
    parser.add_argument("--first", type=int, default=0, help="number of the first input (default: 0)")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no new block after this time")
    parser.add_argument("--patience", type=float, default=60.0, help="seconds after which an input hangs (default: 60)")
    parser.add_argument("--kills", type=int, default=0, help="kills of writers at random moments (default: 0)")
    parser.add_argument("--families", default="", help="only these, separated by commas")
    parser.add_argument("--publish", type=Path, help="write the result into this file, such as benchmarks/RESULTS.md")
    options = parser.parse_args()
    began_s = time.monotonic()
    root = Path(tempfile.mkdtemp(prefix="hostile-"))
    load(str(PACKAGE_PARENT))  # once, for all processes that are forked
    tally = Tally(options.seed)
    trials = Trials(root, KEPT, options.seed, options.patience, frozenset(filter(None, options.families.split(","))))
    last = options.first + options.inputs
    beside = ProcessPoolExecutor(1, get_context("fork"))
    kills = beside.submit(kill_writers, options.seed, options.kills)
    for first in range(options.first, last, BLOCK):
        if time.monotonic() - began_s > options.minutes * 60:
            break
        for judgement in trials.block(range(first, min(first + BLOCK, last)), tally):
            tally.add(judgement)
        print(tally.line(time.monotonic() - began_s), file=sys.stderr, flush=True)
    tally.killed, violations = kills.result()
    beside.shutdown()
    tally.violations += violations
    tally.elapsed_s = time.monotonic() - began_s
    shutil.rmtree(root, ignore_errors=True)
    print(summary(tally))
    if options.publish:
        publish(options.publish, tally)
    return int(bool(tally.violations))


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # as the fork server does: the end of Python releases all modules, which takes seconds
