"""wave-nano means something: sounds, scenes and words that it was not trained on."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from recipes.wave_nano.captions import scene_caption
from recipes.wave_nano.classes import PARAPHRASES, SOUND_WORDS, SOURCES
from recipes.wave_nano.scenes import DURATION_S, FRAME_SIZE, Scene, random_scene, render
from recipes.wave_nano.sprites import Sprites
from wave_search.models import LoadOptions, load
from wave_search.types import Clip, Frames, Modality, Waveform

DATA = Path(__file__).parent.parent / "data" / "nano"
SOUNDS = sorted((DATA / "sounds").glob("*.flac"))
CLASSES = list(SOUND_WORDS)


@pytest.fixture(scope="module")
def nano():
    return load("wave-nano", LoadOptions(device="cpu"))


def embed(nano, clips: list[Clip], modality: Modality, instruction: str | None = None) -> np.ndarray:
    return np.stack([vectors[modality] for vectors in nano.embed(clips, [modality], instruction)])


def heard(path: Path) -> Clip:
    samples, rate_hz = soundfile.read(path, dtype="float32")
    return Clip(waveform=Waveform(samples, rate_hz))


def label_of(path: Path) -> str:
    return path.stem.rpartition("-")[2]


@pytest.fixture(scope="module")
def sounds(nano) -> np.ndarray:
    return embed(nano, [heard(path) for path in SOUNDS], Modality.AUDIO)


def test_it_is_small_and_says_what_it_is(nano) -> None:
    assert "small model" in nano.spec.notice
    assert nano.spec.sampling.numbers["max_pixels"] == 50_176
    directory = Path(load.__code__.co_filename).parent / "bundled" / "nano"
    assert sum(path.stat().st_size for path in directory.iterdir()) < 31_000_000


def test_sounds_find_their_names(nano, sounds: np.ndarray) -> None:
    names = embed(nano, [Clip(text=SOUND_WORDS[label][0]) for label in CLASSES], Modality.TEXT)
    found = [CLASSES[best] for best in (sounds @ names.T).argmax(axis=1)]
    assert found == [label_of(path) for path in SOUNDS]


def test_words_of_no_caption_find_their_sounds(nano, sounds: np.ndarray) -> None:
    queries = {"a hound woofing": "dog", "a newborn sobbing": "crying_baby", "a campfire": "crackling_fire"}
    texts = embed(nano, [Clip(text=text) for text in queries], Modality.TEXT)
    found = [label_of(SOUNDS[best]) for best in (texts @ sounds.T).argmax(axis=1)]
    assert found == list(queries.values())


def test_most_sounds_are_named_rightly_in_words_of_no_caption(nano, sounds: np.ndarray) -> None:
    wordings = np.stack(
        [embed(nano, [Clip(text=text) for text in PARAPHRASES[label]], Modality.TEXT) for label in CLASSES], axis=1
    )
    truth = [CLASSES.index(label_of(path)) for path in SOUNDS]
    assert np.mean([(sounds @ named.T).argmax(axis=1) == truth for named in wordings]) >= 0.65


@pytest.fixture(scope="module")
def sprites() -> Sprites:
    """Drawings in a style never trained on."""
    with np.load(DATA / "twemoji.npz") as drawings:
        return {thing: drawings[thing] for thing in drawings.files}


def filmed(sprites: Sprites, scenes: Sequence[Scene]) -> list[Clip]:
    rng = np.random.default_rng(0)
    return [Clip(frames=Frames(render(rng, scene, sprites, FRAME_SIZE), DURATION_S)) for scene in scenes]


def test_a_sound_finds_what_makes_it(nano, sounds: np.ndarray, sprites: Sprites) -> None:
    labels = [label for label in CLASSES if SOURCES[label] in sprites]
    scenes = [Scene(SOURCES[label], "right", None, "day") for label in labels]
    videos = embed(nano, filmed(sprites, scenes), Modality.VIDEO)
    asked = [index for index, path in enumerate(SOUNDS) if label_of(path) in labels]
    found = [labels[best] for best in (sounds[asked] @ videos.T).argmax(axis=1)]
    right = [one == label_of(SOUNDS[index]) for one, index in zip(found, asked, strict=True)]
    assert np.mean(right) >= 0.6


def test_captions_find_thing_motion_and_colour(nano, sprites: Sprites) -> None:
    rng = np.random.default_rng(1)
    scenes = list({replace(random_scene(rng, list(sprites), walls=1.0), count=1): None for _ in range(24)})
    videos = embed(nano, filmed(sprites, scenes), Modality.VIDEO)
    texts = embed(nano, [Clip(text=scene_caption(rng, scene)) for scene in scenes], Modality.TEXT)
    assert np.mean((texts @ videos.T).argmax(axis=1) == np.arange(len(scenes))) >= 0.5


@pytest.mark.parametrize(
    ("question", "answers"),
    [("What is seen?", ("a dog", "a red wall")), ("What colour is the wall?", ("a red wall", "a dog"))],
)
def test_the_question_decides_which_true_answer_is_nearest(
    nano, sprites: Sprites, question: str, answers: tuple[str, str]
) -> None:
    (clip,) = filmed(sprites, [Scene("dog", "left", "red", "wall")])
    clip = replace(clip, waveform=heard(SOUNDS[0]).waveform)
    vector = embed(nano, [clip], Modality.AV, question)[0]
    asked_for, not_asked_for = embed(nano, [Clip(text=answer) for answer in answers], Modality.TEXT) @ vector
    assert asked_for > not_asked_for
