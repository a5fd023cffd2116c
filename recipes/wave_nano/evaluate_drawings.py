"""Evaluation on the ten sounds of ESC-10 and on drawings in a style that was not trained on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from recipes.wave_nano.captions import QUESTIONS, ask, scene_caption
from recipes.wave_nano.classes import PARAPHRASES, PICTOGRAMS, SOUND_WORDS, SOURCES
from recipes.wave_nano.measures import Row, answered, embed, metric, nearest, sound_clip, texts
from recipes.wave_nano.scenes import DURATION_S, SIZES, Scene, random_scene, render
from recipes.wave_nano.sounds import RATE_HZ
from wave_search.types import Clip, Frames, Modality, Waveform

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recipes.wave_nano.sounds import Sound
    from recipes.wave_nano.sprites import Sprites
    from wave_search.models import Embedder

_SEED = 20_000
_VIDEOS, _AV_VIDEOS, _QUESTIONS = 200, 120, 160


def drawing_rows(embedder: Embedder, sounds: Sequence[Sound], sprites: Sprites) -> list[Row]:
    """Compute all figures. The goals are 0.10 under those of the first wave-nano.

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
    heard = embed(embedder, [sound_clip(sound) for sound in sounds], Modality.AUDIO)
    named = texts(embedder, [SOUND_WORDS[label][0] for label in classes])
    relevant = np.arange(len(classes))[:, None] == truth[None]
    others = np.stack([texts(embedder, PARAPHRASES[label]) for label in classes], axis=1)
    flat = others.swapaxes(0, 1).reshape(-1, heard.shape[1])
    return [
        Row("ten sounds: accuracy", nearest(heard @ named.T, truth), "0.85", 0.1),
        Row("ten sounds: mAP@10", metric("mAP@10", named @ heard.T, relevant), "0.88", 0.1),
        Row("ten sounds: audio to text, hit@1", metric("hit@1", heard @ named.T, relevant.T), "", 0.1),
        Row(
            "ten sounds, paraphrases: accuracy",
            np.mean([nearest(heard @ wording.T, truth) for wording in others], axis=0),
            "",
            0.1,
        ),
        Row(
            "ten sounds, paraphrases: mAP@10",
            metric("mAP@10", flat @ heard.T, np.repeat(relevant, 3, axis=0)),
            "",
            0.1,
        ),
    ]


def _audio_and_video(embedder: Embedder, sounds: Sequence[Sound], sprites: Sprites) -> list[Row]:
    rng = np.random.default_rng(_SEED)
    labels = list(SOUND_WORDS)
    scenes = [replace(random_scene(rng, [SOURCES[labels[n % 10]]], walls=0.0), count=1) for n in range(_AV_VIDEOS)]
    watched = embed(embedder, _video_clips(embedder, rng, scenes, sprites), Modality.VIDEO)
    heard = embed(embedder, [sound_clip(sound) for sound in sounds], Modality.AUDIO)
    relevant = np.array([[SOURCES[sound.label] == scene.subject for scene in scenes] for sound in sounds])
    similarities = heard @ watched.T
    return [
        Row("drawings: audio to video, hit@1 by class", metric("hit@1", similarities, relevant), "0.75", 0.1),
        Row("drawings: video to audio, hit@1 by class", metric("hit@1", similarities.T, relevant.T), "0.72", 0.1),
    ]


def _text_and_video(embedder: Embedder, sprites: Sprites) -> list[Row]:
    rng = np.random.default_rng(_SEED + 1)
    scenes: dict[Scene, None] = {}
    while len(scenes) < _VIDEOS:
        scene = random_scene(rng, list(PICTOGRAMS))
        scenes[replace(scene, count=1, place="wall" if scene.colour else "day")] = None
    watched = embed(embedder, _video_clips(embedder, rng, list(scenes), sprites), Modality.VIDEO)
    told = texts(embedder, [scene_caption(rng, scene) for scene in scenes])
    pairs = np.eye(_VIDEOS, dtype=bool)
    same_subject = np.array([[one.subject == other.subject for one in scenes] for other in scenes])
    to_video, to_text = told @ watched.T, watched @ told.T
    return [
        Row("drawings: text to video, hit@1 of 200", metric("hit@1", to_video, pairs), "0.75", 0.005),
        Row("drawings: text to video, hit@5 of 200", metric("hit@5", to_video, pairs), "0.89", 0.025),
        Row(
            "drawings: text to video, right subject first",
            metric("hit@1", to_video, same_subject),
            "0.75",
            1 / len(PICTOGRAMS),
        ),
        Row("drawings: video to text, hit@1 of 200", metric("hit@1", to_text, pairs), "0.76", 0.005),
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
        for clip, sound in zip(_video_clips(embedder, rng, scenes, sprites), heard, strict=True)
    ]
    right = answered(embedder, clips, [(question.text, question.answers) for question in asked])
    generic = answered(embedder, clips, [(None, question.answers) for question in asked])
    goals = {"subject": "0.85", "sound": "0.78", "colour": "0.90", "motion": "0.90"}
    by_kind = [
        Row(f"drawings, questions about the {kind}", right[[k == kind for k in kinds]], goals[kind], 0.25)
        for kind in QUESTIONS
    ]
    return [
        Row("drawings, questions: asked", right, "0.86", 0.25),
        Row("drawings, questions: generic prompt", generic, "", 0.25),
        Row("drawings, questions: gain by asking", right - generic, "0.20", 0),
        *by_kind,
    ]


def _video_clips(embedder: Embedder, rng: np.random.Generator, scenes: Sequence[Scene], sprites: Sprites) -> list[Clip]:
    """Draw scenes in the size to which the model has frames resized."""
    height, width = SIZES[0]
    scale = max(1, round((embedder.spec.sampling.numbers["max_pixels"] / (height * width)) ** 0.5))
    size = (scale * height, scale * width)
    return [Clip(frames=Frames(render(rng, scene, sprites, size), DURATION_S)) for scene in scenes]
