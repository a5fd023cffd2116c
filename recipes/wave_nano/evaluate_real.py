"""Evaluation on photographs, films and fifty classes of sounds that were not trained on."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from recipes.wave_nano import classes, esc50
from recipes.wave_nano.captions import QUESTIONS, pick, with_article
from recipes.wave_nano.measures import Row, answered, embed, metric, nearest, texts
from recipes.wave_nano.sounds import RATE_HZ
from wave_search.calibration import SAMPLE_SIZE, Background, cohort_stats
from wave_search.calibration.phrases import PHRASES
from wave_search.errors import UsageError
from wave_search.media.sampling import policy_of
from wave_search.media.segmentation import Segmentation
from wave_search.media.worker_pool import DecoderPool
from wave_search.types import Clip, Frames, Modality, Waveform

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from recipes.wave_nano.sounds import Sound
    from wave_search.models import Embedder

SOUND_WORDS = {**classes.SOUND_WORDS, **esc50.SOUND_WORDS}
PARAPHRASES = {**classes.PARAPHRASES, **esc50.PARAPHRASES}
_EVERYDAY = Path(__file__).parent / "everyday.toml"
_SEED = 30_000
_DEPTH = 10
_PER_CLASS = 5
"""Photographs of a class that are queries for sounds, so that the 118 breeds of dogs count as one class."""
_QUESTIONS, _STILL_S, _STILL_FRAMES = 160, 4.0, 4
_QUERIES, _HALVES = 40, 5
"""Names of each kind, and choices of what is absent."""


@dataclass(frozen=True, slots=True)
class Photographs:
    """One photograph for each class."""

    ids: tuple[str, ...]
    """Of the classes, as in `everyday.toml`."""
    names: tuple[str, ...]
    pixels: tuple[NDArray[np.uint8], ...]
    """Each (height, width, 3) RGB, resized for the model."""
    vectors: NDArray[np.float32]
    """(photographs, dim)"""

    def showing(self, ids: Sequence[str]) -> NDArray[np.bool_]:
        """Return (photographs,), whether the class is one of these."""
        return np.array([own in set(ids) for own in self.ids])


def read_photographs(embedder: Embedder, folder: Path) -> Photographs:
    """Read and embed photographs.

    Args:
        embedder: the model.
        folder: of files such as `n02123045_tabby.JPEG`: the id of the class, and its name.

    Raises:
        UsageError: there are none.
    """
    files = sorted(folder.glob("n????????_*.*"))
    if not files:
        raise UsageError(f"{folder}: holds no photographs", "Name a folder of files such as n02123045_tabby.JPEG.")
    policy = policy_of(embedder.spec.sampling)
    pixels = tuple(policy.resize_image(np.asarray(Image.open(path).convert("RGB"))) for path in files)
    names = tuple(path.stem.partition("_")[2].replace("_", " ") for path in files)
    ids = tuple(path.stem.partition("_")[0] for path in files)
    return Photographs(ids, names, pixels, embed(embedder, [Clip(image=one) for one in pixels], Modality.IMAGE))


def read_everyday() -> dict[str, tuple[str, ...]]:
    """Return everyday words with the ids of the classes that they describe."""
    return {words: tuple(ids) for words, ids in tomllib.loads(_EVERYDAY.read_text(encoding="utf-8")).items()}


def photograph_rows(embedder: Embedder, photographs: Photographs) -> list[Row]:
    """Search photographs by the names of their classes, and by everyday words."""
    similarities = texts(embedder, photographs.names) @ photographs.vectors.T
    pairs = np.eye(len(photographs.names), dtype=bool)
    everyday = read_everyday()
    found = texts(embedder, list(everyday)) @ photographs.vectors.T
    precision = []
    for row, ids in zip(found, everyday.values(), strict=True):
        relevant = photographs.showing(ids)
        depth = min(_DEPTH, int(relevant.sum()))
        precision.append(relevant[np.argsort(-row, kind="stable")[:depth]].mean() if depth else 0.0)
    total = len(photographs.names)
    return [
        Row(f"text to image: R@1 of {total}", metric("R@1", similarities, pairs), "0.70", 1 / total),
        Row(f"text to image: R@10 of {total}", metric("R@10", similarities, pairs), "0.90", 10 / total),
        Row("everyday words to image: precision@10", np.array(precision), "0.80", None),
        _absence(embedder, photographs, everyday),
    ]


def _absence(embedder: Embedder, photographs: Photographs, everyday: dict[str, tuple[str, ...]]) -> Row:
    """Compare the best z of names that are in a collection with that of names of things that are not.

    Half of the everyday words, with all that they describe, are taken out of the collection; several times, because
    figures differ by 0.03 from one half to another.
    """
    rng = np.random.default_rng(_SEED)
    names, cohort = texts(embedder, photographs.names), texts(embedder, PHRASES)
    words = [word for word, ids in everyday.items() if len(ids) < len(photographs.ids) // 20]
    wins = []
    for _ in range(_HALVES):
        left_out = [words[index] for index in rng.permutation(len(words))[: len(words) // 2]]
        out = photographs.showing([one for word in left_out for one in everyday[word]])
        kept = photographs.vectors[~out]
        mean, std = cohort_stats(kept @ cohort.T, np.ones((len(kept), len(cohort)), dtype=bool))
        sample = rng.choice(len(kept), SAMPLE_SIZE, replace=False)
        present, absent = (
            [
                Background.of(scores[sample], std, mean).z(scores).max()
                for scores in names[rng.choice(np.flatnonzero(chosen), _QUERIES, replace=False)] @ kept.T
            ]
            for chosen in (~out, out)
        )
        wins.append((np.array(present)[:, None] > np.array(absent)[None]).mean(axis=1))
    task = f"nothing like that: AUC of z, {_QUERIES} names present and {_QUERIES} absent, {_HALVES} times"
    return Row(task, np.concatenate(wins), "0.90", 0.5)


def sound_rows(embedder: Embedder, sounds: Sequence[Sound], heard: NDArray[np.float32]) -> list[Row]:
    """Search recordings of the fifty classes, with vectors `heard` (sounds, dim), by the words for them."""
    labels = list(SOUND_WORDS)
    truth = np.array([labels.index(sound.label) for sound in sounds])
    named = texts(embedder, [SOUND_WORDS[label][0] for label in labels])
    relevant = np.arange(len(labels))[:, None] == truth[None]
    others = [texts(embedder, [PARAPHRASES[label][place] for label in labels]) for place in range(3)]
    return [
        Row("text to audio, 50 classes: accuracy", nearest(heard @ named.T, truth), "0.68", 0.02),
        Row("text to audio, 50 classes: mAP@10", metric("mAP@10", named @ heard.T, relevant), "0.68", 0.02),
        Row(
            "paraphrases, 50 classes: accuracy",
            np.mean([nearest(heard @ wording.T, truth) for wording in others], axis=0),
            "0.45",
            0.02,
        ),
        Row(
            "paraphrases, 50 classes: mAP@10",
            metric("mAP@10", np.concatenate(others) @ heard.T, np.tile(relevant, (3, 1))),
            "",
            0.02,
        ),
    ]


def crossing_rows(photographs: Photographs, sounds: Sequence[Sound], heard: NDArray[np.float32]) -> list[Row]:
    """Search photographs by sounds, with vectors `heard` (sounds, dim), and sounds by photographs."""
    pictured = {**esc50.PICTURED, "dog": read_everyday()["a dog"]}
    shown = {label: photographs.showing(ids) for label, ids in pictured.items()}
    asking = [place for place, sound in enumerate(sounds) if sound.label in shown]
    wanted = np.stack([shown[sounds[place].label] for place in asking])
    to_photograph = metric("hit@5", heard[asking] @ photographs.vectors.T, wanted)
    seen = [(label, place) for label, there in shown.items() for place in np.flatnonzero(there)[:_PER_CLASS]]
    right = np.array([[sound.label == label for sound in sounds] for label, _ in seen])
    to_sound = metric("hit@5", photographs.vectors[[place for _, place in seen]] @ heard.T, right)
    return [
        Row("sound to photograph, 18 classes: hit@5", to_photograph, "0.70", None),
        Row("photograph to sound, 18 classes: hit@5", to_sound, "0.60", None),
    ]


def question_rows(embedder: Embedder, photographs: Photographs, sounds: Sequence[Sound]) -> list[Row]:
    """Ask what is seen, or heard, in photographs with the sound of another thing."""
    rng = np.random.default_rng(_SEED + 1)
    clips, asked = [], []
    labels = list(SOUND_WORDS)
    for number in range(_QUESTIONS):
        place, other = rng.choice(len(photographs.names), 2, replace=False)
        sound = sounds[int(rng.integers(len(sounds)))]
        samples = np.resize(sound.samples, round(_STILL_S * RATE_HZ))
        frames = Frames(np.repeat(photographs.pixels[place][None], _STILL_FRAMES, axis=0), _STILL_S)
        clips.append(Clip(frames=frames, waveform=Waveform(samples, RATE_HZ)))
        seen = [with_article(photographs.names[index]) for index in (place, other)]
        wrong = str(rng.choice([label for label in labels if label != sound.label]))
        heard = [SOUND_WORDS[label][0] for label in (sound.label, wrong)]
        kind, answers = ("subject", (*seen, *heard)) if number % 2 == 0 else ("sound", (*heard, *seen))
        asked.append((pick(rng, QUESTIONS[kind]), answers))
    right = answered(embedder, clips, asked)
    generic = answered(embedder, clips, [(None, answers) for _, answers in asked])
    return [
        Row("questions on photographs with sound: asked", right, "0.80", 0.25),
        Row("questions on photographs with sound: gain by asking", right - generic, "0.20", 0.0),
        Row("questions on photographs: what is seen", right[::2], "", 0.25),
        Row("questions on photographs: what is heard", right[1::2], "", 0.25),
    ]


def film_rows(embedder: Embedder, media: Path) -> list[Row]:
    """Search segments of 10 s of real films by the captions of the films."""
    rows = [json.loads(line) for line in (media / "manifest.jsonl").read_text(encoding="utf-8").splitlines()]
    films = [row for row in rows if row["kind"] == "video" and row["path"].startswith("video/")]
    owners, vectors = [], []
    with DecoderPool(1, embedder.spec.sampling) as decoders:
        for number, film in enumerate(films):
            path = media / film["path"]
            cut = decoders.segments(path, decoders.identify(path), Segmentation.parse("10"), [Modality.VIDEO])
            for segment in cut:
                owners.append(number)
                vectors.append(embedder.embed([segment.clip], [Modality.VIDEO])[0][Modality.VIDEO])
    similarities = texts(embedder, [film["caption"] for film in films]) @ np.stack(vectors).T
    relevant = np.arange(len(films))[:, None] == np.array(owners)[None]
    return [
        Row(
            f"text to video, {len(films)} films, {len(owners)} segments: hit@5",
            metric("hit@5", similarities, relevant),
            "0.60",
            5 / len(films),
        )
    ]
