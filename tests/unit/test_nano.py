"""wave-nano means something: sounds, scenes and words that it was not trained on."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from wave_search.model import load
from wave_search.train.scenes import DURATION_S, Scene, render
from wave_search.train.things import SOUND_WORDS, SOURCES
from wave_search.types import Clip, Frames, Modality, Waveform

DATA = Path(__file__).parent.parent / "data" / "nano"
SOUNDS = sorted((DATA / "sounds").glob("*.flac"))
CLASSES = list(SOUND_WORDS)


@pytest.fixture(scope="module")
def nano():
    return load("wave-nano", device="cpu")


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
    assert "demonstration" in nano.spec.notice
    assert nano.spec.sampling.max_pixels == 12_544
    directory = Path(load.__code__.co_filename).parent / "nano"
    assert sum(path.stat().st_size for path in directory.iterdir()) < 25_000_000


def test_sounds_find_their_names(nano, sounds: np.ndarray) -> None:
    names = embed(nano, [Clip(text=SOUND_WORDS[label][0]) for label in CLASSES], Modality.TEXT)
    found = [CLASSES[best] for best in (sounds @ names.T).argmax(axis=1)]
    assert found == [label_of(path) for path in SOUNDS]


def test_words_of_no_caption_find_their_sounds(nano, sounds: np.ndarray) -> None:
    queries = {"a hound woofing": "dog", "a newborn sobbing": "crying_baby", "a campfire": "crackling_fire"}
    texts = embed(nano, [Clip(text=text) for text in queries], Modality.TEXT)
    found = [label_of(SOUNDS[best]) for best in (texts @ sounds.T).argmax(axis=1)]
    assert found == list(queries.values())


def test_a_sound_finds_what_makes_it_in_a_style_never_trained_on(nano, sounds: np.ndarray) -> None:
    with np.load(DATA / "twemoji.npz") as drawings:
        sprites = {thing: drawings[thing] for thing in drawings.files}
    rng = np.random.default_rng(0)
    labels = [label for label in CLASSES if SOURCES[label] in sprites]
    scenes = [Scene(SOURCES[label], "right", None, "day") for label in labels]
    clips = [Clip(frames=Frames(render(rng, scene, sprites), DURATION_S)) for scene in scenes]
    videos = embed(nano, clips, Modality.VIDEO)
    asked = [index for index, path in enumerate(SOUNDS) if label_of(path) in labels]
    found = [labels[best] for best in (sounds[asked] @ videos.T).argmax(axis=1)]
    right = [one == label_of(SOUNDS[index]) for one, index in zip(found, asked, strict=True)]
    assert np.mean(right) >= 0.6
