"""Fine-tuning on the user's own pairs. Importing this does not load torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wave_search.finetune.report import Report

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from wave_search.reports import TrainingCallback

__all__ = ["Report", "train"]


def train(
    config: Path,
    *,
    device: str = "auto",
    progress: TrainingCallback = lambda _: None,
    status: Callable[[str], None] = lambda _: None,
) -> Report | None:
    """Fine-tune a model according to a TOML file, or resume an earlier run of it.

    Args:
        config: TOML file with a table `[finetune]`, see `Settings`. Paths in it are relative to the current directory.
        device: "auto" (CUDA where there is one), "cpu", "cuda" or "cuda:N". Each of several processes started by
            `accelerate launch` uses its own device.
        progress: called with the progress, in the first process.
        status: called with occasional status lines, in the first process.

    Returns:
        The report, or None in all processes but the first.

    Raises:
        UsageError: the configuration is not valid or does not match the data, or a package of the extra `train` is
            missing.
        DatasetError: a file of pairs cannot be read.
        ModelError: the model cannot be loaded, is too large for the device, or training it fails.
        MediaError: a file that passed the check before training cannot be read.
    """
    from wave_search.finetune.settings import Settings

    settings = Settings.read(config)
    from wave_search.finetune.distributed import ProcessGroup
    from wave_search.finetune.run import fine_tune

    group = ProcessGroup(device)
    if group.rank:
        fine_tune(settings, group, lambda _: None, lambda _: None)
        return None
    return fine_tune(settings, group, progress, status)
