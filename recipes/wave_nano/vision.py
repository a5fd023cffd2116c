"""Stage `vision`: the vision tower learns to classify scenes in the space of the teacher's vectors."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F  # noqa: N812 - the usual name
from torch import nn

from recipes.wave_nano.classes import SOUND_WORDS, SOURCES
from recipes.wave_nano.dense import tower_tokens
from recipes.wave_nano.scenes import COLOURS, MOTIONS, SIZES, Pictures, Scene, any_size, random_scene

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from recipes.wave_nano.materials import Materials
    from wave_search.models.wave.network import Wave

_BATCH = 64
_TEMPERATURE = 0.05
_EASY_STEPS = 1000


class Classifiers(nn.Module):
    """The model with linear classifiers, which are discarded after training."""

    def __init__(self, wave: Wave, subjects: int) -> None:
        super().__init__()
        dim = wave.config.hidden_size
        self.wave = wave
        self.subject = nn.Linear(dim, subjects)
        self.colour = nn.Linear(dim, len(COLOURS) + 1)
        self.motion = nn.Linear(dim, len(MOTIONS))


class VisionStage:
    """See `loop.Stage`. Trains the vision tower."""

    def __init__(self, wave: Wave, materials: Materials) -> None:
        self._pictures, self._materials = Pictures(materials.sprites), materials
        self._subjects = self._pictures.subjects
        self._heads = Classifiers(wave, len(self._subjects))
        # Subjects with recordings of their sound are drawn twice as often, because they are also searched for by sound.
        self._drawn = [*self._subjects, *[SOURCES[label] for label in SOUND_WORDS]]
        wave.requires_grad_(False)
        wave.visual.requires_grad_(True)

    @property
    def trained(self) -> torch.nn.Module:
        """Model and classifiers."""
        return self._heads

    def loss(self, rng: np.random.Generator, step: int) -> tuple[torch.Tensor, dict[str, float]]:
        """Classify subject, colour and motion in two frames, one step of the tower; initially only single subjects."""
        easy = step < _EASY_STEPS
        scenes = [random_scene(rng, self._drawn, walls=0.2 if easy else 0.4) for _ in range(_BATCH)]
        if easy:
            scenes = [replace(scene, count=1) for scene in scenes]
        size = SIZES[0] if easy else any_size(rng)
        start = 1 if easy else int(rng.integers(3))
        return self._judge(scenes, self._pictures.draw(rng, scenes, size, slice(start, start + 2)))

    def _judge(self, scenes: Sequence[Scene], videos: list[NDArray[np.uint8]]) -> tuple[torch.Tensor, dict[str, float]]:
        moments = tower_tokens(self._heads.wave, videos).float().mean(2)
        pooled = moments.mean(1)
        subjects = torch.tensor([self._subjects.index(scene.subject) for scene in scenes])
        colours = torch.tensor([COLOURS.index(scene.colour) + 1 if scene.colour else 0 for scene in scenes])
        motions = torch.tensor([MOTIONS.index(scene.motion) for scene in scenes])
        named = F.normalize(pooled, dim=-1) @ self._materials.subject_meanings.T / _TEMPERATURE
        coloured, moved = self._heads.colour(pooled), self._heads.motion(moments).mean(1)
        # A linear classifier separates subjects of similar meaning well, which speeds up the beginning.
        loss = F.cross_entropy(named, subjects) + F.cross_entropy(self._heads.subject(pooled), subjects)
        loss = loss + 0.5 * F.cross_entropy(coloured, colours) + 0.5 * F.cross_entropy(moved, motions)
        figures = {
            "subject": _share(named, subjects),
            "colour": _share(coloured, colours),
            "motion": _share(moved, motions),
        }
        return loss, {"loss": float(loss.detach()), **figures}

    def validate(self) -> dict[str, float]:
        """Return no metrics: training scenes never repeat, and other styles are left to the evaluation."""
        return {}


def _share(logits: torch.Tensor, truth: torch.Tensor) -> float:
    return float((logits.argmax(1) == truth).float().mean())
