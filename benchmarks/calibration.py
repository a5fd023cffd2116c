"""How well a score separates queries with a match in a library from queries without.

    python benchmarks/calibration.py --media FOLDER --icons FOLDER [--model wave-nano] [--out FOLDER]

The library consists of films with sound. The folders are those of `recipes.wave_nano evaluate`; sounds and drawings are
held out from training. "Foreign": forty texts about ten classes of films in the library against forty texts about
subjects of no film. "Neighbours": forty queries (text about a sound, text about a thing, a sound, a scene) on a library
that has their class, against the same queries on a library that lacks it but has very similar films. "Half of the
classes missing": recordings alone, through `Index.search`.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.calibration_rules import RULES, Library, Query, Score, z_of
from benchmarks.calibration_sounds import LIBRARIES, Best, ask
from benchmarks.results import Table, machine, publish
from benchmarks.separation import area_under_curve, interval
from recipes.wave_nano.classes import PICTOGRAMS, SOUND_WORDS, SOURCES
from recipes.wave_nano.scenes import DURATION_S, FRAME_SIZE, random_scene, render
from recipes.wave_nano.sounds import RATE_HZ, load_sounds
from recipes.wave_nano.sprites import HELD_OUT_STYLE, load_sprites
from wave_search.calibration.phrases import PHRASES
from wave_search.models import LoadOptions, load
from wave_search.types import Clip, Frames, Modality, Waveform

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from recipes.wave_nano.sounds import Sound
    from recipes.wave_nano.sprites import Sprites
    from wave_search.models import Embedder

_SEED = 40_000
_CLASSES = tuple(SOUND_WORDS)
_FILMS, _OTHER_FILMS = 6, 8
"""Number of films of each class, and of each thing that makes none of the ten sounds."""
_PARTITIONS = (Modality.AUDIO, Modality.VIDEO, Modality.AV)
_MIN_SCORES = (2.0, 3.0, 4.0, 5.0, 6.0)
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


def film(rng: np.random.Generator, thing: str, sound: Sound, sprites: Sprites) -> Clip:
    """A scene of a thing with a sound track."""
    frames = Frames(render(rng, random_scene(rng, [thing]), sprites, FRAME_SIZE), DURATION_S)
    return Clip(frames=frames, waveform=Waveform(np.resize(sound.samples, round(DURATION_S * RATE_HZ)), RATE_HZ))


def make(
    embedder: Embedder, sounds: Sequence[Sound], sprites: Sprites
) -> tuple[Library, list[Query], list[Query], list[Query]]:
    """Render and embed the films, texts and queries of all kinds about them, and foreign texts."""
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

    def query(label: str, clip: Clip, modality: Modality) -> Query:
        return Query(label, modality, embedder.embed([clip], [modality])[0][modality])

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
    """Return the areas of all rules, given their scores of each query."""
    rng = np.random.default_rng(_SEED)
    rows = []
    for name, high, low in zip(RULES, present, absent, strict=True):
        scores = np.array([score for score, _ in high]), np.array([score for score, _ in low])
        rows.append((name, area_under_curve(*scores), interval(rng, *scores)))
    return rows


def by_target(
    kept: Mapping[str, Library], lacking: Mapping[str, Library], queries: Sequence[Query]
) -> list[tuple[str, ...]]:
    """Return the rows of a table: how well z separates neighbours, by target and by kind of query."""
    kinds = len(queries) // len(_CLASSES)
    best = [np.stack([z_of(of[query.label], query).max(axis=1) for query in queries]) for of in (kept, lacking)]
    rows = []
    for target, chosen in [(str(m), [at]) for at, m in enumerate(_PARTITIONS)] + [("any", [0, 1, 2])]:
        present, absent = (scores[:, chosen].max(axis=1) for scores in best)
        areas = [area_under_curve(present[at::kinds], absent[at::kinds]) for at in range(kinds)]
        rows.append((target, *(f"{area:.3f}" for area in [*areas, area_under_curve(present, absent)])))
    return rows


def of_sounds(found: Mapping[str, Best]) -> tuple[list[Table], dict[str, list[float]]]:
    """Return tables of the results of `Index.search`, with the areas of z and of the cosine."""
    together = Best(*(np.concatenate([getattr(each, of) for each in found.values()]) for of in ("present", "absent")))
    everything = {**found, "all": together}
    areas = {
        kind: [area_under_curve(each.present[:, at], each.absent[:, at]) for at in (0, 1)]
        for kind, each in everything.items()
    }
    rng = np.random.default_rng(_SEED)
    rows, kept = [], []
    for kind, each in everything.items():
        low, high = interval(rng, each.present[:, 0], each.absent[:, 0])
        count = f"{len(each.present)}, {len(each.absent)}"
        rows.append((kind, count, f"{areas[kind][0]:.3f}", f"{low:.3f} to {high:.3f}", f"{areas[kind][1]:.3f}"))
        shares = [f"{(each.present >= z)[:, 0].mean():.2f}, {(each.absent >= z)[:, 0].mean():.2f}" for z in _MIN_SCORES]
        kept.append((kind, *shares))
    title = f"Half of the classes missing: {len(LIBRARIES)} libraries of 40 recordings, target audio"
    columns = ("queries", "present, absent", "z", "95 % interval", "cosine")
    limits = ("queries", *(f"{z:g}" for z in _MIN_SCORES))
    return [
        Table(title, columns, rows),
        Table("Found by --min-score: share of present, of absent", limits, kept),
    ], areas


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
    embedder = load(options.model, LoadOptions(device="cpu"))
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
    tables.insert(
        2,
        Table(
            "Neighbours: z by target and query",
            ("target", "words for a sound", "words for a thing", "a sound", "a scene", "all"),
            by_target(kept, lacking, queries),
        ),
    )
    tables.append(
        Table("Right class first", ("merged by", "share"), [(n, f"{share:.3f}") for n, share in right.items()])
    )
    more, of_z_and_cosine = of_sounds(ask(options.media, options.fold, options.model))
    tables += more
    publish(options.out / "RESULTS.md", "Is there anything like that?", about, tables)
    areas = {title: {name: [area, *bounds] for name, area, bounds in rows} for title, rows in sets.items()}
    record = {"about": about, "areas": areas, "right_class_first": right, "half_missing": of_z_and_cosine}
    (options.out / "calibration.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
