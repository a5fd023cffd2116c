"""`python -m tests.golden DIR`: 0 if everything agrees, 1 if not, 2 if DIR cannot be read."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.golden.folder import Folder
from tests.golden.ledger import Ledger
from tests.golden.run import load, run


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print("usage: python -m tests.golden DIR", file=sys.stderr)
        return 2
    try:
        folder = Folder.open(Path(arguments[0]))
    except Exception as error:  # the generator is a program, and may fail in any way
        print(f"{arguments[0]} is not a folder of golden numbers: {error}", file=sys.stderr)
        return 2
    ledger = Ledger()
    with tempfile.TemporaryDirectory() as directory:
        with ledger.guarded("weights"):
            wave = load(folder, Path(directory), ledger)
        if ledger.faults:
            print(f"FAILED weights: {ledger.faults[0][1]}")
            return 1
        run(folder, wave, ledger, lambda line: print(line, flush=True))
    return 0 if ledger.ok else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
