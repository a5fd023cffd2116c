"""The same as `wave-search train`, without its display: `python -m wave_search.finetune CONFIG.toml [--stage NAME]`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from recipes.wave_nano.config import STAGES, TrainConfig
from recipes.wave_nano.recipe import run_stages

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str]) -> None:
    """Run what a configuration describes, from where an earlier run left it."""
    parser = argparse.ArgumentParser(prog="python -m recipes.wave_nano", description="Train wave-nano.")
    parser.add_argument("config", type=Path)
    parser.add_argument("--stage", choices=STAGES, action="append", help="only this one; all in order otherwise")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    run_stages(
        TrainConfig.read(options.config),
        options.stage or (),
        watch=lambda _: None,
        say=lambda line: print(line, file=sys.stderr),
    )


if __name__ == "__main__":
    main(sys.argv[1:])
