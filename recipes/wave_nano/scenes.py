"""Procedural videos: a pictogram that moves over a background, in randomly varied styles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageFilter

from recipes.wave_nano.sprites import restyled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from recipes.wave_nano.sprites import Sprites

FRAMES = 4
DURATION_S = 4.0
SIZES = ((112, 112), (84, 140), (140, 84))
"""(height, width) in which the vision tower sees square, wide and tall videos."""
FRAME_SIZE = (224, 224)
"""(height, width) to which the decoders resize square videos."""

MOTIONS = ("right", "left", "up", "down", "near", "far", "spin", "still")
_RGB = {
    "red": (225, 35, 35),
    "orange": (250, 140, 20),
    "yellow": (250, 220, 30),
    "green": (40, 170, 60),
    "blue": (40, 90, 230),
    "purple": (140, 50, 190),
    "pink": (250, 120, 190),
    "grey": (140, 140, 140),
}
_GROUND = {"grass": (90, 170, 70), "sand": (225, 200, 140)}
_SKY = {
    "day": ((110, 180, 245), (200, 230, 255)),
    "night": ((10, 12, 40), (40, 40, 90)),
    "dawn": ((120, 110, 190), (255, 170, 110)),
    "grass": ((120, 190, 250), (210, 235, 255)),
    "sand": ((130, 200, 250), (220, 240, 255)),
}
COLOURS = tuple(_RGB)
"""Of walls."""
PLACES = ("plain", *_SKY)
_GRAIN = 2**21


@dataclass(frozen=True, slots=True)
class Scene:
    """The content of a video."""

    subject: str
    motion: str
    colour: str | None
    """Colour of the wall behind it; None in other places."""
    place: str
    count: int = 1


def random_scene(rng: np.random.Generator, subjects: Sequence[str], walls: float = 0.4) -> Scene:
    """Draw a scene.

    Args:
        rng: source of randomness.
        subjects: names to choose from.
        walls: share of scenes in front of a coloured wall.
    """
    choose = rng.choice
    colour = str(choose(COLOURS)) if rng.random() < walls else None
    return Scene(
        subject=str(choose(list(subjects))),
        motion=str(choose(MOTIONS)),
        colour=colour,
        place="wall" if colour else str(choose(PLACES)),
        count=int(choose([1, 1, 1, 1, 2, 3])),
    )


def render(
    rng: np.random.Generator,
    scene: Scene,
    sprites: Sprites,
    size: tuple[int, int] = SIZES[0],
    frames: slice = slice(None),
    *,
    grain: NDArray[np.float32] | None = None,
) -> NDArray[np.uint8]:
    """Draw a scene.

    Args:
        rng: chooses the drawing, its size and path, and the camera noise.
        scene: what to draw.
        sprites: drawings of the subject.
        size: height and width in pixels.
        frames: indices of the needed frames, out of `FRAMES`.
        grain: normal noise from which the camera noise is cropped, because drawing new noise takes longer than all the
            rest.

    Returns:
        (frames, height, width, 3) RGB.
    """
    drawings = sprites[scene.subject]
    sprite = _vary(rng, drawings[int(rng.integers(len(drawings)))])
    background = _background(rng, scene, size)
    share = float(rng.uniform(0.4, 0.75)) / (1, 1.35, 1.6)[scene.count - 1]
    offsets = _offsets(rng, scene.count, share)
    tilt = float(rng.normal(0, 8))
    turn = float(rng.choice([-1, 1]) * rng.uniform(35, 80))
    jitter = rng.normal(0, 0.04, 2)
    drawn_frames = []
    for step in np.linspace(0, 1, FRAMES)[frames]:
        x, y, zoom, angle = _pose(scene.motion, float(step), share, turn)
        frame = background.copy()
        side = max(8, round(min(size) * share * zoom))
        drawn = sprite.rotate(tilt + angle, Image.Resampling.BILINEAR).resize((side, side), Image.Resampling.BILINEAR)
        for dx, dy in offsets:
            left = round((x + dx * zoom + jitter[0]) * size[1] - side / 2)
            top = round((y + dy * zoom + jitter[1]) * size[0] - side / 2)
            frame.paste(drawn, (left, top), drawn)
        drawn_frames.append(frame)
    return _camera(rng, drawn_frames, grain)


def _pose(motion: str, step: float, share: float, turn: float) -> tuple[float, float, float, float]:
    """Return centre (as fractions of width and height), zoom and angle at a time from 0 to 1."""
    reach = max(0.18, 0.5 - share / 3)
    way = (2 * step - 1) * reach
    x, y, zoom, angle = 0.5, 0.5, 1.0, 0.0
    match motion:
        case "right" | "left":
            x += way if motion == "right" else -way
        case "down" | "up":
            y += way if motion == "down" else -way
        case "near" | "far":
            zoom = 0.45 + 0.85 * (step if motion == "near" else 1 - step)
        case "spin":
            angle = turn * step * (FRAMES - 1)
    return x, y, zoom, angle


def _offsets(rng: np.random.Generator, count: int, share: float) -> list[tuple[float, float]]:
    if count == 1:
        return [(0.0, 0.0)]
    angle = float(rng.uniform(-0.3, 0.3))
    places = (np.arange(count) - (count - 1) / 2) * share * 0.85
    return [(float(place * np.cos(angle)), float(place * np.sin(angle))) for place in places]


def _vary(rng: np.random.Generator, pixels: NDArray[np.uint8]) -> Image.Image:
    if rng.random() < 0.5:
        pixels = pixels[:, ::-1]
    rgb = pixels[..., :3] * rng.uniform(0.85, 1.15) + rng.normal(0, 6, 3)
    content = np.concatenate([np.clip(rgb, 0, 255), pixels[..., 3:]], axis=-1).astype(np.uint8)
    return Image.fromarray(content, "RGBA")


def _background(rng: np.random.Generator, scene: Scene, size: tuple[int, int]) -> Image.Image:
    height, width = size
    place = scene.place
    if scene.colour:
        top = bottom = np.array(_RGB[scene.colour]) * rng.uniform(0.85, 1.1) + rng.normal(0, 10, 3)
    elif place == "plain":
        shade = rng.uniform(150, 250) + rng.normal(0, 12, 3)
        top = bottom = np.clip(shade, 0, 255)
    else:
        top, bottom = (np.array(edge) + rng.normal(0, 12, 3) for edge in _SKY[place])
    ramp = np.linspace(0, 1, height)[:, None, None]
    pixels = np.broadcast_to((1 - ramp) * top + ramp * bottom, (height, width, 3)).copy()
    ground = _GROUND.get(place)
    if ground is not None:
        pixels[round(height * rng.uniform(0.5, 0.8)) :] = np.array(ground) + rng.normal(0, 10, 3)
    if place == "night":
        stars = rng.integers(0, [height, width], (25, 2))
        pixels[stars[:, 0], stars[:, 1]] = 230
    coarse = Image.fromarray(rng.integers(0, 256, (5, 7), dtype=np.uint8)).resize((width, height))
    pixels += (np.asarray(coarse, np.float32)[..., None] - 128) * rng.uniform(0, 0.15)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _camera(
    rng: np.random.Generator, frames: list[Image.Image], grain: NDArray[np.float32] | None
) -> NDArray[np.uint8]:
    if rng.random() < 0.3:
        blur = ImageFilter.GaussianBlur(float(rng.uniform(0.3, 0.9)))
        frames = [frame.filter(blur) for frame in frames]
    pixels = np.stack([np.asarray(frame) for frame in frames]).astype(np.float32)
    gain, level = np.float32(rng.uniform(0.85, 1.15)), np.float32(1.5 + 3 * rng.random())
    if grain is None:
        noise = rng.standard_normal(pixels.shape, dtype=np.float32)
    else:
        start = int(rng.integers(grain.size - pixels.size))
        noise = grain[start : start + pixels.size].reshape(pixels.shape)
    pixels = pixels * gain + level * noise
    return np.clip(pixels, 0, 255).astype(np.uint8)


class Pictures:
    """Draws videos of known subjects for training, in randomly varied styles and with camera noise."""

    def __init__(self, sprites: Sprites) -> None:
        self._sprites = sprites
        self._grain = np.random.default_rng(0).standard_normal(_GRAIN, dtype=np.float32)
        self.subjects = list(sprites)

    def draw(
        self, rng: np.random.Generator, scenes: Sequence[Scene], size: tuple[int, int], frames: slice = slice(None)
    ) -> list[NDArray[np.uint8]]:
        """Render videos of one size, each (frames, height, width, 3)."""
        return [
            render(rng, scene, {scene.subject: self._redrawn(rng, scene.subject)}, size, frames, grain=self._grain)
            for scene in scenes
        ]

    def clutter(self, rng: np.random.Generator, size: tuple[int, int]) -> NDArray[np.uint8]:
        """Draw a picture of nothing in particular: noise of all scales, and parts of several subjects.

        Returns:
            (height, width, 3) RGB.
        """
        height, width = size
        picture = np.full((height, width, 3), rng.uniform(40, 215, 3), np.float32)
        for cells in (2, 4, 9, 20, 45):
            coarse = rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8)
            grown = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
            picture += (np.asarray(grown, np.float32) - 128) * rng.uniform(0, 0.5)
        canvas = Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))
        for _ in range(int(rng.integers(0, 7))):
            subject = self.subjects[int(rng.integers(len(self.subjects)))]
            side = int(min(size) * rng.uniform(0.2, 1.6))
            turned = Image.fromarray(self._redrawn(rng, subject)[0], "RGBA").rotate(float(rng.uniform(0, 360)))
            part = turned.resize((side, side))
            left, top = (int(rng.integers(-side // 2, edge)) for edge in (width, height))
            canvas.paste(part, (left, top), part)
        return np.asarray(canvas.filter(ImageFilter.GaussianBlur(float(rng.uniform(0, 1.5)))))

    def _redrawn(self, rng: np.random.Generator, subject: str) -> NDArray[np.uint8]:
        drawings = self._sprites[subject]
        return restyled(rng, drawings[int(rng.integers(len(drawings)))])[None]


def any_size(rng: np.random.Generator) -> tuple[int, int]:
    """Draw a frame size: usually square, sometimes wide or tall."""
    return SIZES[0] if rng.random() < 0.7 else SIZES[int(rng.integers(len(SIZES)))]
