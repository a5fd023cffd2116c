"""How well a score tells "it is there" from "there is nothing like that", for searches of a whole library.

    python benchmarks/calibration.py --media FOLDER --icons FOLDER [--model wave-nano] [--out FOLDER]

Forty queries (words for a sound, words for a thing, a sound, a scene; four for each of ten classes) are put to two
libraries of films. Each library lacks half of the classes, so that every query is asked once with matches and once
without. `FOLDER`s are those of `wave_search.train.evaluate`; sounds and drawings are held out from training.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.results import Table, machine, publish
from wave_search.model import load
from wave_search.query.calibrate import Background
from wave_search.train.scenes import DURATION_S, random_scene, render
from wave_search.train.sounds import RATE_HZ, load_sounds
from wave_search.train.sprites import HELD_OUT_STYLE, load_sprites
from wave_search.train.things import PICTOGRAMS, SOUND_WORDS, SOURCES
from wave_search.types import Clip, Frames, Modality, Waveform

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from wave_search.train.sounds import Sound
    from wave_search.train.sprites import Sprites
    from wave_search.types import Embedder

_SEED = 40_000
_CLASSES = tuple(SOUND_WORDS)
_FILMS, _OTHER_FILMS = 6, 8
"""Of each class, and of each thing that is no source of the ten sounds."""
_PARTITIONS = (Modality.AUDIO, Modality.VIDEO, Modality.AV)
_RANK_OFFSET = 60
"""Of reciprocal rank fusion: Cormack et al., SIGIR 2009."""
_RESAMPLINGS = 2_000


@dataclass(frozen=True, slots=True)
class Library:
    """Films as vectors."""

    labels: NDArray[np.str_]
    """(films,) the class of each, "" for none."""
    vectors: dict[Modality, NDArray[np.float32]]
    """(films, dim) of each partition."""

    def without(self, absent: Sequence[str]) -> Library:
        """The same without some classes."""
        kept = ~np.isin(self.labels, absent)
        return Library(self.labels[kept], {modality: rows[kept] for modality, rows in self.vectors.items()})


Score = tuple[float, str]
"""How much the best film stands out, and its class."""


def by_z(library: Library, query: NDArray[np.float32]) -> Score:
    """The product's own rule: standard deviations above what the query scores on anything in the partition."""
    cosines = [rows @ query for rows in library.vectors.values()]
    return _best(library, np.stack([Background.of(scores).z(scores) for scores in cosines]).max(axis=0))


def by_cosine(library: Library, query: NDArray[np.float32]) -> Score:
    """Raw scores of all partitions in one list."""
    return _best(library, np.stack([rows @ query for rows in library.vectors.values()]).max(axis=0))


def by_rank(library: Library, query: NDArray[np.float32]) -> Score:
    """Reciprocal ranks of a film in the partitions, added up."""
    ranks = np.stack([np.argsort(np.argsort(-(rows @ query))) for rows in library.vectors.values()])
    return _best(library, (1 / (_RANK_OFFSET + 1 + ranks)).sum(axis=0))


RULES: dict[str, Callable[[Library, NDArray[np.float32]], Score]] = {
    "z": by_z,
    "cosine": by_cosine,
    "reciprocal rank fusion": by_rank,
}


def _best(library: Library, scores: NDArray[np.floating]) -> Score:
    best = int(scores.argmax())
    return float(scores[best]), str(library.labels[best])


def area_under_curve(present: NDArray[np.float64], absent: NDArray[np.float64]) -> float:
    """Chance that a query with matches scores above one without; ties count half."""
    difference = present[:, None] - absent[None, :]
    return float((difference > 0).mean() + 0.5 * (difference == 0).mean())


def interval(
    rng: np.random.Generator, present: NDArray[np.float64], absent: NDArray[np.float64]
) -> tuple[float, float]:
    """95 % bootstrap interval of the area, over queries."""
    areas = []
    for _ in range(_RESAMPLINGS):
        drawn = rng.integers(len(present), size=len(present))
        areas.append(area_under_curve(present[drawn], absent[rng.integers(len(absent), size=len(absent))]))
    low, high = np.percentile(areas, (2.5, 97.5))
    return float(low), float(high)


