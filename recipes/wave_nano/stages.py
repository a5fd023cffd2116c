"""The stages in order: each starts with the weights of earlier stages, and resumes at its checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from recipes.wave_nano.architecture import untrained
from recipes.wave_nano.audio import AudioStage
from recipes.wave_nano.config import STAGES
from recipes.wave_nano.joint import ALL_TASKS, AUDIO_TASKS, JointStage
from recipes.wave_nano.materials import prepare, teach_labels, teach_sound_labels, teach_tokens
from recipes.wave_nano.text import TextStage
from recipes.wave_nano.vision import VisionStage
from wave_search.errors import UsageError
from wave_search.finetune.distributed import ProcessGroup
from wave_search.finetune.loop import CHECKPOINT, Interrupt, Log, run

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from recipes.wave_nano.config import TrainConfig
    from recipes.wave_nano.materials import Materials
    from wave_search.finetune.loop import Stage
    from wave_search.models.wave.network import Wave

_AUDIO_ENCODERS = ("audio_tower.", "sound_classifier.")
_NEEDS = {
    "align": {"text": ("model.",), "audio": _AUDIO_ENCODERS},
    "joint": {"align": ("model.", "classify_linear.", *_AUDIO_ENCODERS), "vision": ("visual.",)},
}
"""Stage -> earlier stage -> prefixes of the weights to load from it."""


def run_stages(config: TrainConfig, stages: Sequence[str], status: Callable[[str], None]) -> bool:
    """Run the stages that are not finished yet.

    Args:
        config: of the run.
        stages: stages to run; all in order if empty.
        status: called with occasional status lines.

    Returns:
        Whether all of them are finished; False after Ctrl-C.

    Raises:
        UsageError: a stage that one depends on was not run.
    """
    materials = prepare(config)
    with Interrupt(status) as interrupt:
        for name in [name for name in STAGES if name in stages or not stages]:
            schedule, directory = config.schedule(name), config.directory / name
            stage = make_stage(name, config, materials)
            with Log(name, directory, status) as log:
                done = run(
                    stage, schedule, directory, config.seed, log.report, stop=interrupt, group=ProcessGroup("cpu")
                )
            if done < schedule.steps:
                return False
    return True


def make_stage(name: str, config: TrainConfig, materials: Materials) -> Stage:
    """Build a stage.

    Args:
        name: one of `config.STAGES`.
        config: of the run.
        materials: of the run.

    Raises:
        UsageError: a stage that it depends on was not run.
    """
    wave = untrained(config.seed)
    for earlier, parts in _NEEDS.get(name, {}).items():
        _load_parts(wave, config.directory / earlier / CHECKPOINT, parts)
    match name:
        case "text":
            teach_tokens(wave, materials, config)
            return TextStage(wave, materials)
        case "audio":
            teach_sound_labels(wave, materials)
            return AudioStage(wave, materials)
        case "vision":
            return VisionStage(wave, materials)
        case "align":
            return JointStage(wave, materials, AUDIO_TASKS)
        case _:
            teach_labels(wave, materials)
            return JointStage(wave, materials, ALL_TASKS)


def unaligned_model(config: TrainConfig) -> Wave:
    """Return the model after the independent stages: decoder, audio encoders, vision tower."""
    wave = untrained(config.seed)
    for stage, parts in {**_NEEDS["align"], "vision": ("visual.",)}.items():
        _load_parts(wave, config.directory / stage / CHECKPOINT, parts)
    return wave


def trained_model(config: TrainConfig) -> Wave:
    """Return the model of the last checkpoint of the joint stage."""
    wave = untrained(config.seed)
    _load_parts(wave, config.directory / "joint" / CHECKPOINT, ("",))
    return wave.eval().requires_grad_(False)


def _load_parts(wave: Wave, checkpoint: Path, parts: tuple[str, ...]) -> None:
    if not checkpoint.is_file():
        raise UsageError(f"{checkpoint}: no such checkpoint", "Run the earlier stages first.")
    state = torch.load(checkpoint, weights_only=True)["model"]
    weights = {key.removeprefix("wave."): value for key, value in state.items()}
    wave.load_state_dict({key: value for key, value in weights.items() if key.startswith(parts)}, strict=False)
