"""The same as `wave-search train`, without its display: `python -m wave_search.train CONFIG.toml [--stage NAME]`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from wave_search.train import train
from wave_search.train.config import STAGES

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str]) -> None:
    """Run what a configuration describes, from where an earlier run left it."""
    parser = argparse.ArgumentParser(prog="python -m wave_search.train", description="Train or fine-tune a WAVE model.")
    parser.add_argument("config", type=Path)
    parser.add_argument("--stage", choices=STAGES, action="append", help="only this one; all in order otherwise")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    train(options.config, stages=options.stage or (), say=lambda line: print(line, file=sys.stderr))  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1:])
