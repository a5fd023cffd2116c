"""Each stage, with the weights that the stages before it left."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from recipes.wave_nano.architecture import untrained
from recipes.wave_nano.audio import Listen
from recipes.wave_nano.joint import ALL_TASKS, AUDIO_TASKS, Joint
from recipes.wave_nano.materials import teach_tokens
from recipes.wave_nano.text import Words
from recipes.wave_nano.vision import Look
from wave_search.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from recipes.wave_nano.config import TrainConfig
    from recipes.wave_nano.materials import Materials
    from wave_search.finetune.loop import Stage
    from wave_search.models.wave.network import Wave

_EARS = ("audio_tower.", "beats.", "beats_ln.", "beats_proj.")
_NEEDS = {
    "align": {"words": ("model.",), "listen": _EARS},
    "joint": {"align": ("model.", "classify_linear.", *_EARS), "look": ("visual.",)},
}
"""Stage -> the parts of the model that it takes from earlier stages."""


def make_stage(name: str, config: TrainConfig, materials: Materials) -> Stage:
    """Build a stage.

    Args:
        name: one of `config.STAGES`.
        config: of the run.
        materials: of the run.

    Raises:
        UsageError: a stage that it builds on was not run.
    """
    wave = untrained(config.seed)
    for earlier, parts in _NEEDS.get(name, {}).items():
        _take_over(wave, config.directory / earlier / "last.pt", parts)
    match name:
        case "words":
            teach_tokens(wave, materials, config)
            return Words(wave, materials)
        case "listen":
            return Listen(wave, materials)
        case "look":
            return Look(wave, materials)
        case "align":
            return Joint(wave, materials, AUDIO_TASKS)
        case _:
            return Joint(wave, materials, ALL_TASKS)


def _take_over(wave: Wave, checkpoint: Path, parts: tuple[str, ...]) -> None:
    if not checkpoint.is_file():
        raise UsageError(f"{checkpoint}: not there", "Run the earlier stages first.")
    state = torch.load(checkpoint, weights_only=True)["model"]
    own = {key.removeprefix("wave."): value for key, value in state.items()}
    wave.load_state_dict({key: value for key, value in own.items() if key.startswith(parts)}, strict=False)


def unaligned_model(config: TrainConfig) -> Wave:
    """The parts as the stages that need no other left them: decoder, encoders of sound, vision tower."""
    wave = untrained(config.seed)
    for stage, parts in {**_NEEDS["align"], "look": ("visual.",)}.items():
        _take_over(wave, config.directory / stage / "last.pt", parts)
    return wave


def trained_model(config: TrainConfig) -> Wave:
    """The model as the last checkpoint of the joint stage has it."""
    wave = untrained(config.seed)
    _take_over(wave, config.directory / "joint" / "last.pt", ("",))
    return wave.eval().requires_grad_(False)
