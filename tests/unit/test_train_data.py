"""What scenes show, what captions and questions say of them, and which sounds may be used."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from wave_search.train.paraphrases import PARAPHRASES
from wave_search.train.questions import ask
from wave_search.train.scenes import Scene, random_scene, render
from wave_search.train.sounds import augmented, load_sounds
from wave_search.train.things import PICTOGRAMS, SOUND_WORDS
from wave_search.train.vocabulary import captions
from wave_search.train.wording import QUESTIONS, plural, seen

BALL = np.zeros((1, 96, 96, 4), np.uint8)
BALL[0, 20:76, 20:76] = (250, 250, 250, 255)
LITTLE_WORDS = {"a", "an", "the", "of", "at", "in", "by", "with", "someone", "have", "and", "work"}


def words(texts: list[str]) -> set[str]:
    return {word for text in texts for word in re.findall(r"[a-z]+", text.lower())}


def test_paraphrases_use_no_content_word_of_the_training_captions() -> None:
    captions_used = words(captions(np.random.default_rng(0), 4000, []))
    kept_apart = words([text for pool in PARAPHRASES.values() for text in pool]) - LITTLE_WORDS
    assert kept_apart & captions_used == set()
    assert set(PARAPHRASES) == set(SOUND_WORDS)


@pytest.mark.parametrize(("motion", "axis", "sign"), [("right", 1, 1), ("left", 1, -1), ("down", 0, 1), ("up", 0, -1)])
def test_a_scene_moves_as_it_says(motion: str, axis: int, sign: int) -> None:
    scene = Scene("football", motion, None, "night")
    frames = render(np.random.default_rng(3), scene, {"football": BALL}).astype(int)
    light = np.clip(frames.min(axis=-1) - 120, 0, None)
    centres = [np.average(np.indices(frame.shape)[axis], weights=frame) for frame in light]
    assert (np.diff(centres) * sign > 0).all()


def test_only_the_wanted_frames_are_drawn() -> None:
    scene = Scene("football", "right", None, "day")
    assert render(np.random.default_rng(0), scene, {"football": BALL}, (84, 140), slice(1, 3)).shape == (2, 84, 140, 3)


def test_captions_name_thing_colour_and_number() -> None:
    rng = np.random.default_rng(0)
    caption = seen(rng, Scene("penguin", "up", "red", "wall", count=2))
    assert caption.startswith("two penguins ")
    assert "red" in caption
    assert [plural(word) for word in ("mouse", "bus", "butterfly", "cactus")] == [
        "mice",
        "buses",
        "butterflies",
        "cacti",
    ]


def test_a_question_has_one_right_answer_first() -> None:
    rng = np.random.default_rng(0)
    scene = Scene("dog", "left", "green", "wall")
    question = ask(rng, "colour", scene, "rain", things=list(PICTOGRAMS), sounds=SOUND_WORDS)
    assert "green" in question.answers[0]
    assert "green" not in question.answers[1]
    assert len(set(question.answers)) == 4
    assert question.text in QUESTIONS["colour"]


def test_share_alike_and_repository_licences_are_left_out(tmp_path: Path) -> None:
    licences = ("CC0-1.0", "CC-BY-3.0", "CC-BY-SA-4.0", "MIT (repository)", "CC0-1.0 (repository LICENSE)")
    rows = []
    for number, licence in enumerate(licences):
        soundfile.write(tmp_path / f"{number}.flac", np.zeros(1600), 16_000)
        rows.append(
            {"path": f"{number}.flac", "kind": "audio", "label": "dog", "caption": "A dog.", "fold": 1}
            | {"licence": licence, "attribution": "someone", "collection": "some"}
        )
    (tmp_path / "manifest.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert [sound.licence for sound in load_sounds(tmp_path, (1,))] == ["CC0-1.0", "CC-BY-3.0"]


def test_augmentation_keeps_length_and_range(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    tone = np.sin(np.arange(40_000) / 20).astype(np.float32)
    soundfile.write(tmp_path / "tone.flac", tone, 16_000)
    row = {"path": "tone.flac", "kind": "audio", "label": "dog", "caption": "A dog.", "fold": 2, "licence": "CC0-1.0"}
    (tmp_path / "manifest.jsonl").write_text(json.dumps(row | {"attribution": "someone", "collection": "some"}))
    (sound,) = load_sounds(tmp_path, (2,))
    for _ in range(20):
        samples = augmented(rng, sound, 16_000)
        assert samples.shape == (16_000,)
        assert samples.dtype == np.float32
        assert 0.05 < np.abs(samples).max() <= 1


def test_scenes_draw_every_thing() -> None:
    rng = np.random.default_rng(0)
    assert {random_scene(rng, ["dog", "cat"]).thing for _ in range(50)} == {"dog", "cat"}
