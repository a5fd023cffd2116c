"""Rows of the evaluation, and what they are computed with. Everything is embedded as in searches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recipes.wave_nano.sounds import RATE_HZ
from wave_search.evaluation.metrics import figure, similarity_figures
from wave_search.types import Clip, Modality, Waveform

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from recipes.wave_nano.sounds import Sound
    from wave_search.models import Embedder

_AT_ONCE = 32
"""Clips that are embedded in one call, which bounds the memory for their tokens."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    task: str
    values: NDArray[np.float64]
    """(queries,): the figure is their mean, and its interval comes from resampling them."""
    goal: str
    """At least this, unless it says otherwise; empty if there is none."""
    chance: float | None = None

    def line(self) -> str:
        """Return the line in Markdown."""
        mean = figure(self.task, np.asarray(self.values, np.float64))
        chance = "" if self.chance is None else f"{self.chance:.3f}"
        interval = f"{mean.low:.3f} to {mean.high:.3f}" if len(self.values) > 1 else ""
        return f"| {self.task} | {mean.value:.3f} | {interval} | {len(self.values)} | {self.goal} | {chance} |"


HEADER = ("| task | figure | 95 % interval | queries | goal | chance |", "|---|---|---|---|---|---|")


def embed(embedder: Embedder, clips: Sequence[Clip], modality: Modality) -> NDArray[np.float32]:
    """Embed clips with the default prompt: (clips, dim)."""
    groups = [clips[at : at + _AT_ONCE] for at in range(0, len(clips), _AT_ONCE)]
    return np.stack([vectors[modality] for group in groups for vectors in embedder.embed(group, [modality])])


def texts(embedder: Embedder, wordings: Sequence[str]) -> NDArray[np.float32]:
    """Embed texts: (texts, dim)."""
    return embed(embedder, [Clip(text=text) for text in wordings], Modality.TEXT)


def sound_clip(sound: Sound) -> Clip:
    """Return a recording as a clip."""
    return Clip(waveform=Waveform(sound.samples, RATE_HZ))


def metric(name: str, similarities: NDArray[np.float32], relevant: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return a metric of `similarity_figures` for each query."""
    return similarity_figures(similarities, relevant)[name]


def nearest(similarities: NDArray[np.float32], truth: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return (queries,), 1 where the largest entry is the true one."""
    return np.asarray(similarities.argmax(axis=1) == truth, np.float64)


def answered(
    embedder: Embedder, clips: Sequence[Clip], asked: Sequence[tuple[str | None, Sequence[str]]]
) -> NDArray[np.float64]:
    """Return (questions,), 1 where the right answer is nearest.

    Args:
        embedder: the model.
        clips: frames with sound.
        asked: for each clip the instruction, None for the default prompt, and the answers, the right one first.
    """
    right = []
    for clip, (instruction, answers) in zip(clips, asked, strict=True):
        vector = embedder.embed([clip], [Modality.AV], instruction)[0][Modality.AV]
        right.append(float((texts(embedder, answers) @ vector).argmax() == 0))
    return np.array(right)
