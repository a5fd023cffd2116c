"""Train: `python -m wave_search.train CONFIG.toml [--stage NAME]`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from wave_search.train.config import STAGES, TrainConfig
from wave_search.train.log import Log
from wave_search.train.loop import run
from wave_search.train.materials import prepare
from wave_search.train.stages import make_stage

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str]) -> None:
    """Run the stages of a configuration that are not done yet."""
    parser = argparse.ArgumentParser(prog="python -m wave_search.train", description="Train a small WAVE model.")
    parser.add_argument("config", type=Path)
    parser.add_argument("--stage", choices=STAGES, action="append", help="only this one; all in order otherwise")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    config = TrainConfig.read(options.config)
    materials = prepare(config)
    for name in options.stage or STAGES:
        stage = make_stage(name, config, materials)
        with Log(name, config.directory / name) as log:
            run(stage, config.schedules[name], config.directory / name, config.seed, log.report)


if __name__ == "__main__":
    main(sys.argv[1:])
