"""Training by WAVE's recipe, and fine-tuning. Importing this loads no torch."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

from wave_search.errors import UsageError
from wave_search.train.finetune.settings import Settings, not_a_configuration
from wave_search.train.report import LeftOut, Report

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from wave_search.reports import TrainingCallback

__all__ = ["LeftOut", "Report", "train"]


def train(
    config: Path,
    *,
    stages: Sequence[str] = (),
    device: str = "auto",
    watch: TrainingCallback = lambda _: None,
    say: Callable[[str], None] = lambda _: None,
) -> Report | None:
    """Run what a TOML file describes, from where an earlier run left it.

    Args:
        config: with a table `[finetune]`, or the stages of a recipe as in `nano.toml`. Paths in it are relative to the
            current directory.
        stages: of a recipe: run only these.
        device: of a fine-tuning: "auto" (CUDA where there is one), "cpu", "cuda" or "cuda:N". Where `accelerate launch`
            has started several processes, each takes its own.
        watch: is called with how it goes on, in the first process.
        say: takes a line for people now and then, in the first process.

    Returns:
        What was done; None in all processes but the first.

    Raises:
        UsageError: the configuration or the data make no sense, or a package of the extra `train` is missing.
        ModelError: the model cannot be loaded, is too large for the device, or training it fails.
        MediaError: a file that was good cannot be read any more.
    """
    try:
        content = tomllib.loads(config.read_text(encoding="utf-8"))
        settings = Settings.from_dict(content["finetune"]) if "finetune" in content else None
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise not_a_configuration(config, getattr(error, "strerror", None) or error) from error
    if settings is None:
        return _recipe(config, stages, device, watch, say)
    if stages:
        raise UsageError("a fine-tuning has no stages", "Leave --stage out.")
    from wave_search.train.finetune.run import fine_tune
    from wave_search.train.team import join_team

    team = join_team(device)
    if team.rank:
        fine_tune(settings, team, lambda _: None, lambda _: None)
        return None
    return fine_tune(settings, team, watch, say)


def _recipe(
    config: Path, stages: Sequence[str], device: str, watch: TrainingCallback, say: Callable[[str], None]
) -> Report:
    from wave_search.train.config import STAGES, TrainConfig
    from wave_search.train.recipe import run_stages

    if device not in ("auto", "cpu"):
        raise UsageError("the recipe of wave-nano runs on the CPU", "Leave --device out.")
    unknown = [name for name in stages if name not in STAGES]
    if unknown:
        raise UsageError(f"there is no stage {unknown[0]}", f"There are {', '.join(STAGES)}.")
    return run_stages(TrainConfig.read(config), stages, watch, say)
