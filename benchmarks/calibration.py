"""How well a score tells "it is there" from "there is nothing like that", for searches of a whole library.

    python benchmarks/calibration.py --media FOLDER --icons FOLDER [--model wave-nano] [--out FOLDER]

A library of films with sound. `FOLDER`s are those of `wave_search.train.evaluate`; sounds and drawings are held out
from training. "Foreign": forty texts about ten classes of films that are there against forty about what is in no film.
"Neighbours": forty queries (words for a sound, words for a thing, a sound, a scene) put to a library that has their
class against the same put to one that lacks it, with films that are as near as can be.
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
from wave_search.indexer.calibrate import typical_std
from wave_search.indexer.phrases import PHRASES
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
FOREIGN = (
    *("a violin concerto", "a quantum physics lecture", "typing on a keyboard", "a glass breaking", "bowling"),
    *("a courtroom", "a church choir", "a bank", "a toilet flushing", "a cement mixer", "a hair dryer"),
    *("a saxophone solo", "a ballet", "a sewing machine", "a barber's scissors", "a telephone ringing"),
    *("a golf course", "a vacuum cleaner", "a whale song", "a dishwasher", "a football match", "a wedding"),
    *("a politician's speech", "mathematics homework", "an opera singer", "a washing machine", "a zip fastener"),
    *("a pinball machine", "a kettle", "a camera shutter", "a printer", "snow falling", "an escalator"),
    *("a dentist's drill", "a microwave oven", "a tennis match", "a pencil sharpener", "a donkey", "an elevator"),
    *("a tap dripping",),
)
"""None of them is among the sounds of fold 4 or the drawings."""


@dataclass(frozen=True, slots=True)
class Library:
    """Films as vectors."""

    labels: NDArray[np.str_]
    """(films,) the class of each, "" for none."""
    vectors: dict[Modality, NDArray[np.float32]]
    """(films, dim) of each partition."""
    phrases: NDArray[np.float32]
    """(phrases, dim) that the indexer calibrates the scores of texts with."""

    def spread(self, modality: Modality, kind: Modality) -> float:
        """As `wave_search.indexer.calibrate` measures it."""
        queries = self.phrases if kind is Modality.TEXT else self.vectors[kind]
        scores = self.vectors[modality] @ queries.T
        itself = np.eye(*scores.shape, dtype=bool) if kind is not Modality.TEXT else np.zeros((1, 1), bool)
        return typical_std(scores, ~itself)

    def without(self, absent: Sequence[str]) -> Library:
        """The same without some classes."""
        kept = ~np.isin(self.labels, absent)
        vectors = {modality: rows[kept] for modality, rows in self.vectors.items()}
        return Library(self.labels[kept], vectors, self.phrases)


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for."""

    label: str
    """Its class, "" if it is foreign."""
    kind: Modality
    vector: NDArray[np.float32]


Score = tuple[float, str]
"""How much the best film stands out, and its class."""


def by_z(library: Library, query: Query) -> Score:
    """The product's own rule: above the query's mean score on anything, in standard deviations of typical queries."""
    cosines = {modality: rows @ query.vector for modality, rows in library.vectors.items()}
    z = [Background.of(scores, library.spread(modality, query.kind)).z(scores) for modality, scores in cosines.items()]
    return _best(library, np.stack(z).max(axis=0))


def by_own_spread(library: Library, query: Query) -> Score:
    """The same in standard deviations of the query's own scores."""
    cosines = [rows @ query.vector for rows in library.vectors.values()]
    return _best(library, np.stack([Background.of(scores).z(scores) for scores in cosines]).max(axis=0))


def by_cosine(library: Library, query: Query) -> Score:
    """Raw scores of all partitions in one list."""
    return _best(library, np.stack([rows @ query.vector for rows in library.vectors.values()]).max(axis=0))


def by_rank(library: Library, query: Query) -> Score:
    """Reciprocal ranks of a film in the partitions, added up."""
    ranks = np.stack([np.argsort(np.argsort(-(rows @ query.vector))) for rows in library.vectors.values()])
    return _best(library, (1 / (_RANK_OFFSET + 1 + ranks)).sum(axis=0))


