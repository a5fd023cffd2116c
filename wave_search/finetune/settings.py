"""The settings of a fine-tuning run: the table `[finetune]` of a TOML file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from wave_search.files import read_toml
from wave_search.types import Dtype

QUESTIONS = "questions"
"""Name of the task of multiple-choice questions. Other tasks are named by their modalities, such as "text_audio"."""
_DEFAULT_EPOCHS = 1
_REMEDY = "docs/guide/fine-tuning.md describes the configuration."
_Positive = Annotated[float, Meta(gt=0, le=sys.float_info.max)]
_AtLeastOne = Annotated[int, Meta(ge=1)]
_Layer = Literal["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


class Lora(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Low-rank adaptation of the decoder. The defaults are those of WAVE's published training."""

    rank: _AtLeastOne = 128
    alpha: _AtLeastOne = 256
    """The output of the adapters is scaled by alpha / rank."""
    dropout: Annotated[float, Meta(ge=0, lt=1)] = 0.05
    targets: Annotated[tuple[_Layer, ...], Meta(min_length=1)] = ("q_proj", "k_proj", "v_proj")
    """Linear layers to adapt in each layer of the decoder."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of one fine-tuning run."""

    model: str
    """Base model: a name, a directory, or a hub id, as for an index."""
    directory: Path
    """Directory for all files of the run; the finished model is in its subdirectory `model`."""
    pairs: Annotated[tuple[Path, ...], Meta(min_length=1)]
    """Files of training data, JSON or CSV."""
    validation: tuple[Path, ...] = ()
    """Files of validation pairs."""
    tasks: tuple[str, ...] = ()
    """Tasks of the data to train on, such as "text_audio" or "questions"; all if empty."""
    epochs: _Positive | None = None
    """Number of times that each pair is used. Excludes `steps`; 1 if neither is given."""
    steps: _AtLeastOne | None = None
    batch: Annotated[int, Meta(ge=2)] = 8
    """Number of pairs per step over all processes. The other pairs of a batch are the negatives of a pair."""
    learning_rate: _Positive = 2e-5
    temperature: _Positive = 0.01
    """Temperature that cosines are divided by."""
    checkpoint_every: _AtLeastOne = 100
    """Steps between checkpoints; each is followed by a validation."""
    dtype: Dtype = "auto"
    """Dtype of the frozen weights; "auto" keeps the stored one."""
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0
    lora: Lora = Lora()

    def __post_init__(self) -> None:
        if self.epochs is not None and self.steps is not None:
            raise ValueError("epochs and steps exclude each other")

    def steps_of(self, epoch_steps: int) -> int:
        """Return the number of steps of the whole run, given the number per epoch."""
        return self.steps or max(1, round((self.epochs or _DEFAULT_EPOCHS) * epoch_steps))

    @classmethod
    def read(cls, path: Path) -> Settings:
        """Read a configuration file. Paths in it are relative to the current directory.

        Raises:
            UsageError: the file cannot be read, or a key is missing, unknown or has a wrong value.
        """
        return read_toml(path, cls, _REMEDY, "finetune")
