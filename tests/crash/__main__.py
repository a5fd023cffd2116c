"""The command; see the package."""

import argparse
import random
import shutil
import tempfile
import time
from pathlib import Path

from tests.crash.library import plan
from tests.crash.rounds import Rounds


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.crash")
    parser.add_argument("--rounds", type=int, default=20, help="kills at random times")
    parser.add_argument("--steps", type=int, default=0, help="kills at named steps; -1 for all that there are")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    memory = Path("/dev/shm")  # noqa: S108 - bringing data to a real disk would take nearly all of the time
    workplace = Path(tempfile.mkdtemp(prefix="crash-", dir=memory if memory.is_dir() else None))
    chance = random.Random(options.seed)
    rounds = Rounds(workplace)
    began_s = time.monotonic()
    operations = plan(options.seed)
    moments = range(1, rounds.count_moments(operations) + 1)
    chosen = moments if options.steps < 0 else sorted(chance.sample(moments, options.steps))
    for moment in chosen:
        rounds.at_moment(operations, moment)
    for number in range(options.rounds):
        seed = options.seed + number
        try:
            rounds.at_random(plan(seed), chance)
        except AssertionError as error:
            raise SystemExit(f"round {number}, plan {seed}: {error}") from error
    shutil.rmtree(workplace)
    print(
        f"killed {rounds.killed} times in {time.monotonic() - began_s:.0f} s: at {len(chosen)} of {len(moments)} "
        f"moments before and after named steps, and at random in {options.rounds} rounds. Nothing was lost."
    )


if __name__ == "__main__":
    main()
