"""The last stages: towers, decoder and head together, on one or several tasks; each batch holds one task."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the usual name
from torch import nn

from recipes.wave_nano.audio import TRAINED, draw_labels, draw_samples, masked
from recipes.wave_nano.captions import QUESTIONS, ask, av_caption, pick, scene_caption, with_article
from recipes.wave_nano.dense import (
    audio_features,
    embed_media,
    embed_text,
    piece_of,
    tower_tokens,
    vision_features,
)
from recipes.wave_nano.esc50 import PICTURED
from recipes.wave_nano.materials import sounding_subjects, text_tokenizer
from recipes.wave_nano.scenes import DURATION_S, FRAMES, Pictures, Scene, any_size, random_scene
from recipes.wave_nano.sounds import ESC10, ESC50, RATE_HZ, mixed
from recipes.wave_nano.teacher import distillation
from recipes.wave_nano.text import TextStage
from wave_search.finetune.losses import contrastive, multiple_choice
from wave_search.models.wave import sequences
from wave_search.models.wave.clips import PROMPTS
from wave_search.types import Modality

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from recipes.wave_nano.materials import Materials
    from wave_search.models.wave.network import Wave
    from wave_search.models.wave.preprocess import AudioPiece
    from wave_search.models.wave.sequences import AudioFeatures, VisionFeatures

AUDIO_TASKS = {"text_audio": 1.0}
"""Tasks of the stage that aligns the audio encoders with the decoder."""
ALL_TASKS = {
    "text_audio": 0.18,
    "text_video": 0.24,
    "text_av": 0.02,
    "audio_video": 0.08,
    "questions": 0.14,
    "text_photo": 0.2,
    "audio_photo": 0.06,
    "photo_questions": 0.08,
}
_BATCHES = {
    "text_audio": 24,
    "text_video": 48,
    "text_av": 16,
    "audio_video": 24,
    "questions": 20,
    "text_photo": 64,
    "audio_photo": 24,
    "photo_questions": 20,
}
_KINDS = 12
"""Number of subjects in a batch of captions and videos: so few that several videos differ only in motion and colour."""
_BANK_TEMPERATURE = 0.07
_LABEL_TEMPERATURE = 0.7
"""Photographs are found best with it, by their names, by everyday words, and by words for what is absent alike."""
_CUT_FILMS = 0.5
"""Share of films that show two things one after the other, of which the text names the one or the other."""


class Student(nn.Module):
    """The model and the temperature of its losses."""

    def __init__(self, wave: Wave) -> None:
        super().__init__()
        self.wave = wave
        self.log_temperature = nn.Parameter(torch.tensor(0.05).log())

    @property
    def temperature(self) -> torch.Tensor:
        """The temperature, not below that of the paper, 0.01."""
        return self.log_temperature.exp().clamp(min=0.01)


class JointStage:
    """See `loop.Stage`. Trains all but the token embeddings; the towers in every other step, to save time."""

    def __init__(self, wave: Wave, materials: Materials, tasks: Mapping[str, float]) -> None:
        """Prepare a model for training.

        Args:
            wave: the model.
            materials: inputs of the run.
            tasks: name -> share of the steps.
        """
        self._tasks = tasks
        self._student, self._materials, self._wave = Student(wave), materials, wave
        self._tokenizer = text_tokenizer(materials, wave)
        self._words = TextStage(wave, materials, batch=128, captions=False)
        self._pictures = Pictures(materials.sprites)
        self._subjects = self._pictures.subjects
        self._labels = list(materials.sounds)
        self._sources = sounding_subjects(materials)
        self._wordings = {label: sounds[0].wordings for label, sounds in materials.sounds.items()}
        wave.requires_grad_(True)
        # Captions use few words: training their tokens would separate them from those learned only from the teacher.
        wave.model.embed_tokens.requires_grad_(False)
        for name, weight in wave.named_parameters():
            published = name.startswith(("classifier.", "sound_classifier."))
            if published and not name.startswith(("classifier.meanings.", *TRAINED)):
                weight.requires_grad_(False)
        places = {one: place for place, one in enumerate(materials.labels.ids)}
        dogs = np.flatnonzero(materials.labels.kinds_named("dog"))
        self._pictured = {
            label: [places[one] for one in ids] for label, ids in PICTURED.items() if label in materials.sounds
        } | ({"dog": dogs.tolist()} if "dog" in materials.sounds else {})

    @property
    def trained(self) -> torch.nn.Module:
        """Model and temperature."""
        return self._student

    def loss(self, rng: np.random.Generator, step: int) -> tuple[torch.Tensor, dict[str, float]]:
        """Compute the loss of one task and, in steps that do not train the towers, that of the stage `text`."""
        task = str(rng.choice(list(self._tasks), p=list(self._tasks.values())))
        self._tower_gradients = step % 2 == 0
        loss: torch.Tensor = getattr(self, f"_{task}")(rng, _BATCHES[task])
        figures = {task: float(loss.detach()), "temperature": float(self._student.temperature.detach())}
        if self._tower_gradients:
            return loss, figures
        reminder, reminding = self._words.loss(rng, step)
        return loss + reminder, figures | {"words": reminding["cosine"]}

    def _text_audio(self, rng: np.random.Generator, batch: int) -> torch.Tensor:
        length = RATE_HZ * int(rng.choice((3, 3, 3, 5)))
        labels = draw_labels(rng, self._materials, batch)
        sounds = [draw_samples(rng, self._materials, label, length) for label in labels]
        texts = [pick(rng, self._wordings[label]) for label in labels]
        keys = list(labels)
        for index in np.flatnonzero(rng.random(batch) < 0.12):
            other = draw_labels(rng, self._materials, 1)[0]
            sounds[index] = mixed(rng, sounds[index], draw_samples(rng, self._materials, other, length))
            texts[index] = f"{texts[index]} and {pick(rng, self._wordings[other])}"
            keys[index] = " and ".join(sorted({labels[index], other}))
        media = self._embed_audio(rng, sounds)
        pure = [index for index, key in enumerate(keys) if key == labels[index]]
        known = torch.tensor([self._labels.index(labels[index]) for index in pure])
        bank = self._by_bank(media[pure], self._materials.sound_meanings, known)
        # Keeps the vectors of words that occur in no caption.
        meant = distillation(media[pure].float(), self._materials.sound_meanings[known])
        return self._contrast(media, self._embed_texts(texts), _equal(keys)) + 0.5 * bank + meant

    def _text_video(self, rng: np.random.Generator, batch: int) -> torch.Tensor:
        kinds = [self._subjects[index] for index in rng.choice(len(self._subjects), _KINDS, replace=False)]
        scenes = [random_scene(rng, kinds) for _ in range(batch)]
        still = rng.random() < 0.2
        moving = [not still and rng.random() < 0.8 for _ in scenes]
        texts = [scene_caption(rng, scene, moves) for scene, moves in zip(scenes, moving, strict=True)]
        videos = self._render(rng, scenes)
        labels = self._drawn_labels(rng, scenes, 1 if still else FRAMES // 2)
        if still:
            media = self._embed_images([pixels[1:2] for pixels in videos], labels)
        else:
            media = self._embed_videos(videos, labels)
        truth = [[_true_of(said, moves, scene) for said, moves in zip(scenes, moving, strict=True)] for scene in scenes]
        known = torch.tensor([self._subjects.index(scene.subject) for scene in scenes])
        bank = self._by_bank(media, self._materials.subject_meanings, known)
        return self._contrast(media, self._embed_texts(texts), torch.tensor(truth)) + 0.3 * bank

    def _text_av(self, rng: np.random.Generator, batch: int) -> torch.Tensor:
        scenes, labels = self._draw_clips(rng, batch, matching=0.5)
        media = self._embed_scenes(rng, scenes, labels, [PROMPTS[Modality.AV]] * batch)
        heard = [pick(rng, self._wordings[label]) for label in labels]
        pictures = [scene_caption(rng, scene, bool(rng.random() < 0.5)) for scene in scenes]
        texts = [av_caption(rng, picture, sound) for picture, sound in zip(pictures, heard, strict=True)]
        return self._contrast(media, self._embed_texts(texts), None)

    def _audio_video(self, rng: np.random.Generator, batch: int) -> torch.Tensor:
        scenes, labels = self._draw_clips(rng, batch, matching=1.0)
        audio = self._embed_audio(rng, [draw_samples(rng, self._materials, label, 3 * RATE_HZ) for label in labels])
        video = self._embed_videos(self._render(rng, scenes), self._drawn_labels(rng, scenes, FRAMES // 2))
        known = torch.tensor([self._subjects.index(scene.subject) for scene in scenes])
        bank = self._by_bank(video, self._materials.subject_meanings, known)
        return self._contrast(audio, video, _equal([scene.subject for scene in scenes])) + 0.3 * bank

    def _questions(self, rng: np.random.Generator, batch: int) -> torch.Tensor:
        scenes, labels = self._draw_clips(rng, batch, matching=0.3, walls=1.0)
        kinds = [pick(rng, tuple(QUESTIONS)) for _ in scenes]
        asked = [
            ask(rng, kind, scene, label, subjects=self._subjects, sounds=self._wordings)
            for kind, scene, label in zip(kinds, scenes, labels, strict=True)
        ]
        media = self._embed_scenes(rng, scenes, labels, [question.text for question in asked])
        answers = self._embed_texts([answer for question in asked for answer in question.answers])
        return multiple_choice(media, answers.view(batch, -1, answers.shape[-1]), self._student.temperature)

    def _text_photo(self, rng: np.random.Generator, batch: int) -> torch.Tensor:
        labels, meanings = self._materials.labels, self._materials.label_meanings
        steps = 1 if rng.random() < 0.7 else FRAMES // 2
        shown = np.repeat(rng.integers(len(labels.ids), size=(batch, 1)), steps, axis=1)
        for film in shown if steps > 1 else ():
            if rng.random() < _CUT_FILMS:
                film[int(rng.integers(1, steps)) :] = rng.integers(len(labels.ids))
        named = [int(rng.choice(film)) for film in shown]
        drawn = [labels.draw(rng, label) for label in named]
        seen = self._photographed(rng, shown)
        if steps == 1:
            media = self._embed_images(self._clutter(rng, batch, 1), seen)
        else:
            media = self._embed_videos(self._clutter(rng, batch, FRAMES), seen)
        truth = torch.from_numpy(np.stack([true_of[shown].any(axis=1) for _, true_of in drawn], axis=1))
        # What the labels mean, weighted by their probabilities, finds photographs better than any decoder yet; it
        # also keeps the vectors of words that are no name of a label.
        meant = F.normalize(_sharpened(seen[:, :, 0]).mean(dim=1) @ meanings, dim=-1)
        bank = self._by_bank(media, meanings, (meant @ meanings.T / _BANK_TEMPERATURE).softmax(dim=-1))
        loss = self._contrast(media, self._embed_texts([text for text, _ in drawn]), truth)
        return loss + 0.5 * bank + 3 * distillation(media.float(), meant)

    def _audio_photo(self, rng: np.random.Generator, batch: int) -> torch.Tensor:
        heard = [pick(rng, tuple(self._pictured)) for _ in range(batch)]
        shown = np.array([int(rng.choice(self._pictured[label])) for label in heard])
        audio = self._embed_audio(rng, [draw_samples(rng, self._materials, label, 3 * RATE_HZ) for label in heard])
        media = self._embed_images(self._clutter(rng, batch, 1), self._photographed(rng, shown[:, None]))
        return self._contrast(audio, media, _equal(heard))

    def _photo_questions(self, rng: np.random.Generator, batch: int) -> torch.Tensor:
        """Ask what is seen, or heard; the other answers are what is heard, or seen, and two that are wrong."""
        labels = self._materials.labels
        shown = rng.integers(len(labels.ids), size=batch)
        heard = draw_labels(rng, self._materials, batch)
        questions, answers = [], []
        for label, sound in zip(shown, heard, strict=True):
            other = int(rng.integers(len(labels.ids)))
            seen = [with_article(labels.names[one][0].text) for one in (int(label), other)]
            wrong = pick(rng, [one for one in self._labels if one != sound])
            sounds = [pick(rng, self._wordings[one]) for one in (sound, wrong)]
            kind = pick(rng, ("subject", "sound"))
            questions.append(pick(rng, QUESTIONS[kind]))
            answers += [*seen, *sounds] if kind == "subject" else [*sounds, *seen]
        pixels = self._clutter(rng, batch, FRAMES)
        steps = self._photographed(rng, np.repeat(shown[:, None], FRAMES // 2, axis=1))
        vectors = self._embed_texts(answers)
        media = self._embed_av(rng, pixels, steps, heard, questions)
        return multiple_choice(media, vectors.view(batch, -1, vectors.shape[-1]), self._student.temperature)

    def _clutter(self, rng: np.random.Generator, count: int, frames: int) -> list[NDArray[np.uint8]]:
        """Draw what the vision tower sees in place of photographs, whose labels it must not contradict."""
        size = any_size(rng)
        return [np.repeat(self._pictures.clutter(rng, size)[None], frames, axis=0) for _ in range(count)]

    def _photographed(self, rng: np.random.Generator, shown: NDArray[np.int64]) -> torch.Tensor:
        """Draw (photographs, steps, frame tokens, labels) for the label that each step shows."""
        return torch.from_numpy(np.stack([self._materials.simulator.draw(rng, step) for step in shown.T], axis=1))

    def _drawn_labels(self, rng: np.random.Generator, scenes: Sequence[Scene], steps: int) -> torch.Tensor:
        known = self._materials.drawn_labels
        rows = [known[scene.subject][rng.integers(len(known[scene.subject]), size=steps)] for scene in scenes]
        return torch.from_numpy(np.stack(rows).astype(np.float32))

    def _draw_clips(
        self, rng: np.random.Generator, batch: int, matching: float, walls: float = 0.3
    ) -> tuple[list[Scene], list[str]]:
        """Draw scenes with sounds: a share with the sound of the subject, the rest with any sound."""
        scenes, drawn = [], []
        esc = [
            subject
            for subject, makes in self._sources.items()
            if self._materials.sounds[makes[0]][0].collection == ESC10
        ]
        for _ in range(batch):
            fits = rng.random() < matching
            pool = (esc if rng.random() < 0.7 else list(self._sources)) if fits else self._subjects
            scene = random_scene(rng, pool, walls)
            scenes.append(scene)
            drawn.append(pick(rng, self._sources[scene.subject]) if fits else draw_labels(rng, self._materials, 1)[0])
        return scenes, drawn

    def _render(self, rng: np.random.Generator, scenes: Sequence[Scene]) -> list[NDArray[np.uint8]]:
        return self._pictures.draw(rng, scenes, any_size(rng))

    def _encode_audio(self, rng: np.random.Generator, sounds: Sequence[NDArray[np.float32]]) -> list[AudioFeatures]:
        pieces = [piece_of(self._wave, samples) for samples in sounds]
        with torch.set_grad_enabled(self._tower_gradients):
            return self._features([masked(rng, piece) for piece in pieces])

    def _features(self, pieces: Sequence[AudioPiece]) -> list[AudioFeatures]:
        return audio_features(self._wave, pieces)

    def _encode_video(
        self, videos: Sequence[NDArray[np.uint8]], labels: torch.Tensor, duration_s: float
    ) -> list[VisionFeatures]:
        with torch.set_grad_enabled(self._tower_gradients):
            tower = tower_tokens(self._wave, videos)
        return vision_features(self._wave, videos, duration_s, tower, labels)

    def _embed_audio(self, rng: np.random.Generator, sounds: Sequence[NDArray[np.float32]]) -> torch.Tensor:
        prompt = self._tokenizer.encode(PROMPTS[Modality.AUDIO])
        config = self._wave.config
        heard = self._encode_audio(rng, sounds)
        return embed_media(self._wave, [sequences.audio_sequence(config, [prompt], audio) for audio in heard])

    def _embed_videos(self, videos: Sequence[NDArray[np.uint8]], labels: torch.Tensor) -> torch.Tensor:
        prompt = self._tokenizer.encode(PROMPTS[Modality.VIDEO])
        config = self._wave.config
        watched = self._encode_video(videos, labels, DURATION_S)
        return embed_media(self._wave, [sequences.video_sequence(config, [prompt], vision) for vision in watched])

    def _embed_images(self, images: Sequence[NDArray[np.uint8]], labels: torch.Tensor) -> torch.Tensor:
        prompt = self._tokenizer.encode(PROMPTS[Modality.IMAGE])
        config = self._wave.config
        seen = self._encode_video(images, labels, 0)
        return embed_media(self._wave, [sequences.image_sequence(config, [prompt], vision) for vision in seen])

    def _embed_scenes(
        self, rng: np.random.Generator, scenes: Sequence[Scene], sounds: Sequence[str], prompts: Sequence[str]
    ) -> torch.Tensor:
        videos, labels = self._render(rng, scenes), self._drawn_labels(rng, scenes, FRAMES // 2)
        return self._embed_av(rng, videos, labels, sounds, prompts)

    def _embed_av(
        self,
        rng: np.random.Generator,
        videos: Sequence[NDArray[np.uint8]],
        labels: torch.Tensor,
        sounds: Sequence[str],
        prompts: Sequence[str],
    ) -> torch.Tensor:
        length = round(DURATION_S * RATE_HZ)
        heard = self._encode_audio(rng, [draw_samples(rng, self._materials, label, length) for label in sounds])
        watched = self._encode_video(videos, labels, DURATION_S)
        clips = [
            sequences.audiovisual_sequence(self._wave.config, [self._tokenizer.encode(prompt)], vision, audio)
            for prompt, vision, audio in zip(prompts, watched, heard, strict=True)
        ]
        return embed_media(self._wave, clips)

    def _embed_texts(self, texts: Sequence[str]) -> torch.Tensor:
        encoded = [self._tokenizer.encode(text) for text in texts]
        return embed_text(self._wave, [sequences.text_sequence(self._wave.config, ids) for ids in encoded])

    def _contrast(self, media: torch.Tensor, labels: torch.Tensor, same: torch.Tensor | None) -> torch.Tensor:
        return contrastive(media, labels, self._student.temperature, same)

    @staticmethod
    def _by_bank(media: torch.Tensor, bank: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
        """Classify clips among the teacher's vectors of all classes, which are far more negatives than a batch has.

        `known` has the class of each clip, or (clips, classes) probabilities.
        """
        return F.cross_entropy(F.normalize(media.float(), dim=-1) @ bank.T / _BANK_TEMPERATURE, known)

    def validate(self) -> dict[str, float]:
        """Return the share of held-out clips of ESC-50 for which the text of their class is nearest."""
        clips = [sound for sound in self._materials.held_out if sound.collection in (ESC10, ESC50)]
        classes = sorted({sound.label for sound in clips})
        texts = F.normalize(self._embed_texts([self._wordings[label][0] for label in classes]), dim=-1)
        prompt = self._tokenizer.encode(PROMPTS[Modality.AUDIO])
        named = []
        for at in range(0, len(clips), 20):
            pieces = [piece_of(self._wave, np.resize(sound.samples, 5 * RATE_HZ)) for sound in clips[at : at + 20]]
            heard = [sequences.audio_sequence(self._wave.config, [prompt], audio) for audio in self._features(pieces)]
            named.append((F.normalize(embed_media(self._wave, heard), dim=-1) @ texts.T).argmax(1))
        truth = torch.tensor([classes.index(sound.label) for sound in clips])
        return {"text_audio_accuracy": float((torch.cat(named) == truth).float().mean())}


def _equal(keys: Sequence[str]) -> torch.Tensor:
    return torch.tensor([[one == other for other in keys] for one in keys])


def _sharpened(probabilities: torch.Tensor) -> torch.Tensor:
    """Return probabilities (..., labels) of a classifier that is surer of itself."""
    sharp = probabilities ** (1 / _LABEL_TEMPERATURE)
    return sharp / sharp.sum(dim=-1, keepdim=True)


def _true_of(said: Scene, moves: bool, scene: Scene) -> bool:
    """Return whether a caption made from `said` also describes `scene`."""
    same = (said.subject, said.count, said.colour) == (scene.subject, scene.count, scene.colour)
    return same and (not moves or said.motion == scene.motion)
