"""Steps of the stages on material that is made up: what learns, what rests, and what the ablations leave out."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

import wave_search.models
from recipes.wave_nano import audio, joint, text, vision
from recipes.wave_nano.ablate import Partial, Variant, row
from recipes.wave_nano.architecture import HIDDEN, LABELS, REGIONS, SOUND_LABELS, untrained
from recipes.wave_nano.audio import TRAINED, AudioStage
from recipes.wave_nano.classes import PICTOGRAMS, SOUND_WORDS
from recipes.wave_nano.dense import piece_of
from recipes.wave_nano.esc50 import PICTURED
from recipes.wave_nano.joint import ALL_TASKS, AUDIO_TASKS, JointStage
from recipes.wave_nano.materials import Materials
from recipes.wave_nano.photographs import Labels, Simulator, Wording
from recipes.wave_nano.sounds import ESC10, RATE_HZ, Sound
from recipes.wave_nano.teacher import Meanings
from recipes.wave_nano.vision import VisionStage

TOKENIZER = Path(wave_search.models.__file__).parent / "bundled" / "nano" / "tokenizer.json"


CAPTIONS, POOL = 8, 128


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small batches, and few phrases and recordings."""
    monkeypatch.setattr(audio, "_MANY", 1)
    monkeypatch.setattr(text, "CAPTIONS", CAPTIONS)
    monkeypatch.setattr(text, "_POOL", POOL)
    for stage in (audio, vision):
        monkeypatch.setattr(stage, "_BATCH", 4)
    monkeypatch.setattr(joint, "_BATCHES", dict.fromkeys(ALL_TASKS, 2))


def unit(rng: np.random.Generator, count: int) -> np.ndarray:
    vectors = rng.standard_normal((count, HIDDEN), dtype=np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def some_labels() -> Labels:
    """Two kinds of 500 labels each; those of the first are dogs."""
    halves = [np.arange(LABELS) // 500 == half for half in (0, 1)]
    kinds = [((Wording(kind, half),),) for kind, half in zip(("dog", "tool"), halves, strict=True)]
    ids = tuple((sorted({one for group in PICTURED.values() for one in group}) + ["n"] * LABELS)[:LABELS])
    names = tuple((Wording(f"thing {place}", np.arange(LABELS) == place),) for place in range(LABELS))
    return Labels(ids, names, tuple(kinds[place // 500] for place in range(LABELS)))


def recording(rng: np.random.Generator, label: str) -> Sound:
    samples = 0.3 * rng.standard_normal(2 * RATE_HZ, dtype=np.float32)
    return Sound(label, SOUND_WORDS[label], samples, ESC10, f"{label}.flac", "CC0-1.0", "nobody")


@pytest.fixture(scope="module")
def materials() -> Materials:
    rng = np.random.default_rng(0)
    phrases = tuple(f"thing {number}" for number in range(CAPTIONS + POOL))
    return Materials(
        tokenizer=Tokenizer.from_file(str(TOKENIZER)),
        meanings=Meanings(phrases, unit(rng, len(phrases)), np.eye(384, HIDDEN)),
        sounds={label: [recording(rng, label)] for label in SOUND_WORDS},
        held_out=[recording(rng, label) for label in SOUND_WORDS],
        sprites={thing: rng.integers(0, 256, (2, 96, 96, 4), dtype=np.uint8) for thing in PICTOGRAMS},
        sound_meanings=torch.from_numpy(unit(rng, len(SOUND_WORDS))),
        subject_meanings=torch.from_numpy(unit(rng, len(PICTOGRAMS))),
        labels=some_labels(),
        label_meanings=torch.from_numpy(unit(rng, LABELS)),
        simulator=Simulator(unit(rng, LABELS), REGIONS),
        classifier={},
        sound_classifier={},
        sound_label_meanings=torch.from_numpy(unit(rng, SOUND_LABELS)),
        drawn_labels={thing: np.full((2, 1 + REGIONS**2, LABELS), 1e-3, np.float16) for thing in PICTOGRAMS},
    )


def learned(stage, step: int) -> set[str]:
    """Parts of the model that one step reaches."""
    stage.trained.zero_grad()
    loss, figures = stage.loss(np.random.default_rng(step), step)
    assert np.isfinite(list(figures.values())).all()
    loss.backward()
    names = {"audio_tower", "sound_classifier", "visual", "model", "classify_linear"}
    reached = {name for name, weight in stage.trained.named_parameters() if weight.grad is not None}
    return {part for part in names if any(f"{part}." in name for name in reached)}


@pytest.mark.parametrize("task", ALL_TASKS)
def test_the_towers_learn_in_every_other_step(materials: Materials, task: str) -> None:
    stage = JointStage(untrained(0), materials, {task: 1.0})
    towers = (
        {"audio_tower", "sound_classifier"} if task == "text_audio" else {"audio_tower", "sound_classifier", "visual"}
    )
    towers = {"visual"} if task in ("text_video", "text_photo") else towers
    assert learned(stage, 0) == towers | {"model", "classify_linear"}
    assert learned(stage, 1) == {"model", "classify_linear"}


def test_the_first_stages_train_their_own_part(materials: Materials) -> None:
    assert learned(AudioStage(untrained(0), materials), 0) == {"audio_tower", "sound_classifier"}
    assert learned(VisionStage(untrained(0), materials), 0) == {"visual"}


def test_the_words_keep_their_meaning_in_joint_training(materials: Materials) -> None:
    wave = untrained(0)
    stage = JointStage(wave, materials, ALL_TASKS)
    trained = {name for name, weight in stage.trained.named_parameters() if weight.requires_grad}
    kept = set(dict(wave.named_parameters(prefix="wave"))) - trained
    published = ("wave.classifier.", "wave.sound_classifier.")
    assert {name for name in kept if not name.startswith(published)} == {"wave.model.embed_tokens.weight"}
    learning = ("wave.classifier.meanings.", *(f"wave.{prefix}" for prefix in TRAINED))
    assert {name for name in trained if name.startswith(published)} == {
        name for name, _ in wave.named_parameters(prefix="wave") if name.startswith(learning)
    }


def test_an_ablated_head_keeps_to_the_last_layer(materials: Materials) -> None:
    wave = untrained(0)
    stage = Partial(wave, materials, Variant("", AUDIO_TASKS, all_layers=False))
    learned(stage, 0)
    head = wave.classify_linear[0].weight
    assert head[:, :-HIDDEN].abs().sum() == 0
    assert head.grad[:, :-HIDDEN].abs().sum() == 0
    assert head.grad[:, -HIDDEN:].abs().sum() > 0


@pytest.mark.parametrize(("encoder", "silent"), [(0, "sound_classifier"), (1, "audio_tower")])
def test_an_encoder_that_is_left_out_is_not_heard(materials: Materials, encoder: int, silent: str) -> None:
    wave = untrained(0)
    stage = Partial(wave, materials, Variant("", AUDIO_TASKS, encoders=(encoder,)))
    piece = piece_of(wave, materials.held_out[0].samples)
    (features,) = stage._features([piece])
    torch.testing.assert_close(features.tokens, wave.audio_features([piece])[encoder::2], atol=1e-5, rtol=1e-4)
    learned(stage, 0)
    assert all(weight.grad is None or weight.grad.abs().sum() == 0 for weight in getattr(wave, silent).parameters())


def test_a_row_holds_mean_and_deviation() -> None:
    figures = [{"text_audio_accuracy": value, "text_video_hit": 0.5} for value in (0.6, 0.7, 0.8)]
    assert row("all", figures) == "| all | 0.700 +- 0.100 | 0.500 +- 0.000 |"
