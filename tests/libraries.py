"""Small libraries of real media, and the real small model with a counter in front."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import wave_search
from tests.media_factory import write_image, write_sound, write_video
from wave_search.calibration.phrases import PHRASES
from wave_search.models import (
    Embedder,
    LoadOptions,
    ModelSpec,
    load,  # this name stays the real one when tests replace the module's
)
from wave_search.types import Clip, Modality

PACKAGE_PARENT = Path(wave_search.__file__).parents[1]
"""Where a subprocess has to run to see the package that the tests see, installed or not."""

WORDS = ("a dog barks at the door", "rain on a tin roof", "two people talk in a kitchen")


def make_library(folder: Path) -> Path:
    """2 texts, 3 pictures, 3 sounds of 1, 2 and 21 s, a silent and a talking video of 12 s: 18 segments in all."""
    for name, data in library_files().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


@cache
def library_files() -> dict[str, bytes]:
    """Encoded once: this takes longer than indexing them."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _encode_library(folder)
        return {str(file.relative_to(folder)): file.read_bytes() for file in folder.glob("*/*")}


def _encode_library(folder: Path) -> None:
    for number, words in enumerate(WORDS[:2]):
        (folder / "texts").mkdir(parents=True, exist_ok=True)
        (folder / "texts" / f"note{number}.txt").write_text(words)
    for number in range(3):
        write_image(folder / "pictures" / f"{number}.png", seed=number)
    for seconds, hz in ((1, 300), (2, 500), (21, 700)):
        write_sound(folder / "sounds" / f"{hz}.flac", seconds, hz)
    write_video(folder / "videos" / "silent.mp4", 12, seed=1)
    write_video(folder / "videos" / "talking.mp4", 12, seed=2, hz=900)


LIBRARY_FILES = 10
LIBRARY_SEGMENTS = {
    Modality.TEXT: 2,
    Modality.IMAGE: 3,
    Modality.AUDIO: 1 + 1 + 3 + 2,
    Modality.VIDEO: 2 + 2,
    Modality.AV: 2,
}


@cache
def tiny() -> Embedder:
    """The bundled model, in one thread: it is so small that threads would mostly wait for each other."""
    import torch

    torch.set_num_threads(1)
    return load("wave-tiny", LoadOptions(device="cpu"))


@cache
def phrase_vectors() -> list[list[dict[Modality, NDArray[np.float32]]]]:
    """The vectors of the phrases that scores are calibrated with in each run that embeds anything."""
    return tiny().embed_each([Clip(text=phrase) for phrase in PHRASES], [None], [Modality.TEXT])


class CountingEmbedder:
    """The bundled model, counting.

    Attributes:
        loads: how often it was asked for.
        clips: all that it embedded, but for the phrases that scores are calibrated with.
        asked: the instructions of each call for these.
        before: is called before each call, for mischief.
    """

    def __init__(self) -> None:
        self.loads = 0
        self.clips: list[Clip] = []
        self.asked: list[tuple[str | None, ...]] = []
        self.before: Callable[[Sequence[Clip]], None] = lambda clips: None

    @property
    def spec(self) -> ModelSpec:
        return tiny().spec

    def embed(
        self, clips: Sequence[Clip], modalities: Sequence[Modality] | None = None, instruction: str | None = None
    ) -> list[dict[Modality, NDArray[np.float32]]]:
        return [vectors for (vectors,) in self.embed_each(clips, [instruction], modalities)]

    def embed_each(
        self, clips: Sequence[Clip], instructions: Sequence[str | None], modalities: Sequence[Modality] | None = None
    ) -> list[list[dict[Modality, NDArray[np.float32]]]]:
        if [clip.text for clip in clips] == [*PHRASES]:
            return phrase_vectors()
        self.before(clips)
        self.clips += clips
        self.asked.append(tuple(instructions))
        return tiny().embed_each(clips, instructions, modalities)

    def load(self, name: str, options: LoadOptions | None = None) -> CountingEmbedder:
        """Stands in for `wave_search.models.load`."""
        self.loads += 1
        return self


def no_decoders(*args: object) -> None:
    """Stands in for `DecoderPool` where no file may be opened."""
    raise AssertionError("a file is opened")
