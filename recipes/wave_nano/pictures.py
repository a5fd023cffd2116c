"""Scenes as training sees them: drawn in ever other styles, with the noise of a camera."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recipes.wave_nano.scenes import SIZES, Scene, render
from recipes.wave_nano.styles import restyled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from recipes.wave_nano.sprites import Sprites

_GRAIN = 2**21


class Pictures:
    """Draws videos of known things."""

    def __init__(self, sprites: Sprites) -> None:
        self._sprites = sprites
        self._grain = np.random.default_rng(0).standard_normal(_GRAIN, dtype=np.float32)
        self.things = list(sprites)

    def draw(
        self, rng: np.random.Generator, scenes: Sequence[Scene], size: tuple[int, int], frames: slice = slice(None)
    ) -> list[NDArray[np.uint8]]:
        """Videos of one size, each (frames, height, width, 3)."""
        return [
            render(rng, scene, {scene.thing: self._redrawn(rng, scene.thing)}, size, frames, grain=self._grain)
            for scene in scenes
        ]

    def _redrawn(self, rng: np.random.Generator, thing: str) -> NDArray[np.uint8]:
        drawings = self._sprites[thing]
        return restyled(rng, drawings[int(rng.integers(len(drawings)))])[None]


def any_size(rng: np.random.Generator) -> tuple[int, int]:
    """Mostly square, sometimes wide or tall."""
    return SIZES[0] if rng.random() < 0.7 else SIZES[int(rng.integers(len(SIZES)))]
