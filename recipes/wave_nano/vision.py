"""Second stage, pictures: the vision tower learns to say in the space of words what it sees."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F  # noqa: N812 - the usual name
from torch import nn

from recipes.wave_nano.captions import COLOURS, MOTIONS
from recipes.wave_nano.classes import SOUND_WORDS, SOURCES
from recipes.wave_nano.pictures import Pictures, any_size
from recipes.wave_nano.scenes import DURATION_S, SIZES, Scene, random_scene
from recipes.wave_nano.towers import see

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from recipes.wave_nano.materials import Materials
    from wave_search.models.wave.network import Wave

_BATCH = 64
_TEMPERATURE = 0.05
_EASY_STEPS = 1000


class Eye(nn.Module):
    """The model, with readers that are dropped afterwards."""

    def __init__(self, wave: Wave, things: int) -> None:
        super().__init__()
        dim = wave.config.hidden_size
        self.wave = wave
        self.thing = nn.Linear(dim, things)
        self.colour = nn.Linear(dim, len(COLOURS) + 1)
        self.motion = nn.Linear(dim, len(MOTIONS))


class Look:
    """See `loop.Stage`. Trains the vision tower."""

    def __init__(self, wave: Wave, materials: Materials) -> None:
        self._pictures, self._materials = Pictures(materials.sprites), materials
        self._things = self._pictures.things
        self._eye = Eye(wave, len(self._things))
        # What has recordings of its sound is seen twice as often: both sides of a search know it then.
        self._drawn = [*self._things, *[SOURCES[label] for label in SOUND_WORDS]]
        wave.requires_grad_(False)
        wave.visual.requires_grad_(True)

    @property
    def trained(self) -> torch.nn.Module:
        """Model and readers."""
        return self._eye

    def loss(self, rng: np.random.Generator, step: int) -> tuple[torch.Tensor, dict[str, float]]:
        """What is it, which colour, which way? Two frames, one moment to the tower; at first single things."""
        easy = step < _EASY_STEPS
        scenes = [random_scene(rng, self._drawn, walls=0.2 if easy else 0.4) for _ in range(_BATCH)]
        if easy:
            scenes = [replace(scene, count=1) for scene in scenes]
        size = SIZES[0] if easy else any_size(rng)
        start = 1 if easy else int(rng.integers(3))
        return self._judge(scenes, self._pictures.draw(rng, scenes, size, slice(start, start + 2)))

    def _judge(self, scenes: Sequence[Scene], videos: list[NDArray[np.uint8]]) -> tuple[torch.Tensor, dict[str, float]]:
        tokens = torch.stack([feature.tokens for feature in see(self._eye.wave, videos, DURATION_S)]).float()
        moments = tokens.view(len(videos), len(videos[0]) // 2, -1, tokens.shape[-1]).mean(2)
        pooled = moments.mean(1)
        things = torch.tensor([self._things.index(scene.thing) for scene in scenes])
        colours = torch.tensor([COLOURS.index(scene.colour) + 1 if scene.colour else 0 for scene in scenes])
        motions = torch.tensor([list(MOTIONS).index(scene.motion) for scene in scenes])
        named = F.normalize(pooled, dim=-1) @ self._materials.thing_meanings.T / _TEMPERATURE
        coloured, moved = self._eye.colour(pooled), self._eye.motion(moments).mean(1)
        # Things that mean nearly the same are far apart for a reader of its own, which makes the start faster.
        loss = F.cross_entropy(named, things) + F.cross_entropy(self._eye.thing(pooled), things)
        loss = loss + 0.5 * F.cross_entropy(coloured, colours) + 0.5 * F.cross_entropy(moved, motions)
        figures = {
            "thing": _share(named, things),
            "colour": _share(coloured, colours),
            "motion": _share(moved, motions),
        }
        return loss, {"loss": float(loss.detach()), **figures}

    def validate(self) -> dict[str, float]:
        """Nothing beyond the figures of training, whose scenes never repeat; styles are left to the evaluation."""
        return {}


def _share(logits: torch.Tensor, truth: torch.Tensor) -> float:
    return float((logits.argmax(1) == truth).float().mean())
