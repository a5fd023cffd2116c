"""Small real media files for the tests of indexing and searching. Other arguments make other content."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import soundfile
from PIL import Image

from tests.media_samples import Encoding, moving_picture, write_av, write_frames

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

RATE_HZ = 16_000
FPS = 8


def tone(seconds: float, hz: float) -> NDArray[np.float32]:
    """A tone that fades in, so that each stretch of it is another: (samples,) in [-1, 1]."""
    t = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    return (np.sin(2 * np.pi * hz * t) * np.linspace(0.05, 0.8, len(t))).astype(np.float32)


def write_sound(path: Path, seconds: float = 1.0, hz: float = 440.0) -> Path:
    """Write FLAC for .flac, else WAV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:  # because libsndfile does not take every name
        soundfile.write(file, tone(seconds, hz), RATE_HZ, format="FLAC" if path.suffix == ".flac" else "WAV")
    return path


def write_image(path: Path, seed: int = 0) -> Path:
    """Write what the suffix says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(moving_picture(1, 48, 64, seed)[0]).save(path)
    return path


def write_video(path: Path, seconds: float = 2.0, *, seed: int = 0, hz: float | None = None) -> Path:
    """Write H.264, with a tone of `hz` if it is given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    frames = moving_picture(round(seconds * FPS), 48, 64, seed)
    if hz is None:
        return write_frames(path, frames, Encoding(fps=FPS))
    return write_av(path, frames, FPS, tone(seconds, hz)[:, None], RATE_HZ)
