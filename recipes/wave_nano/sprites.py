"""Rasterised pictograms of Iconify's emoji sets, which have one JSON file per drawing style.

`restyled` changes drawings at random, so that the vision tower learns shapes instead of particular pictures.
"""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageChops, ImageFilter

from recipes.wave_nano.classes import PICTOGRAMS
from wave_search.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

SIDE = 96
TRAINING_STYLES = (
    "noto",
    "noto-v1",
    "fxemoji",
    "emojione",
    "emojione-monotone",
    "fluent-emoji",
    "fluent-emoji-flat",
    "fluent-emoji-high-contrast",
    "streamline-emojis",
)
"""Licences: Apache-2.0 (noto, noto-v1, fxemoji), MIT (fluent), CC-BY-4.0 (emojione, streamline-emojis)."""
HELD_OUT_STYLE = "twemoji"
"""Never trained on."""

Sprites = dict[str, "NDArray[np.uint8]"]
"""Subject -> (drawings, SIDE, SIDE, 4) RGBA."""


def load_sprites(icons: Path, styles: Sequence[str], cache: Path) -> Sprites:
    """Rasterise the pictograms of `classes` in some styles.

    Args:
        icons: folder with `STYLE/icons.json`, as the npm packages `@iconify-json/STYLE` hold them.
        styles: styles to read.
        cache: folder for the results.

    Raises:
        UsageError: the file of a style is missing.
    """
    drawn: dict[str, list[NDArray[np.uint8]]] = {subject: [] for subject in PICTOGRAMS}
    for style in styles:
        for subject, drawings in _style(icons, style, cache).items():
            drawn[subject].extend(drawings)
    return {subject: np.stack(drawings) for subject, drawings in drawn.items() if drawings}


def _style(icons: Path, style: str, cache: Path) -> Mapping[str, NDArray[np.uint8]]:
    path = cache / f"{style}-{SIDE}.npz"
    if not path.is_file():
        source = icons / style / "icons.json"
        if not source.is_file():
            raise UsageError(
                f"{source}: no such file", f"Unpack the npm package @iconify-json/{style} to {source.parent}."
            )
        content = json.loads(source.read_text(encoding="utf-8"))
        cache.mkdir(parents=True, exist_ok=True)
        drawn = {subject: _drawings(content, names) for subject, names in PICTOGRAMS.items()}
        np.savez_compressed(path, **drawn)  # type: ignore[arg-type]  # the stubs take every name for a flag
    with np.load(path) as arrays:
        return {subject: arrays[subject] for subject in PICTOGRAMS}


def _drawings(content: dict[str, dict[str, dict[str, object]]], names: Sequence[str]) -> NDArray[np.uint8]:
    resolved = {str(content.get("aliases", {}).get(name, {}).get("parent", name)) for name in names}
    drawings = [_rasterise(content, name) for name in sorted(resolved) if name in content["icons"]]
    return np.stack(drawings) if drawings else np.zeros((0, SIDE, SIDE, 4), np.uint8)


def _rasterise(content: dict[str, dict[str, dict[str, object]]], name: str) -> NDArray[np.uint8]:
    import resvg_py

    icon = content["icons"][name]
    width, height = (icon.get(key, content.get(key, 16)) for key in ("width", "height"))
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'width="{SIDE}" height="{SIDE}" viewBox="{icon.get("left", 0)} {icon.get("top", 0)} {width} {height}">'
        f"{icon['body']}</svg>"
    )
    png = bytes(resvg_py.svg_to_bytes(svg_string=svg))
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGBA").resize((SIDE, SIDE)))


_GREY = np.array([0.3, 0.59, 0.11], np.float32)


def restyled(rng: np.random.Generator, drawing: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Change colours, proportions, detail and outline of a drawing.

    Args:
        rng: chooses the changes. Half of the drawings are not changed.
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
    """Remove fine lines."""
    side = int(rng.integers(20, 48))
    return image.resize((side, side), Image.Resampling.BOX).resize(image.size, Image.Resampling.BILINEAR)


def _outlined(rng: np.random.Generator, image: Image.Image) -> Image.Image:
    """Add a dark or light outline."""
    alpha = image.getchannel("A")
    wide = alpha.filter(ImageFilter.MaxFilter(int(rng.choice([3, 5, 7]))))
    shade = int(rng.choice([int(rng.integers(0, 60)), 255]))
    behind = Image.merge("RGBA", [Image.new("L", image.size, shade)] * 3 + [ImageChops.lighter(wide, alpha)])
    return Image.alpha_composite(behind, image)


def _bent(rng: np.random.Generator, image: Image.Image) -> Image.Image:
    """Stretch, shear and shift."""
    wide, tall = np.exp(rng.uniform(-0.3, 0.3, 2))
    lean, centre = float(rng.normal(0, 0.12)), image.width / 2
    shift = rng.normal(0, 3, 2)
    matrix = (wide, lean, centre - wide * centre - lean * centre + shift[0], 0, tall, centre - tall * centre + shift[1])
    return image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)


def _recoloured(rng: np.random.Generator, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Change hues, saturation, contrast and brightness."""
    strength = float(rng.choice([0.08, 0.2]))
    mix = np.eye(3, dtype=np.float32) + rng.normal(0, strength, (3, 3)).astype(np.float32)
    saturation = np.float32(rng.uniform(0.4, 1.5))
    mix = saturation * mix + (1 - saturation) * np.tile(_GREY[:, None], 3)
    mix /= np.maximum(mix.sum(axis=0), 0.5)
    contrast = np.float32(rng.uniform(0.7, 1.3))
    rgb = (pixels[..., :3] - np.float32(128)) @ (contrast * mix) + np.float32(128 + rng.normal(0, 15))
    return _with_alpha(rgb, pixels)


def _two_coloured(rng: np.random.Generator, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Replace dark and light by two colours."""
    light = (pixels[..., :3] @ _GREY / np.float32(255))[..., None]
    dark_end, light_end = rng.uniform(0, 255, (2, 3)).astype(np.float32)
    return _with_alpha((1 - light) * dark_end + light * light_end, pixels)


def _torn(rng: np.random.Generator, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Cut a hole (random erasing, arXiv:1708.04896)."""
    side = len(pixels)
    height, width = (int(size) for size in rng.integers(side // 6, side // 2, 2))
    top, left = int(rng.integers(side - height)), int(rng.integers(side - width))
    torn = pixels.copy()
    torn[top : top + height, left : left + width, 3] = 0
    return torn


def _with_alpha(rgb: NDArray[np.float32], pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.concatenate([np.clip(rgb, 0, 255).astype(np.uint8), pixels[..., 3:]], axis=-1)
