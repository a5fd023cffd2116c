"""Scores of `Index.search` for sounds that a library of recordings contains, and for sounds that it lacks."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import wave_search as ws
from recipes.wave_nano.classes import PARAPHRASES, SOUND_WORDS
from recipes.wave_nano.sounds import ESC10, load_sounds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

CLASSES = tuple(SOUND_WORDS)
LIBRARIES = (CLASSES[:5], CLASSES[5:], CLASSES[::2], CLASSES[1::2])
"""Each has half of the classes."""
_WORDINGS, _RECORDINGS = 4, 3
"""Of each class, as queries. Recordings are of other folds than those of the library."""


@dataclass(frozen=True, slots=True)
class Best:
    """The best hits of queries of one kind."""

    present: NDArray[np.float64]
    """(queries, 2) z and score where the library has the class."""
    absent: NDArray[np.float64]
    """(queries, 2) where it lacks the class."""


def ask(media: Path, fold: int, model: str) -> dict[str, Best]:
    """Index the recordings of a fold, half of the classes at a time, and search for all classes in several ways.

    Args:
        media: folder as for `load_sounds`.
        fold: what is indexed.
        model: name or folder.
    """
    folds = [number for number in (1, 2, 3, 4) if number != fold]
    library = [(sound.label, media / sound.path) for sound in load_sounds(media, (fold,), (ESC10,))]
    others = [(sound.label, media / sound.path) for sound in load_sounds(media, folds, (ESC10,))]
    queries: dict[str, list[tuple[str, Mapping[str, str | Path]]]] = {
        "words": [(label, {"text": text}) for label in CLASSES for text in SOUND_WORDS[label][:_WORDINGS]],
        "paraphrases": [(label, {"text": text}) for label in CLASSES for text in PARAPHRASES[label]],
        "sounds": [(label, {"audio": path}) for label in CLASSES for path in _of(label, others)[:_RECORDINGS]],
    }
    found: dict[str, dict[bool, list[tuple[float, float]]]] = {kind: {True: [], False: []} for kind in queries}
    for kept in LIBRARIES:
        with (
            tempfile.TemporaryDirectory() as folder,
            ws.create(Path(folder) / "index", model, load=ws.LoadOptions(device="cpu")) as index,
        ):
            clips = Path(folder) / "clips"
            clips.mkdir()
            for label in kept:
                for path in _of(label, library):
                    shutil.copy(path, clips)
            index.add([clips])
            for kind, asked in queries.items():
                for label, query in asked:
                    best = index.search(**query, target="audio", k=1)[0]
                    found[kind][label in kept].append((best.z, best.score))
    return {kind: Best(np.array(each[True]), np.array(each[False])) for kind, each in found.items()}


def _of(label: str, sounds: Sequence[tuple[str, Path]]) -> list[Path]:
    return [path for name, path in sounds if name == label]
