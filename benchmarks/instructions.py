"""The effect of an instruction compared with the general prompt, and the depth of reranking that it needs.

    python benchmarks/instructions.py [--model wave-nano] [--out FOLDER]

The films show a thing moving in front of a coloured wall, with the sound of another thing, in a drawing style and with
sounds that wave-nano was not trained on. They are searched by texts for a colour, a sound, a thing or a motion:
embedded with the general prompt, with the best N embedded again with a question, and all embedded with the question.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.results import Table, machine, publish
from recipes.wave_nano.captions import MOTION_WORDS, QUESTIONS
from recipes.wave_nano.classes import SOUND_WORDS
from recipes.wave_nano.scenes import COLOURS, DURATION_S, FRAME_SIZE, random_scene, render
from wave_search.models import LoadOptions, load
from wave_search.types import Clip, Frames, Modality, Waveform

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from recipes.wave_nano.scenes import Scene
    from wave_search.models import Embedder

_DATA = Path(__file__).parents[1] / "tests" / "data" / "nano"
_FILMS = 96
_DEPTHS = (10, 20, 40)
_SEED = 0


def films() -> tuple[list[Clip], list[tuple[Scene, str]]]:
    """Return clips, and the thing, sound, colour and motion of each."""
    rng = np.random.default_rng(_SEED)
    sounds = {path.stem.rpartition("-")[2]: soundfile.read(path, dtype="float32") for path in _DATA.glob("sounds/*")}
    with np.load(_DATA / "twemoji.npz") as drawings:
        sprites = {thing: drawings[thing] for thing in drawings.files}
    clips, truths = [], []
    for _ in range(_FILMS):
        scene = replace(random_scene(rng, list(sprites), walls=1.0), count=1)
        heard = str(rng.choice(list(sounds)))
        samples, rate_hz = sounds[heard]
        sound = Waveform(np.resize(samples, round(DURATION_S * rate_hz)), rate_hz)
        clips.append(Clip(frames=Frames(render(rng, scene, sprites, FRAME_SIZE), DURATION_S), waveform=sound))
        truths.append((scene, heard))
    return clips, truths


def queries(truths: list[tuple[Scene, str]]) -> dict[str, dict[str, NDArray[np.bool_]]]:
    """Return texts and the films that match them, by kind of question."""
    values = {
        "colour": {f"a {colour} wall": [str(scene.colour) == colour for scene, _ in truths] for colour in COLOURS},
        "sound": {words[0]: [heard == label for _, heard in truths] for label, words in SOUND_WORDS.items()},
        "subject": {
            f"a {thing}": [scene.subject == thing for scene, _ in truths]
            for thing in {scene.subject for scene, _ in truths}
        },
        "motion": {
            f"it {words[0]}": [scene.motion == motion for scene, _ in truths] for motion, words in MOTION_WORDS.items()
        },
    }
    return {
        kind: {words: np.array(meant) for words, meant in of_kind.items() if any(meant)}
        for kind, of_kind in values.items()
    }


def precision(order: NDArray[np.int64], meant: NDArray[np.bool_]) -> float:
    """Return the R-precision: the share of matching films among as many first hits."""
    return float(meant[order[: meant.sum()]].mean())


def reordered(general: NDArray[np.float32], asked: NDArray[np.float32], depth: int) -> NDArray[np.int64]:
    """Return the order of hits if the best `depth` are embedded again."""
    order = np.argsort(-general)
    best = order[:depth]
    return np.concatenate([best[np.argsort(-asked[best])], order[depth:]])


def measure(embedder: Embedder) -> Table:
    """Return one row for each kind of question."""
    clips, truths = films()
    kinds = queries(truths)
    each = embedder.embed_each(clips, [None, *(QUESTIONS[kind][0] for kind in kinds)], [Modality.AV])
    views = [np.stack([vectors[Modality.AV] for vectors in view]) for view in zip(*each, strict=True)]
    rows = []
    for (kind, meanings), view in zip(kinds.items(), views[1:], strict=True):
        texts = embedder.embed([Clip(text=words) for words in meanings], [Modality.TEXT])
        figures, moves = [], []
        for vectors, meant in zip(texts, meanings.values(), strict=True):
            general, asked = (made @ vectors[Modality.TEXT] for made in (views[0], view))
            figures.append([precision(reordered(general, asked, n), meant) for n in (0, *_DEPTHS, len(clips))])
            moves.append((asked - general).mean() / general.std())
        found = (f"{mean:.2f}" for mean in np.mean(figures, axis=0))
        rows.append((QUESTIONS[kind][0], str(len(meanings)), *found, f"{np.mean(moves):+.1f}"))
    depths = (f"best {depth} again" for depth in _DEPTHS)
    return Table(
        f"Films that are meant among the first as many hits, of {len(clips)}",
        ("instruction", "queries", "general prompt", *depths, "all with it", "scores move"),
        rows,
    )


def main() -> None:
    """Measure and publish."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--model", default="wave-nano")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    options = parser.parse_args()
    embedder = load(options.model, LoadOptions(device="cpu"))
    about = {"model": f"{embedder.spec.name} at {embedder.spec.revision[:12]}", **machine(1, "cpu")}
    notes = "Scores move: of all films on average, in standard deviations of a query's scores with the general prompt."
    publish(options.out / "RESULTS.md", "Instructions", about, [measure(embedder)], notes)


if __name__ == "__main__":
    main()
