"""Pictograms as pixels: Iconify's emoji sets, one JSON file a drawing style, rasterised once."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import numpy as np

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
"""Thing -> (drawings, SIDE, SIDE, 4) RGBA."""


def load_sprites(icons: Path, styles: Sequence[str], cache: Path) -> Sprites:
    """Rasterise the pictograms of `things` in some styles.

    Args:
        icons: folder with `STYLE/icons.json`, as the npm packages `@iconify-json/STYLE` hold them.
        styles: which to take.
        cache: folder for the results.

    Raises:
        UsageError: a style is not there.
    """
    drawn: dict[str, list[NDArray[np.uint8]]] = {thing: [] for thing in PICTOGRAMS}
    for style in styles:
        for thing, drawings in _style(icons, style, cache).items():
            drawn[thing].extend(drawings)
    return {thing: np.stack(drawings) for thing, drawings in drawn.items() if drawings}


def _style(icons: Path, style: str, cache: Path) -> Mapping[str, NDArray[np.uint8]]:
    path = cache / f"{style}-{SIDE}.npz"
    if not path.is_file():
        source = icons / style / "icons.json"
        if not source.is_file():
            raise UsageError(
                f"{source}: not there", f"Unpack the npm package @iconify-json/{style} to {source.parent}."
            )
        content = json.loads(source.read_text(encoding="utf-8"))
        cache.mkdir(parents=True, exist_ok=True)
        drawn = {thing: _drawings(content, names) for thing, names in PICTOGRAMS.items()}
        np.savez_compressed(path, **drawn)  # type: ignore[arg-type]  # the stubs take every name for a flag
    with np.load(path) as arrays:
        return {thing: arrays[thing] for thing in PICTOGRAMS}


def _drawings(content: dict[str, dict[str, dict[str, object]]], names: Sequence[str]) -> NDArray[np.uint8]:
    resolved = {str(content.get("aliases", {}).get(name, {}).get("parent", name)) for name in names}
    drawings = [_rasterise(content, name) for name in sorted(resolved) if name in content["icons"]]
    return np.stack(drawings) if drawings else np.zeros((0, SIDE, SIDE, 4), np.uint8)


def _rasterise(content: dict[str, dict[str, dict[str, object]]], name: str) -> NDArray[np.uint8]:
    import resvg_py
    from PIL import Image

    icon = content["icons"][name]
    width, height = (icon.get(key, content.get(key, 16)) for key in ("width", "height"))
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'width="{SIDE}" height="{SIDE}" viewBox="{icon.get("left", 0)} {icon.get("top", 0)} {width} {height}">'
        f"{icon['body']}</svg>"
    )
    png = bytes(resvg_py.svg_to_bytes(svg_string=svg))
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGBA").resize((SIDE, SIDE)))
