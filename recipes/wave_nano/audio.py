"""Stage `audio`: each of the two audio encoders learns to classify sounds in the space of the teacher's vectors.

The convolutions of BEATs' stem are trained with normalisation, without which so few recordings teach them little.
Later stages load them with the normalisation folded in: `folded`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the usual name
from torch import nn

from recipes.wave_nano.dense import encoder_tokens, piece_of
from recipes.wave_nano.sounds import ESC10, ESC50, RATE_HZ, augmented
from wave_search.models.wave.preprocess import AudioPiece

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from recipes.wave_nano.materials import Materials
    from wave_search.models.wave.network import Wave

_BATCH = 32
_TEMPERATURE = 0.07
_SECONDS = (3, 3, 3, 5)
_MIXED = 0.6
_MANY = 12
_EPSILON = 1e-5
"""Of torch's normalisation layers."""


class Ears(nn.Module):
    """The model with a linear classifier on the stem of BEATs, which is discarded after training."""

    def __init__(self, wave: Wave, labels: int) -> None:
        super().__init__()
        self.wave = wave
        for layer in cast("Any", wave.beats.patch_embedding):
            layer.conv = _Normalised(layer.conv)
        wave.beats.patch_embedding.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # 1.6 times as fast
        self.heard = nn.Linear(2 * wave.config.beats.embed_dim, labels)


class _Normalised(nn.Sequential):
    """A convolution and its normalisation."""

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__(convolution, nn.BatchNorm2d(convolution.out_channels))


def folded(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Multiply each convolution of the stem by its normalisation.

    Args:
        state: of the model of this stage.

    Returns:
        Keys of `Wave` -> weights.
    """
    weights = {key.removeprefix("wave."): value for key, value in state.items()}
    for norm in [key.removesuffix(".1.running_var") for key in weights if key.endswith(".conv.1.running_var")]:
        scale = weights[f"{norm}.1.weight"] / torch.sqrt(weights[f"{norm}.1.running_var"] + _EPSILON)
        weights[f"{norm}.weight"] = weights[f"{norm}.0.weight"] * scale[:, None, None, None]
        centred = weights[f"{norm}.0.bias"] - weights[f"{norm}.1.running_mean"]
        weights[f"{norm}.bias"] = weights[f"{norm}.1.bias"] + centred * scale
    return {key: value for key, value in weights.items() if not re.search(r"\.conv\.[01]\.", key)}


class AudioStage:
    """See `loop.Stage`. Trains audio tower, BEATs and their projection."""

    def __init__(self, wave: Wave, materials: Materials) -> None:
        self._wave, self._materials = wave, materials
        self._labels = list(materials.sounds)
        wave.requires_grad_(False)
        for part in (wave.audio_tower, wave.beats, wave.beats_ln, wave.beats_proj):
            part.requires_grad_(True)
        self._ears = Ears(wave, len(self._labels))
        self._stem = torch.empty(0)
        wave.beats.patch_embedding.register_forward_hook(self._keep)

    @property
    def trained(self) -> torch.nn.Module:
        """Model and classifier."""
        return self._ears

    def loss(self, rng: np.random.Generator, step: int) -> tuple[torch.Tensor, dict[str, float]]:  # noqa: ARG002
        """Classify sounds that are mixed in pairs (mixup, arXiv:1710.09412)."""
        drawn = draw_labels(rng, self._materials, _BATCH)
        length = RATE_HZ * int(rng.choice(_SECONDS))
        sounds = np.stack([draw_samples(rng, self._materials, label, length) for label in drawn])
        target = F.one_hot(torch.tensor([self._labels.index(label) for label in drawn]), len(self._labels)).float()
        if rng.random() < _MIXED:
            order = rng.permutation(len(sounds))
            share = rng.beta(0.5, 0.5, (len(sounds), 1)).astype(np.float32)
            sounds = share * sounds + (1 - share) * sounds[order]
            kept = torch.from_numpy(share)
            target = kept * target + (1 - kept) * target[order]
        pieces = [masked(rng, piece_of(self._wave, samples)) for samples in sounds]
        self._ears.train()
        tower, beats = self._logits(pieces)
        hidden = self._stem.flatten(2)
        heard = self._ears.heard(torch.cat([hidden.amax(dim=2), hidden.mean(dim=2)], dim=1))
        names = ("tower", "beats", "stem")
        losses = [F.cross_entropy(logits, target, label_smoothing=0.1) for logits in (tower, beats, heard)]
        total = losses[0] + losses[1] + losses[2]
        return total, {name: float(loss.detach()) for name, loss in zip(names, losses, strict=True)}

    def validate(self) -> dict[str, float]:
        """Return the accuracy of each encoder, and of their sum, on the held-out clips of ESC-50."""
        self._ears.eval()
        clips = [sound for sound in self._materials.held_out if sound.collection in (ESC10, ESC50)]
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

    def _keep(self, _module: nn.Module, _inputs: tuple[torch.Tensor], stem: torch.Tensor) -> None:
        """Keep the output of BEATs' stem, (sounds, channels, steps, bands), for its classifier."""
        self._stem = stem


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
    for axis, widest in ((0, 60), (1, 24)):
        for _ in range(2):
            width = int(rng.integers(1, widest))
            start = int(rng.integers(result.shape[axis] - width))
            result[(slice(start, start + width), slice(None))[:: 1 if axis == 0 else -1]] = mean
    return result
