"""The command line: train wave-nano, export and evaluate it, and run its ablations.

python -m recipes.wave_nano recipes/wave_nano/nano.toml
python -m recipes.wave_nano export|evaluate|ablate --help
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from recipes.wave_nano.ablate import ablation_table
from recipes.wave_nano.config import STAGES, TrainConfig
from recipes.wave_nano.evaluate import evaluate_model
from recipes.wave_nano.export import export
from recipes.wave_nano.stages import run_stages
from wave_search.errors import WaveSearchError

if TYPE_CHECKING:
    from collections.abc import Sequence

_COMMANDS = ("train", "export", "evaluate", "ablate")
_INTERRUPTED = 130


def parser() -> argparse.ArgumentParser:
    """Return the argument parser."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--threads", type=int, default=torch.get_num_threads(), help="threads of torch")
    program = argparse.ArgumentParser(
        prog="python -m recipes.wave_nano", description="Make wave-nano. CONFIG alone is the same as `train CONFIG`."
    )
    commands = program.add_subparsers(dest="command", required=True, metavar="COMMAND")
    train = commands.add_parser("train", parents=[common], help="run the stages, from their last checkpoints")
    train.add_argument("config", type=Path)
    train.add_argument("--stage", choices=STAGES, action="append", help="run only this stage (default: all in order)")
    exporting = commands.add_parser("export", parents=[common], help="write the model directory of a finished run")
    exporting.add_argument("config", type=Path)
    exporting.add_argument("directory", type=Path)
    evaluate = commands.add_parser("evaluate", parents=[common], help="measure a model on held-out data")
    evaluate.add_argument("model", help="a known model, or the directory of a checkpoint")
    evaluate.add_argument("--media", type=Path, required=True, help="folder of sounds and films with manifest.jsonl")
    evaluate.add_argument("--icons", type=Path, required=True, help="folder with STYLE/icons.json")
    evaluate.add_argument("--photographs", type=Path, required=True, help="folder of one photograph for each class")
    evaluate.add_argument("--fold", type=int, default=4, help="held-out fold of the sounds")
    ablate = commands.add_parser("ablate", parents=[common], help="repeat the ablations of the paper at a small scale")
    ablate.add_argument("config", type=Path)
    ablate.add_argument("--steps", type=int, default=60, help="number of steps per task")
    return program


def main(arguments: Sequence[str]) -> int:
    """Run a command and return the exit code."""
    is_command = bool(arguments) and arguments[0] in (*_COMMANDS, "-h", "--help")
    options = parser().parse_args(arguments if is_command or not arguments else ["train", *arguments])
    torch.set_num_threads(options.threads)
    try:
        match options.command:
            case "export":
                export(TrainConfig.read(options.config), options.directory)
            case "evaluate":
                for line in evaluate_model(
                    options.model, options.media, options.icons, options.photographs, options.fold
                ):
                    print(line, flush=True)
            case "ablate":
                for line in ablation_table(TrainConfig.read(options.config), options.steps):
                    print(line, flush=True)
            case _:
                config = TrainConfig.read(options.config)
                if not run_stages(config, options.stage or (), lambda line: print(line, file=sys.stderr)):
                    return _INTERRUPTED
    except WaveSearchError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
