"""Fine-tuning on pairs of the user's own. Importing this loads no torch."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

from wave_search.finetune.report import LeftOut, Report
from wave_search.finetune.settings import Settings, not_a_configuration

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from wave_search.reports import TrainingCallback

__all__ = ["LeftOut", "Report", "train"]


def train(
    config: Path,
    *,
    device: str = "auto",
    watch: TrainingCallback = lambda _: None,
    say: Callable[[str], None] = lambda _: None,
) -> Report | None:
    """Run what a TOML file describes, from where an earlier run left it.

    Args:
        config: with a table `[finetune]`. Paths in it are relative to the current directory.
        device: "auto" (CUDA where there is one), "cpu", "cuda" or "cuda:N". Where `accelerate launch`
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
        settings = Settings.from_dict(content["finetune"])
    except KeyError:
        raise not_a_configuration(config, "it has no table [finetune]") from None
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise not_a_configuration(config, getattr(error, "strerror", None) or error) from error
    from wave_search.finetune.distributed import join_team
    from wave_search.finetune.run import fine_tune

    team = join_team(device)
    if team.rank:
        fine_tune(settings, team, lambda _: None, lambda _: None)
        return None
    return fine_tune(settings, team, watch, say)
