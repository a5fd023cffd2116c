"""Evaluation of a model on sounds and drawing styles that it was not trained on.

Everything is embedded as in searches, with captions in fixed wording. Random choices are seeded, so that two runs give
the same figures.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from recipes.wave_nano.captions import QUESTIONS, Question, ask, scene_caption
from recipes.wave_nano.classes import PARAPHRASES, PICTOGRAMS, SOUND_WORDS, SOURCES
from recipes.wave_nano.scenes import DURATION_S, Scene, random_scene, render
from recipes.wave_nano.sounds import ESC10, RATE_HZ, Sound, load_sounds
from recipes.wave_nano.sprites import HELD_OUT_STYLE, Sprites, load_sprites
from wave_search.evaluation.metrics import similarity_figures
from wave_search.models import LoadOptions, load
from wave_search.types import Clip, Frames, Modality, Waveform

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from wave_search.models import Embedder

_SEED = 20_000
_VIDEOS, _AV_VIDEOS, _QUESTIONS = 200, 120, 160


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    task: str
    value: float
    wanted: float
    chance: float


def evaluate(embedder: Embedder, sounds: Sequence[Sound], sprites: Sprites) -> list[Row]:
    """Compute all metrics.

    Args:
        embedder: the model.
        sounds: held-out recordings of the ten classes of ESC-10.
        sprites: drawings in a held-out style.
    """
    return [
        *_text_and_audio(embedder, sounds),
        *_audio_and_video(embedder, sounds, sprites),
        *_text_and_video(embedder, sprites),
        *_questions(embedder, sounds, sprites),
    ]


def _text_and_audio(embedder: Embedder, sounds: Sequence[Sound]) -> list[Row]:
    classes = list(SOUND_WORDS)
    truth = np.array([classes.index(sound.label) for sound in sounds])
    heard = _embed(embedder, [_sound_clip(sound) for sound in sounds], Modality.AUDIO)
    named = _texts(embedder, [SOUND_WORDS[label][0] for label in classes])
    relevant = np.arange(len(classes))[:, None] == truth[None]
    others = np.stack([_texts(embedder, PARAPHRASES[label]) for label in classes], axis=1)
    paraphrased = [_accuracy(heard @ wording.T, truth) for wording in others]
    flat = others.swapaxes(0, 1).reshape(-1, heard.shape[1])
    return [
        Row("text to audio: accuracy of 10 classes", _accuracy(heard @ named.T, truth), 0.85, 0.1),
        Row("text to audio: mAP@10", _mean("mAP@10", named @ heard.T, relevant), 0.80, 0.1),
        Row("audio to text: hit@1", _mean("hit@1", heard @ named.T, relevant.T), 0.5, 0.1),
        Row("paraphrases: text to audio accuracy", float(np.mean(paraphrased)), 0.65, 0.1),
        Row(
            "paraphrases: text to audio mAP@10",
            _mean("mAP@10", flat @ heard.T, np.repeat(relevant, 3, axis=0)),
            0,
            0.1,
        ),
    ]


def _audio_and_video(embedder: Embedder, sounds: Sequence[Sound], sprites: Sprites) -> list[Row]:
    rng = np.random.default_rng(_SEED)
    labels = list(SOUND_WORDS)
    scenes = [replace(random_scene(rng, [SOURCES[labels[n % 10]]], walls=0.0), count=1) for n in range(_AV_VIDEOS)]
    watched = _embed(embedder, _video_clips(rng, scenes, sprites), Modality.VIDEO)
    heard = _embed(embedder, [_sound_clip(sound) for sound in sounds], Modality.AUDIO)
    relevant = np.array([[SOURCES[sound.label] == scene.subject for scene in scenes] for sound in sounds])
    similarities = heard @ watched.T
    return [
        Row("audio to video: hit@1 by class", _mean("hit@1", similarities, relevant), 0.60, 0.1),
        Row("video to audio: hit@1 by class", _mean("hit@1", similarities.T, relevant.T), 0.5, 0.1),
    ]


def _text_and_video(embedder: Embedder, sprites: Sprites) -> list[Row]:
    rng = np.random.default_rng(_SEED + 1)
    scenes: dict[Scene, None] = {}
    while len(scenes) < _VIDEOS:
        scene = random_scene(rng, list(PICTOGRAMS))
        scenes[replace(scene, count=1, place="wall" if scene.colour else "day")] = None
    watched = _embed(embedder, _video_clips(rng, list(scenes), sprites), Modality.VIDEO)
    told = _texts(embedder, [scene_caption(rng, scene) for scene in scenes])
    pairs = np.eye(_VIDEOS, dtype=bool)
    same_subject = np.array([[one.subject == other.subject for one in scenes] for other in scenes])
    to_video, to_text = told @ watched.T, watched @ told.T
    return [
        Row("text to video: hit@1 of 200", _mean("hit@1", to_video, pairs), 0.50, 0.005),
        Row("text to video: hit@5 of 200", _mean("hit@5", to_video, pairs), 0.85, 0.025),
        Row("text to video: right subject first", _mean("hit@1", to_video, same_subject), 0, 1 / len(PICTOGRAMS)),
        Row("video to text: hit@1 of 200", _mean("hit@1", to_text, pairs), 0.025, 0.005),
    ]


def _questions(embedder: Embedder, sounds: Sequence[Sound], sprites: Sprites) -> list[Row]:
    rng = np.random.default_rng(_SEED + 2)
    kinds = [list(QUESTIONS)[n % len(QUESTIONS)] for n in range(_QUESTIONS)]
    scenes = [replace(random_scene(rng, list(PICTOGRAMS), walls=1.0), count=1) for _ in kinds]
    heard = [sounds[int(rng.integers(len(sounds)))] for _ in kinds]
    asked = [
        ask(rng, kind, scene, sound.label, subjects=list(PICTOGRAMS), sounds=SOUND_WORDS)
        for kind, scene, sound in zip(kinds, scenes, heard, strict=True)
    ]
    clips = [
        replace(clip, waveform=Waveform(np.resize(sound.samples, round(DURATION_S * RATE_HZ)), RATE_HZ))
        for clip, sound in zip(_video_clips(rng, scenes, sprites), heard, strict=True)
    ]
    right = _answered(embedder, clips, asked, with_question=True)
    generic = _answered(embedder, clips, asked, with_question=False)
    by_kind = [
        Row(f"questions about the {kind}", float(right[[k == kind for k in kinds]].mean()), 0, 0.25)
        for kind in QUESTIONS
    ]
    return [
        Row("questions, 4 choices: asked", float(right.mean()), 0.70, 0.25),
        Row("questions, 4 choices: generic prompt", float(generic.mean()), 0, 0.25),
        Row("questions: gain by asking", float(right.mean() - generic.mean()), 0.20, 0),
        *by_kind,
    ]


def _answered(
    embedder: Embedder, clips: Sequence[Clip], asked: Sequence[Question], with_question: bool
) -> NDArray[np.bool_]:
    """Return (questions,), whether the right answer is nearest."""
    right = []
    for clip, question in zip(clips, asked, strict=True):
        instruction = question.text if with_question else None
        vector = embedder.embed([clip], [Modality.AV], instruction)[0][Modality.AV]
        right.append((_texts(embedder, question.answers) @ vector).argmax() == 0)
    return np.array(right)


def _accuracy(similarities: NDArray[np.float32], truth: NDArray[np.int64]) -> float:
    """Return the share of rows whose largest entry is the true one."""
    return float((similarities.argmax(axis=1) == truth).mean())


def _mean(figure: str, similarities: NDArray[np.float32], relevant: NDArray[np.bool_]) -> float:
    return float(similarity_figures(similarities, relevant)[figure].mean())


def _video_clips(rng: np.random.Generator, scenes: Sequence[Scene], sprites: Sprites) -> list[Clip]:
    return [Clip(frames=Frames(render(rng, scene, sprites), DURATION_S)) for scene in scenes]


def _sound_clip(sound: Sound) -> Clip:
    return Clip(waveform=Waveform(sound.samples, RATE_HZ))


def _texts(embedder: Embedder, texts: Sequence[str]) -> NDArray[np.float32]:
    return _embed(embedder, [Clip(text=text) for text in texts], Modality.TEXT)


def _embed(embedder: Embedder, clips: Sequence[Clip], modality: Modality) -> NDArray[np.float32]:
    return np.stack([vectors[modality] for vectors in embedder.embed(clips, [modality])])


def evaluate_model(model: str, media: Path, icons: Path, fold: int) -> list[str]:
    """Evaluate a model on the CPU.

    Args:
        model: a known model, or the directory of a checkpoint.
        media: folder of sounds with `manifest.jsonl`.
        icons: folder with `STYLE/icons.json` of the held-out style.
        fold: of the sounds.

    Returns:
        The lines of a Markdown table.
    """
    sounds = load_sounds(media, (fold,), (ESC10,))
    with tempfile.TemporaryDirectory() as cache:
        sprites = load_sprites(icons, (HELD_OUT_STYLE,), Path(cache))
    rows = evaluate(load(model, LoadOptions(device="cpu")), sounds, sprites)
    lines = [f"| {row.task} | {row.value:.3f} | {row.wanted or ''} | {row.chance:.3f} |" for row in rows]
    return ["| task | figure | goal | chance |", "|---|---|---|---|", *lines]