def film(rng: np.random.Generator, thing: str, sound: Sound, sprites: Sprites) -> Clip:
    """A scene of a thing with a sound track."""
    frames = Frames(render(rng, random_scene(rng, [thing]), sprites), DURATION_S)
    return Clip(frames=frames, waveform=Waveform(np.resize(sound.samples, round(DURATION_S * RATE_HZ)), RATE_HZ))


def make(
    embedder: Embedder, sounds: Sequence[Sound], sprites: Sprites
) -> tuple[Library, list[tuple[str, str, NDArray[np.float32]]]]:
    """Draw and embed the films, and the queries as (class, kind, vector)."""
    rng = np.random.default_rng(_SEED)
    of_class = {label: [sound for sound in sounds if sound.label == label] for label in _CLASSES}
    others = [sound for sound in sounds if sound.label not in _CLASSES]
    sources = {SOURCES[label] for label in _CLASSES}
    films, labels = [], []
    for label in _CLASSES:
        films += [film(rng, SOURCES[label], sound, sprites) for sound in of_class[label][:_FILMS]]
        labels += [label] * _FILMS
    for thing in sorted(set(PICTOGRAMS) - sources):
        drawn = rng.choice(len(others), _OTHER_FILMS)
        films += [film(rng, thing, others[index], sprites) for index in drawn]
        labels += [""] * _OTHER_FILMS
    embedded = embedder.embed(films, _PARTITIONS)
    vectors = {modality: np.stack([vector[modality] for vector in embedded]) for modality in _PARTITIONS}
    queries = []
    for label in _CLASSES:
        clip = film(rng, SOURCES[label], of_class[label][_FILMS], sprites)
        asked = {
            "words for a sound": (Clip(text=SOUND_WORDS[label][0]), Modality.TEXT),
            "words for a thing": (Clip(text=f"a {SOURCES[label]}"), Modality.TEXT),
            "a sound": (Clip(waveform=clip.waveform), Modality.AUDIO),
            "a scene": (Clip(frames=clip.frames), Modality.VIDEO),
        }
        queries += [(label, kind, embedder.embed([it], [as_])[0][as_]) for kind, (it, as_) in asked.items()]
    return Library(np.array(labels), vectors), queries


def main() -> None:
    """Measure, print a table, write RESULTS.md and a JSON file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--media", type=Path, required=True)
    parser.add_argument("--icons", type=Path, required=True)
    parser.add_argument("--fold", type=int, default=4)
    parser.add_argument("--model", default="wave-nano")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        sprites = load_sprites(options.icons, (HELD_OUT_STYLE,), Path(cache))
    embedder = load(options.model, device="cpu")
    everything, queries = make(embedder, load_sounds(options.media, (options.fold,)), sprites)
    halves = (_CLASSES[:5], _CLASSES[5:])
    libraries = [everything.without(half) for half in halves]
    rng = np.random.default_rng(_SEED)
    rows, record = [], {}
    for name, rule in RULES.items():
        scores = [[rule(library, vector) for library in libraries] for _, _, vector in queries]
        missing = [0 if label in halves[0] else 1 for label, _, _ in queries]
        present = np.array([pair[1 - gone][0] for pair, gone in zip(scores, missing, strict=True)])
        absent = np.array([pair[gone][0] for pair, gone in zip(scores, missing, strict=True)])
        right = [pair[1 - gone][1] == query[0] for pair, gone, query in zip(scores, missing, queries, strict=True)]
        area, (low, high) = area_under_curve(present, absent), interval(rng, present, absent)
        record[name] = {"auc": area, "interval": [low, high], "right_first": float(np.mean(right))}
        rows.append((name, f"{area:.3f}", f"{low:.3f} to {high:.3f}", f"{np.mean(right):.3f}"))
    about = {
        **machine(1, "wall"),
        "model": f"{embedder.spec.name} at {embedder.spec.revision[:12]}",
        "library": f"{len(libraries[0].labels)} films of {DURATION_S:g} s with their sound, 5 of 10 classes absent",
        "queries": f"{len(queries)} with matches, {len(queries)} without; target any (audio, video, av)",
    }
    columns = ("score of the best hit", "area under the curve", "95 % interval", "right class first, where there")
    publish(options.out / "RESULTS.md", "Is there anything like that?", about, [Table("Separation", columns, rows)])
    (options.out / "calibration.json").write_text(json.dumps({"about": about, "rules": record}, indent=1) + "\n")


if __name__ == "__main__":
    main()
