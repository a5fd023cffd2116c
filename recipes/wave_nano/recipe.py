"""The recipe of wave-nano: its stages, one after the other, each gone on with where it was left."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from recipes.wave_nano.config import STAGES
from recipes.wave_nano.materials import prepare
from recipes.wave_nano.stages import make_stage
from wave_search.finetune.interrupt import Interrupt
from wave_search.finetune.log import Log
from wave_search.finetune.loop import run
from wave_search.finetune.report import Report
from wave_search.reports import Training

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from recipes.wave_nano.config import TrainConfig
    from wave_search.finetune.loop import Progress
    from wave_search.reports import TrainingCallback


def run_stages(
    config: TrainConfig, stages: Sequence[str], watch: TrainingCallback, say: Callable[[str], None]
) -> Report:
    """Run stages that are not done yet.

    Args:
        config: of the run.
        stages: which; all in order if empty.
        watch: is called with how it goes on.
        say: takes a line for people now and then.

    Raises:
        UsageError: a stage that one builds on was not run.
    """
    started = time.monotonic()
    watch(Training("preparing", 0, 0))
    materials = prepare(config)
    wanted = [name for name in STAGES if name in stages or not stages]
    done = 0
    with Interrupt(say) as interrupt:
        for name in wanted:
            schedule, directory = config.schedules[name], config.directory / name
            with Log(name, directory, say) as log:

                def report(progress: Progress, name: str = name, log: Log = log) -> None:
                    log.report(progress)
                    watch(Training(name, progress.steps, progress.step, progress.figures))

                stage_done = run(
                    make_stage(name, config, materials), schedule, directory, config.seed, report, stop=interrupt
                )
            done += stage_done
            if stage_done < schedule.steps:
                break
    steps = sum(config.schedules[name].steps for name in wanted)
    return Report(config.directory, steps, done, time.monotonic() - started, interrupted=done < steps)
