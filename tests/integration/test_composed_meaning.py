"""Composed queries and questions mean something to wave-nano, on drawings and recordings that it was not trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import wave_search as ws
from recipes.wave_nano.captions import with_article
from recipes.wave_nano.scenes import DURATION_S, Scene, render
from wave_search.calibration.background import Background
from wave_search.calibration.cohort import cohort_stats
from wave_search.calibration.phrases import PHRASES
from wave_search.query.fusion import joint_z
from wave_search.types import Clip, Frames

DATA = Path(__file__).parent.parent / "data" / "nano"
COLOURS = ("red", "blue", "yellow", "green")
HEARD = {
    "dog": "a dog barking",
    "rain": "rain falling",
    "crying_baby": "a baby crying",
    "clock_tick": "a clock ticking",
    "helicopter": "a helicopter flying",
    "rooster": "a rooster crowing",
}


@pytest.fixture(scope="module")
def nano() -> object:
    with ws.load_embedder("wave-nano", load=ws.LoadOptions(device="cpu")) as loaded:
        yield loaded


@pytest.fixture(scope="module")
def scenes(nano: ws.MediaEmbedder) -> tuple[list[tuple[str, str]], np.ndarray]:
    """What is seen, before which wall; and the vectors."""
    with np.load(DATA / "twemoji.npz") as drawings:
        sprites = {thing: drawings[thing] for thing in drawings.files}
    rng = np.random.default_rng(0)
    about = [(thing, colour) for thing in sprites for colour in COLOURS]
    frames = [
        Frames(render(rng, Scene(thing, "right", colour, "wall"), sprites), DURATION_S) for thing, colour in about
    ]
    return about, nano.encode([Clip(frames=one) for one in frames])


def first_hits(nano: ws.MediaEmbedder, scenes: tuple[list[tuple[str, str]], np.ndarray], sign: float) -> np.ndarray:
    """(scenes, 2): whether thing and colour are right in the first hit, for each thing with (or not) each colour."""
    about, vectors = scenes
    scores = vectors @ nano.encode(PHRASES).T
    mean, std = cohort_stats(scores, np.ones_like(scores, np.bool_))
    found = []
    for thing, colour in about:
        words = nano.encode([with_article(thing), f"a {colour} wall"])
        backgrounds = [Background.of(row, std, mean) for row in words @ vectors.T]
        z = np.stack([one.z(row) for one, row in zip(backgrounds, words @ vectors.T, strict=True)])
        usual = np.array([one.usual_z for one in backgrounds], np.float32)
        first = about[int(joint_z(z, (1.0, sign), usual).argmax())]
        found.append((first[0] == thing, first[1] == colour))
    return np.array(found)


def test_a_thing_and_a_colour_find_what_has_both(
    nano: ws.MediaEmbedder, scenes: tuple[list[tuple[str, str]], np.ndarray]
) -> None:
    found = first_hits(nano, scenes, 1.0)
    assert found[:, 1].mean() >= 0.85
    assert found.all(axis=1).mean() >= 0.3, "of 40 scenes; by chance it were 0.025"


def test_a_colour_that_is_to_be_avoided_is_avoided(
    nano: ws.MediaEmbedder, scenes: tuple[list[tuple[str, str]], np.ndarray]
) -> None:
    assert first_hits(nano, scenes, -0.5)[:, 1].mean() <= 0.1, "by chance it were 0.25"


def test_questions_about_sounds_are_answered(nano: ws.MediaEmbedder) -> None:
    right = 0
    for label, words in HEARD.items():
        (path,) = (DATA / "sounds").glob(f"*-{label}.flac")
        right += nano.ask(path, "What is heard?", list(HEARD.values()))[0].text == words
    assert right >= 4, "of 6; by chance it were 1"
