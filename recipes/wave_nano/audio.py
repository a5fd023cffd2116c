"""Stage `audio`: each of the two audio encoders learns to classify sounds in the space of the teacher's vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the usual name

from recipes.wave_nano.dense import encoder_tokens, piece_of
from recipes.wave_nano.sounds import ESC10, RATE_HZ, augmented
from wave_search.models.wave.preprocess import AudioPiece

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from recipes.wave_nano.materials import Materials
    from wave_search.models.wave.network import Wave

_BATCH = 32
_TEMPERATURE = 0.07
_SECONDS = (3, 3, 3, 5)


class AudioStage:
    """See `loop.Stage`. Trains audio tower, BEATs and their projection."""

    def __init__(self, wave: Wave, materials: Materials) -> None:
        self._wave, self._materials = wave, materials
        self._labels = list(materials.sounds)
        wave.requires_grad_(False)
        for part in (wave.audio_tower, wave.beats, wave.beats_ln, wave.beats_proj):
            part.requires_grad_(True)

    @property
    def trained(self) -> torch.nn.Module:
        """The complete model."""
        return self._wave

    def loss(self, rng: np.random.Generator, step: int) -> tuple[torch.Tensor, dict[str, float]]:  # noqa: ARG002
        """Classify sounds that are blended in pairs (mixup, arXiv:1710.09412)."""
        drawn = draw_labels(rng, self._materials, _BATCH)
        length = RATE_HZ * int(rng.choice(_SECONDS))
        pieces = [draw_piece(rng, self._materials, self._wave, label, length) for label in drawn]
        target = F.one_hot(torch.tensor([self._labels.index(label) for label in drawn]), len(self._labels)).float()
        if rng.random() < 0.7:
            share = np.float32(rng.beta(0.4, 0.4))
            order = rng.permutation(len(pieces))
            pieces = [blend(piece, pieces[other], share) for piece, other in zip(pieces, order, strict=True)]
            target = float(share) * target + (1 - float(share)) * target[order]
        tower, beats = self._logits([masked(rng, piece) for piece in pieces])
        losses = F.cross_entropy(tower, target), F.cross_entropy(beats, target)
        return losses[0] + losses[1], {"tower": float(losses[0].detach()), "beats": float(losses[1].detach())}

    def validate(self) -> dict[str, float]:
        """Return the accuracy of each encoder, and of their sum, on the held-out ESC-10 clips."""
        clips = [sound for sound in self._materials.held_out if sound.collection == ESC10]
        classes = sorted({sound.label for sound in clips})
        columns = [self._labels.index(label) for label in classes]
        truth = torch.tensor([classes.index(sound.label) for sound in clips])
        votes = []
        for at in range(0, len(clips), _BATCH):
            group = clips[at : at + _BATCH]
            pieces = [piece_of(self._wave, np.resize(sound.samples, 5 * RATE_HZ)) for sound in group]
            votes.append(torch.stack(self._logits(pieces))[..., columns])
        tower, beats = torch.cat(votes, dim=1)
        named = {"tower": tower, "beats": beats, "both": tower + beats}
        return {f"accuracy_{name}": float((rows.argmax(1) == truth).float().mean()) for name, rows in named.items()}

    def _logits(self, pieces: Sequence[AudioPiece]) -> tuple[torch.Tensor, torch.Tensor]:
        bank = self._materials.sound_meanings.T / _TEMPERATURE
        tower, beats = encoder_tokens(self._wave, pieces)
        return F.normalize(tower.mean(1), dim=-1) @ bank, F.normalize(beats.mean(1), dim=-1) @ bank


def draw_labels(rng: np.random.Generator, materials: Materials, count: int, common: float = 0.65) -> list[str]:
    """Draw the labels of a batch: a share from labels with many recordings, the rest from all."""
    many = [label for label, sounds in materials.sounds.items() if len(sounds) >= 16 and sounds[0].collection == ESC10]
    everything = list(materials.sounds)
    return [str(rng.choice(many if rng.random() < common else everything)) for _ in range(count)]


def draw_samples(rng: np.random.Generator, materials: Materials, label: str, length: int) -> NDArray[np.float32]:
    """Draw one augmented recording of a label."""
    sounds = materials.sounds[label]
    return augmented(rng, sounds[int(rng.integers(len(sounds)))], length)


def draw_piece(rng: np.random.Generator, materials: Materials, wave: Wave, label: str, length: int) -> AudioPiece:
    """Draw one augmented recording as encoder input."""
    return piece_of(wave, draw_samples(rng, materials, label, length))


def blend(first: AudioPiece, second: AudioPiece, share: np.float32) -> AudioPiece:
    """Return the weighted mean of the spectrograms of two sounds."""
    rest = np.float32(1) - share
    return AudioPiece(share * first.mel + rest * second.mel, share * first.fbank + rest * second.fbank)


def masked(rng: np.random.Generator, piece: AudioPiece) -> AudioPiece:
    """Set frequency bands and time intervals to the mean (SpecAugment, arXiv:1904.08779)."""
    return AudioPiece(_masked(rng, piece.mel), _masked(rng, piece.fbank))


def _masked(rng: np.random.Generator, spectrogram: NDArray[np.float32]) -> NDArray[np.float32]:
    result, mean = spectrogram.copy(), spectrogram.mean()
    for axis, widest in ((0, 60), (1, 24)):
        for _ in range(2):
            width = int(rng.integers(1, widest))
            start = int(rng.integers(result.shape[axis] - width))
            result[(slice(start, start + width), slice(None))[:: 1 if axis == 0 else -1]] = mean
    return result
