"""YAMNet: a classifier of sounds, which small models have in place of BEATs.

A few hundred recordings with an open licence teach an encoder little about sounds that it has not heard. This network
was trained by its authors on the 521 kinds of sounds of AudioSet; the decoder only has to learn what they mean.

Source: "CNN Architectures for Large-Scale Audio Classification", arXiv:1609.09430, and "MobileNets", arXiv:1704.04861,
in the variant that its authors call YAMNet. Normalisation layers are folded into convolutions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
import torch.nn.functional as F  # noqa: N812 - the usual name
from torch import nn

from wave_search.models.wave.classifier import SameConv
from wave_search.models.wave.spectrograms import YAMNET_SILENCE

if TYPE_CHECKING:
    from wave_search.models.wave.config import SoundClassifierConfig

PATCH, HOP = 96, 48
"""Frames of a patch, and between the starts of two patches: 0.96 and 0.48 s."""
_TOKEN_FRAMES = 4
"""Frames per token of the audio tower."""
_STEM, FEATURES = 32, 1024
# (channels, stride)
_LAYERS = (
    *((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)),
    *((512, 1), (512, 1), (512, 1), (512, 1), (512, 1), (1024, 2), (FEATURES, 1)),
)
_AT_ONCE = 32
"""Patches that are processed together, which bounds the memory for the first layers."""


class SoundClassifier(nn.Module):
    """The network with linear layers from label probabilities, and from features, to the decoder's width."""

    def __init__(self, config: SoundClassifierConfig, hidden: int) -> None:
        super().__init__()
        self.stem = SameConv(1, _STEM, 3, stride=2)
        channels = [_STEM, *(out for out, _ in _LAYERS)]
        pairs = zip(channels, _LAYERS, strict=False)
        self.layers = nn.ModuleList(_Layer(before, out, stride) for before, (out, stride) in pairs)
        self.labels = nn.Linear(FEATURES, config.labels)
        self.meanings = nn.Linear(config.labels, hidden)
        self.norm = nn.LayerNorm(FEATURES)
        self.details = nn.Linear(FEATURES, hidden)

    def forward(self, spectrogram: torch.Tensor, tokens: int) -> torch.Tensor:
        """Summarise one sound.

        Args:
            spectrogram: (frames, 64) as `spectrograms.yamnet_log_mel` computes it, at least one.
            tokens: number of tokens, 25 per second.

        Returns:
            (tokens, hidden): of the patch that starts last before each token.
        """
        return per_token(self.summaries(self.features(spectrogram)), tokens)

    def features(self, spectrogram: torch.Tensor) -> torch.Tensor:
        """Compute the features of patches; the last one is filled with silence; see `forward`.

        Returns:
            (patches, 1024)
        """
        weight = self.labels.weight
        missing = max(0, PATCH - len(spectrogram)) or (PATCH - len(spectrogram)) % HOP
        padded = F.pad(spectrogram.to(weight.dtype), (0, 0, 0, missing), value=YAMNET_SILENCE)
        patches = padded.unfold(0, PATCH, HOP).transpose(1, 2)[:, None]
        return torch.cat([self._pooled(part) for part in torch.split(patches, _AT_ONCE)])

    def summaries(self, features: torch.Tensor) -> torch.Tensor:
        """Map features (..., 1024) to (..., hidden)."""
        probabilities = self.labels(features).sigmoid()
        return cast("torch.Tensor", self.meanings(probabilities) + self.details(self.norm(features)))

    def _pooled(self, patches: torch.Tensor) -> torch.Tensor:
        # With channels last, the layers take four fifths of the time.
        hidden = F.relu(self.stem(patches)).contiguous(memory_format=torch.channels_last)
        for layer in self.layers:
            hidden = layer(hidden)
        return hidden.mean(dim=(2, 3))


class _Layer(nn.Module):
    """A convolution of each channel by itself, then one that mixes channels."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.depthwise = SameConv(channels, channels, 3, stride, groups=channels)
        self.pointwise = nn.Conv2d(channels, out, 1)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Map (patches, channels, frames, bins) to (patches, out, frames / stride, bins / stride), rounded up."""
        return F.relu(self.pointwise(F.relu(self.depthwise(hidden), inplace=True)), inplace=True)


def per_token(summaries: torch.Tensor, tokens: int) -> torch.Tensor:
    """Repeat the summaries of patches (..., patches, hidden) for each token of the audio tower.

    Returns:
        (..., tokens, hidden)
    """
    places = torch.arange(tokens, device=summaries.device) * _TOKEN_FRAMES // HOP
    return summaries[..., places.clamp(max=summaries.shape[-2] - 1), :]
