"""Stage `audio`: each of the two audio encoders learns to classify sounds in the space of the teacher's vectors."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the usual name

from recipes.wave_nano.dense import encoder_tokens, piece_of
from recipes.wave_nano.sounds import ESC10, ESC50, RATE_HZ, augmented
from wave_search.models.wave.preprocess import AudioPiece

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from recipes.wave_nano.materials import Materials
    from recipes.wave_nano.sounds import Sound
    from wave_search.models.wave.network import Wave
    from wave_search.models.wave.sound_classifier import SoundClassifier

_BATCH = 32
_TEMPERATURE = 0.07
_SECONDS = (3, 3, 3, 5)
_MIXED = 0.6
_MANY = 12
_RECORDED = 128
"""Recordings of a step, as they are. Computing their features once costs less than those of one step's sounds."""
TRAINED = ("sound_classifier.meanings.", "sound_classifier.norm.", "sound_classifier.details.")
"""Prefixes of the weights of the classifier of sounds that are trained; the others are published ones."""


class AudioStage:
    """See `loop.Stage`. Trains the audio tower, and what the decoder sees of the classifier of sounds."""

    def __init__(self, wave: Wave, materials: Materials) -> None:
        self._wave, self._materials = wave, materials
        self._labels = list(materials.sounds)
        self._bank = materials.sound_meanings.T / _TEMPERATURE
        wave.requires_grad_(False)
        for name, weight in wave.named_parameters():
            weight.requires_grad_(name.startswith(("audio_tower.", *TRAINED)))
        self._recorded = {
            label: torch.stack([self._features_of(sound) for sound in sounds])
            for label, sounds in materials.sounds.items()
        }

    @property
    def trained(self) -> torch.nn.Module:
        """The complete model."""
        return self._wave

    def loss(self, rng: np.random.Generator, step: int) -> tuple[torch.Tensor, dict[str, float]]:  # noqa: ARG002
        """Classify sounds that are mixed in pairs (mixup, arXiv:1710.09412)."""
        drawn = draw_labels(rng, self._materials, _BATCH)
        length = RATE_HZ * int(rng.choice(_SECONDS))
        sounds = np.stack([draw_samples(rng, self._materials, label, length) for label in drawn])
        target = self._target(drawn)
        if rng.random() < _MIXED:
            order = rng.permutation(len(sounds))
            share = rng.beta(0.5, 0.5, (len(sounds), 1)).astype(np.float32)
            sounds = share * sounds + (1 - share) * sounds[order]
            kept = torch.from_numpy(share)
            target = kept * target + (1 - kept) * target[order]
        pieces = [masked(rng, piece_of(self._wave, samples)) for samples in sounds]
        losses = [F.cross_entropy(logits, target, label_smoothing=0.1) for logits in self._logits(pieces)]
        losses.append(self._as_recorded(rng))
        names = "tower", "classifier", "recorded"
        return torch.stack(losses).sum(), dict(zip(names, (float(loss.detach()) for loss in losses), strict=True))

    def _as_recorded(self, rng: np.random.Generator) -> torch.Tensor:
        """Classify recordings by the published classifier's features, which are mixed in pairs."""
        drawn = draw_labels(rng, self._materials, _RECORDED)
        features = torch.stack([self._recorded[label][rng.integers(len(self._recorded[label]))] for label in drawn])
        order = rng.permutation(_RECORDED)
        kept = torch.from_numpy(1 - rng.random((_RECORDED, 1)).astype(np.float32) ** 2 / 2)
        features = kept[..., None] * features + (1 - kept[..., None]) * features[order]
        target = self._target(drawn)
        target = kept * target + (1 - kept) * target[order]
        summaries = cast("SoundClassifier", self._wave.sound_classifier).summaries(F.dropout(features, 0.2))
        return F.cross_entropy(self._heard(summaries), target, label_smoothing=0.1)

    @torch.no_grad()
    def _features_of(self, sound: Sound) -> torch.Tensor:
        """Compute the features (patches, 1024) of five seconds."""
        piece = piece_of(self._wave, np.resize(sound.samples, 5 * RATE_HZ))
        classifier = cast("SoundClassifier", self._wave.sound_classifier)
        return classifier.features(torch.from_numpy(piece.fbank))

    def _target(self, drawn: Sequence[str]) -> torch.Tensor:
        return F.one_hot(torch.tensor([self._labels.index(label) for label in drawn]), len(self._labels)).float()

    def validate(self) -> dict[str, float]:
        """Return the accuracy of each encoder, and of their sum, on the held-out clips of ESC-50."""
        clips = [sound for sound in self._materials.held_out if sound.collection in (ESC10, ESC50)]
        classes = sorted({sound.label for sound in clips})
        columns = [self._labels.index(label) for label in classes]
        truth = torch.tensor([classes.index(sound.label) for sound in clips])
        votes = []
        for at in range(0, len(clips), _BATCH):
            group = clips[at : at + _BATCH]
            pieces = [piece_of(self._wave, np.resize(sound.samples, 5 * RATE_HZ)) for sound in group]
            votes.append(torch.stack(self._logits(pieces))[..., columns])
        tower, classifier = torch.cat(votes, dim=1)
        named = {"tower": tower, "classifier": classifier, "both": tower + classifier}
        return {f"accuracy_{name}": float((rows.argmax(1) == truth).float().mean()) for name, rows in named.items()}

    def _logits(self, pieces: Sequence[AudioPiece]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (sounds, labels) of the mean token of the tower, and of all tokens of the classifier.

        A sound that lasts a moment is in one patch of the classifier; the tower attends to all of its moments itself.
        """
        tower, classifier = encoder_tokens(self._wave, pieces)
        return F.normalize(tower.mean(1), dim=-1) @ self._bank, self._heard(classifier)

    def _heard(self, summaries: torch.Tensor) -> torch.Tensor:
        each = F.normalize(summaries, dim=-1) @ self._bank
        return each.logsumexp(dim=1) - math.log(each.shape[1])


def draw_labels(rng: np.random.Generator, materials: Materials, count: int, common: float = 0.8) -> list[str]:
    """Draw the labels of a batch: a share from labels with many recordings, the rest from all."""
    collections = (ESC10, ESC50)
    many = [
        label
        for label, sounds in materials.sounds.items()
        if len(sounds) >= _MANY and sounds[0].collection in collections
    ]
    everything = list(materials.sounds)
    return [str(rng.choice(many if rng.random() < common else everything)) for _ in range(count)]


def draw_samples(rng: np.random.Generator, materials: Materials, label: str, length: int) -> NDArray[np.float32]:
    """Draw one augmented recording of a label."""
    sounds = materials.sounds[label]
    return augmented(rng, sounds[int(rng.integers(len(sounds)))], length)


def masked(rng: np.random.Generator, piece: AudioPiece) -> AudioPiece:
    """Set frequency bands and time intervals to the mean (SpecAugment, arXiv:1904.08779)."""
    return AudioPiece(_masked(rng, piece.mel), _masked(rng, piece.fbank))


def _masked(rng: np.random.Generator, spectrogram: NDArray[np.float32]) -> NDArray[np.float32]:
    result, mean = spectrogram.copy(), spectrogram.mean()
    for axis, widest in ((0, 60), (1, spectrogram.shape[1] // 5)):
        for _ in range(2):
            width = int(rng.integers(1, widest))
            start = int(rng.integers(result.shape[axis] - width))
            result[(slice(start, start + width), slice(None))[:: 1 if axis == 0 else -1]] = mean
    return result
