"""The evaluation: all rows of the model card, with intervals.

Random choices are seeded, so that two runs give the same figures, except for the costs.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from time import process_time
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from PIL import Image

from recipes.wave_nano.evaluate_drawings import drawing_rows
from recipes.wave_nano.evaluate_real import (
    SOUND_WORDS,
    crossing_rows,
    film_rows,
    photograph_rows,
    question_rows,
    read_photographs,
    sound_rows,
)
from recipes.wave_nano.measures import HEADER, Row, embed, sound_clip
from recipes.wave_nano.sounds import ESC10, ESC50, RATE_HZ, load_sounds
from recipes.wave_nano.sprites import HELD_OUT_STYLE, load_sprites
from wave_search.media.sampling import policy_of
from wave_search.models import LoadOptions, load
from wave_search.types import Clip, Modality

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from recipes.wave_nano.sounds import Sound
    from wave_search.models import Embedder

Item = TypeVar("Item")
_MEASURED = 20
"""Items whose cost is measured, after one that loads what is needed."""


def evaluate_model(model: str, media: Path, icons: Path, photographs: Path, fold: int) -> Iterator[str]:
    """Evaluate a model on the CPU.

    Args:
        model: a known model, or the directory of a checkpoint.
        media: folder of sounds and films with `manifest.jsonl`.
        icons: folder with `STYLE/icons.json` of the held-out style.
        photographs: folder of one photograph for each of many classes; see `read_photographs`.
        fold: of the sounds.

    Yields:
        The lines of a Markdown table.
    """
    yield from HEADER
    for row in _rows(load(model, LoadOptions(device="cpu")), media, icons, photographs, fold):
        yield row.line()


def _rows(embedder: Embedder, media: Path, icons: Path, photographs: Path, fold: int) -> Iterator[Row]:
    ten = load_sounds(media, (fold,), (ESC10,))
    fifty = [sound for sound in load_sounds(media, (fold,), (ESC10, ESC50)) if sound.label in SOUND_WORDS]
    yield from costs(embedder, sorted(photographs.glob("*.JPEG"))[: _MEASURED + 1], fifty[: _MEASURED + 1])
    heard = embed(embedder, [sound_clip(sound) for sound in fifty], Modality.AUDIO)
    yield from sound_rows(embedder, fifty, heard)
    known = read_photographs(embedder, photographs)
    yield from photograph_rows(embedder, known)
    yield from crossing_rows(known, fifty, heard)
    yield from question_rows(embedder, known, fifty)
    yield from film_rows(embedder, media)
    with tempfile.TemporaryDirectory() as cache:
        sprites = load_sprites(icons, (HELD_OUT_STYLE,), Path(cache))
    yield from drawing_rows(embedder, ten, sprites)


def costs(embedder: Embedder, pictures: Sequence[Path], sounds: Sequence[Sound]) -> list[Row]:
    """Measure the CPU time for decoding and embedding single items."""
    policy = policy_of(embedder.spec.sampling)

    def look(path: Path) -> None:
        pixels = policy.resize_image(np.asarray(Image.open(path).convert("RGB")))
        embedder.embed([Clip(image=pixels)], [Modality.IMAGE])

    def listen(sound: Sound) -> None:
        embedder.embed([sound_clip(sound)], [Modality.AUDIO])

    def read(text: str) -> None:
        embedder.embed([Clip(text=text)], [Modality.TEXT])

    seconds = np.array([len(sound.samples) / RATE_HZ for sound in sounds[1:]])
    queries = [words[0] for words in SOUND_WORDS.values()][: _MEASURED + 1]
    return [
        Row("CPU seconds for a picture", _cpu_s(look, pictures), "at most 0.15"),
        Row("CPU seconds for a second of sound", _cpu_s(listen, sounds) / seconds, "at most 0.02"),
        Row("CPU seconds for a text query", _cpu_s(read, queries), "at most 0.05"),
    ]


def _cpu_s(work: Callable[[Item], None], items: Sequence[Item]) -> NDArray[np.float64]:
    """Return the CPU time for each item but the first."""
    taken = []
    for item in items:
        start = process_time()
        work(item)
        taken.append(process_time() - start)
    return np.array(taken[1:])
