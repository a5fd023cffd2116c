"""What scenes show, what captions and questions say of them, and which sounds may be used."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from recipes.wave_nano import esc50
from recipes.wave_nano.captions import QUESTIONS, ask, plural, scene_caption
from recipes.wave_nano.classes import PARAPHRASES, PICTOGRAMS, SOUND_WORDS
from recipes.wave_nano.scenes import Pictures, Scene, any_size, random_scene, render
from recipes.wave_nano.sounds import augmented, load_sounds
from recipes.wave_nano.sprites import restyled
from recipes.wave_nano.vocabulary import captions, phrases, read_lexicon

BALL = np.zeros((1, 96, 96, 4), np.uint8)
BALL[0, 20:76, 20:76] = (250, 250, 250, 255)
LITTLE_WORDS = {"a", "an", "the", "of", "at", "in", "by", "with", "someone", "have", "and", "work", "from", "on", "to"}


def words(texts: list[str]) -> set[str]:
    return {word for text in texts for word in re.findall(r"[a-z]+", text.lower())}


def test_paraphrases_use_no_content_word_of_the_training_captions() -> None:
    heard = [text for pool in esc50.SOUND_WORDS.values() for text in pool]
    captions_used = words([*captions(np.random.default_rng(0), 4000, heard), *heard])
    pools = [*PARAPHRASES.values(), *esc50.PARAPHRASES.values()]
    kept_apart = words([text for pool in pools for text in pool]) - LITTLE_WORDS
    assert kept_apart & captions_used == set()
    assert set(PARAPHRASES) == set(SOUND_WORDS)
    assert set(esc50.PARAPHRASES) == set(esc50.SOUND_WORDS)


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


def test_captions_name_subject_colour_and_number() -> None:
    rng = np.random.default_rng(0)
    caption = scene_caption(rng, Scene("penguin", "up", "red", "wall", count=2))
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
    question = ask(rng, "colour", scene, "rain", subjects=list(PICTOGRAMS), sounds=SOUND_WORDS)
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


def test_scenes_draw_every_subject() -> None:
    rng = np.random.default_rng(0)
    assert {random_scene(rng, ["dog", "cat"]).subject for _ in range(50)} == {"dog", "cat"}


def test_phrases_use_words_in_their_place_and_never_a_paraphrase(tmp_path: Path) -> None:
    listed = tmp_path / "words"
    listed.write_text("campfire\ncampfire's\nowl\nowl's\nhoot\nhooting\nsoft\nsoftly\n")
    lexicon = read_lexicon(listed, ["owl", "and"])
    assert lexicon.nouns == ("owl", "campfire")
    assert lexicon.doings == ("hooting",)
    assert "soft" in lexicon.qualities
    assert lexicon.words[:2] == ("owl", "and")
    made = phrases(np.random.default_rng(0), lexicon, lexicon.only({"owl", "hooting", "soft"}), 3000)
    assert {"an owl", "an owl hooting", "campfires"} <= set(made)
    assert "a owl" not in " ".join(made)
    assert not set(made) & {text for pool in PARAPHRASES.values() for text in pool}


def test_a_drawing_in_another_style_stays_a_drawing_and_its_original_untouched() -> None:
    rng = np.random.default_rng(0)
    before = BALL[0].copy()
    redrawn = [restyled(rng, BALL[0]) for _ in range(60)]
    assert {drawing.shape for drawing in redrawn} == {BALL[0].shape}
    assert {drawing.dtype for drawing in redrawn} == {np.dtype(np.uint8)}
    assert 15 < sum(not np.array_equal(drawing, before) for drawing in redrawn) < 45
    assert min(int(drawing[..., 3].max()) for drawing in redrawn) > 200
    assert np.array_equal(BALL[0], before)


def test_training_draws_as_the_evaluation_does_but_with_its_own_noise() -> None:
    pictures = Pictures({"football": BALL})
    scenes = [Scene("football", "right", "red", "wall")] * 3
    videos = pictures.draw(np.random.default_rng(0), scenes, (84, 140), slice(0, 2))
    assert [video.shape for video in videos] == [(2, 84, 140, 3)] * 3
    assert not np.array_equal(videos[0], videos[1])
    assert {any_size(np.random.default_rng(seed)) for seed in range(60)} == {(112, 112), (84, 140), (140, 84)}
