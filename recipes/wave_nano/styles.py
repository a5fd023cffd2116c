"""Drawings as other hands might have drawn them, so that the vision tower learns shapes and not sets of pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageChops, ImageFilter

if TYPE_CHECKING:
    from numpy.typing import NDArray

_GREY = np.array([0.3, 0.59, 0.11], np.float32)


def restyled(rng: np.random.Generator, drawing: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Draw again with other colours, proportions, detail and outline.

    Args:
        rng: chooses what is changed, and how far. Half of the drawings stay as they are.
        drawing: (side, side, 4) RGBA.

    Returns:
        The same shape.
    """
    if rng.random() < 0.5:
        return drawing
    image = Image.fromarray(drawing, "RGBA")
    if rng.random() < 0.2:
        image = _coarse(rng, image)
    if rng.random() < 0.2:
        image = _outlined(rng, image)
    if rng.random() < 0.6:
        image = _bent(rng, image)
    pixels = np.asarray(image)
    chance = rng.random()
    if chance < 0.08:
        pixels = _two_coloured(rng, pixels)
    elif chance < 0.7:
        pixels = _recoloured(rng, pixels)
    return _torn(rng, pixels) if rng.random() < 0.15 else pixels


def _coarse(rng: np.random.Generator, image: Image.Image) -> Image.Image:
    """Without its fine lines."""
    side = int(rng.integers(20, 48))
    return image.resize((side, side), Image.Resampling.BOX).resize(image.size, Image.Resampling.BILINEAR)


def _outlined(rng: np.random.Generator, image: Image.Image) -> Image.Image:
    """A dark or light line around it."""
    alpha = image.getchannel("A")
    wide = alpha.filter(ImageFilter.MaxFilter(int(rng.choice([3, 5, 7]))))
    shade = int(rng.choice([int(rng.integers(0, 60)), 255]))
    behind = Image.merge("RGBA", [Image.new("L", image.size, shade)] * 3 + [ImageChops.lighter(wide, alpha)])
    return Image.alpha_composite(behind, image)


def _bent(rng: np.random.Generator, image: Image.Image) -> Image.Image:
    """Wider or taller, leaning to a side, and not quite in the middle."""
    wide, tall = np.exp(rng.uniform(-0.3, 0.3, 2))
    lean, centre = float(rng.normal(0, 0.12)), image.width / 2
    shift = rng.normal(0, 3, 2)
    matrix = (wide, lean, centre - wide * centre - lean * centre + shift[0], 0, tall, centre - tall * centre + shift[1])
    return image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)


def _recoloured(rng: np.random.Generator, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Other hues, saturation, contrast and brightness."""
    strength = float(rng.choice([0.08, 0.2]))
    mix = np.eye(3, dtype=np.float32) + rng.normal(0, strength, (3, 3)).astype(np.float32)
    saturation = np.float32(rng.uniform(0.4, 1.5))
    mix = saturation * mix + (1 - saturation) * np.tile(_GREY[:, None], 3)
    mix /= np.maximum(mix.sum(axis=0), 0.5)
    contrast = np.float32(rng.uniform(0.7, 1.3))
    rgb = (pixels[..., :3] - np.float32(128)) @ (contrast * mix) + np.float32(128 + rng.normal(0, 15))
    return _with_alpha(rgb, pixels)


def _two_coloured(rng: np.random.Generator, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Dark and light replaced by two colours."""
    light = (pixels[..., :3] @ _GREY / np.float32(255))[..., None]
    dark_end, light_end = rng.uniform(0, 255, (2, 3)).astype(np.float32)
    return _with_alpha((1 - light) * dark_end + light * light_end, pixels)


def _torn(rng: np.random.Generator, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """With a hole (random erasing, arXiv:1708.04896)."""
    side = len(pixels)
    height, width = (int(size) for size in rng.integers(side // 6, side // 2, 2))
    top, left = int(rng.integers(side - height)), int(rng.integers(side - width))
    torn = pixels.copy()
    torn[top : top + height, left : left + width, 3] = 0
    return torn


def _with_alpha(rgb: NDArray[np.float32], pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.concatenate([np.clip(rgb, 0, 255).astype(np.uint8), pixels[..., 3:]], axis=-1)