RULES: dict[str, Callable[[Library, Query], Score]] = {
    "z": by_z,
    "z by the query's own spread": by_own_spread,
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
) -> tuple[Library, list[Query], list[Query], list[Query]]:
    """Draw and embed the films, texts about them, queries of all kinds about them, and foreign texts."""
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

    def query(label: str, clip: Clip, kind: Modality) -> Query:
        return Query(label, kind, embedder.embed([clip], [kind])[0][kind])

    asked = []
    for label in _CLASSES:
        clip = film(rng, SOURCES[label], of_class[label][_FILMS], sprites)
        asked += [
            query(label, Clip(text=SOUND_WORDS[label][0]), Modality.TEXT),
            query(label, Clip(text=f"a {SOURCES[label]}"), Modality.TEXT),
            query(label, Clip(waveform=clip.waveform), Modality.AUDIO),
            query(label, Clip(frames=clip.frames), Modality.VIDEO),
        ]
    words = [query(label, Clip(text=text), Modality.TEXT) for label in _CLASSES for text in SOUND_WORDS[label][:4]]
    foreign = [query("", Clip(text=phrase), Modality.TEXT) for phrase in FOREIGN]
    phrases = np.stack([query("", Clip(text=phrase), Modality.TEXT).vector for phrase in PHRASES])
    return Library(np.array(labels), vectors, phrases), words, asked, foreign


Row = tuple[str, float, tuple[float, float]]
"""Name of a rule, area under the curve, and its interval."""


def compare(present: Sequence[Sequence[Score]], absent: Sequence[Sequence[Score]]) -> list[Row]:
    """Areas of all rules, from their scores of each query."""
    rng = np.random.default_rng(_SEED)
    rows = []
    for name, high, low in zip(RULES, present, absent, strict=True):
        scores = np.array([score for score, _ in high]), np.array([score for score, _ in low])
        rows.append((name, area_under_curve(*scores), interval(rng, *scores)))
    return rows


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
    everything, texts, queries, foreign = make(embedder, load_sounds(options.media, (options.fold,)), sprites)
    halves = (_CLASSES[:5], _CLASSES[5:])
    lacking = {label: everything.without(half) for half in halves for label in half}
    kept = {label: lacking[halves[label in halves[0]][0]] for label in _CLASSES}
    sets = {
        "Foreign": compare(
            [[rule(everything, query) for query in texts] for rule in RULES.values()],
            [[rule(everything, query) for query in foreign] for rule in RULES.values()],
        ),
        "Neighbours": compare(
            [[rule(kept[query.label], query) for query in queries] for rule in RULES.values()],
            [[rule(lacking[query.label], query) for query in queries] for rule in RULES.values()],
        ),
    }
    right = {
        name: float(np.mean([rule(everything, query)[1] == query.label for query in queries]))
        for name, rule in RULES.items()
    }
    about = {
        **machine(1, "wall"),
        "model": f"{embedder.spec.name} at {embedder.spec.revision[:12]}",
        "library": f"{len(everything.labels)} films of {DURATION_S:g} s with sound, {_FILMS} of each class",
        "queries": "target any (audio, video, av)",
    }
    columns = ("score of the best hit", "area under the curve", "95 % interval")
    tables = [
        Table(title, columns, [(name, f"{area:.3f}", f"{low:.3f} to {high:.3f}") for name, area, (low, high) in rows])
        for title, rows in sets.items()
    ]
    tables.append(
        Table("Right class first", ("merged by", "share"), [(n, f"{share:.3f}") for n, share in right.items()])
    )
    publish(options.out / "RESULTS.md", "Is there anything like that?", about, tables)
    areas = {title: {name: [area, *bounds] for name, area, bounds in rows} for title, rows in sets.items()}
    record = {"about": about, "areas": areas, "right_class_first": right}
    (options.out / "calibration.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
