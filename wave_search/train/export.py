"""The checkpoint directory of a finished run: `python -m wave_search.train.export CONFIG.toml DIRECTORY`."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from wave_search.model.saving import save_wave
from wave_search.train.config import TrainConfig
from wave_search.train.stages import trained_model


def export(config: TrainConfig, directory: Path) -> None:
    """Write configuration, tokenizer and weights; these in half precision, which halves the package.

    Args:
        config: of a run whose stages are done.
        directory: must not hold weights yet.
    """
    save_wave(trained_model(config).half(), directory)
    shutil.copyfile(config.directory / "tokenizer.json", directory / "tokenizer.json")


if __name__ == "__main__":
    export(TrainConfig.read(Path(sys.argv[1])), Path(sys.argv[2]))
