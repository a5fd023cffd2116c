"""EfficientNet-Lite0: a classifier of photographs whose label probabilities are tokens of the decoder.

A tower that is trained on drawings alone knows no photographs. This network was trained by its authors on photographs
of a thousand classes; the decoder only has to learn what their labels mean.

Source: "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", arXiv:1905.11946, in the variant
"lite" of its authors, without squeeze-and-excitation and with ReLU6. Normalisation layers are folded into convolutions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
import torch.nn.functional as F  # noqa: N812 - the usual name
from torch import nn

if TYPE_CHECKING:
    from wave_search.models.wave.config import ClassifierConfig

_STEM, _FEATURES = 32, 1280
_EXPANSION = 6
# (kernel, stride of the first block, channels, blocks)
_STAGES = ((3, 1, 16, 1), (3, 2, 24, 2), (5, 2, 40, 2), (3, 2, 80, 3), (5, 1, 112, 3), (5, 2, 192, 4), (3, 1, 320, 1))
_MEAN, _SCALE = 127.0, 128.0
_AT_ONCE = 8
"""Frames that are processed together, which bounds the memory for the first layers."""


class Classifier(nn.Module):
    """The network with a linear layer from label probabilities to the decoder's width."""

    def __init__(self, config: ClassifierConfig, hidden: int) -> None:
        super().__init__()
        self.regions = config.regions
        self.stem = SameConv(3, _STEM, 3, stride=2)
        blocks, channels = [], _STEM
        for number, (kernel, stride, out, count) in enumerate(_STAGES):
            for place in range(count):
                expansion = _EXPANSION if number else 1
                blocks.append(_Block(channels, out, kernel, stride if place == 0 else 1, expansion))
                channels = out
        self.blocks = nn.ModuleList(blocks)
        self.head = nn.Conv2d(channels, _FEATURES, 1)
        self.labels = nn.Linear(_FEATURES, config.labels)
        self.meanings = nn.Linear(config.labels, hidden)

    def forward(self, frames: torch.Tensor, frames_per_step: int) -> torch.Tensor:
        """Summarise frames.

        Args:
            frames: (frames, height, width, 3) uint8.
            frames_per_step: adjacent frames that share their tokens; the last frame is repeated to fill the last step.

        Returns:
            (steps, tokens, hidden): one token of the whole frame, then one per region in reading order.
        """
        return cast("torch.Tensor", self.meanings(self.logits(frames, frames_per_step).softmax(dim=-1)))

    def logits(self, frames: torch.Tensor, frames_per_step: int) -> torch.Tensor:
        """Classify frames and their regions; see `forward`.

        Returns:
            (steps, tokens, labels)
        """
        features = torch.cat([self._pooled(part) for part in torch.split(frames, _AT_ONCE)])
        missing = -len(features) % frames_per_step
        features = torch.cat([features, features[-1:].expand(missing, -1, -1)])
        return cast("torch.Tensor", self.labels(features.view(-1, frames_per_step, *features.shape[1:]).mean(dim=1)))

    def _pooled(self, frames: torch.Tensor) -> torch.Tensor:
        """Return (frames, tokens, features)."""
        weight = self.labels.weight
        pixels = ((frames.float() - _MEAN) / _SCALE).to(weight.dtype).permute(0, 3, 1, 2)
        hidden = F.relu6(self.stem(pixels), inplace=True)
        for block in self.blocks:
            hidden = block(hidden)
        hidden = F.relu6(self.head(hidden), inplace=True)
        regions = F.adaptive_avg_pool2d(hidden, self.regions).flatten(2)
        return torch.cat([hidden.mean(dim=(2, 3))[..., None], regions], dim=2).transpose(1, 2)


class _Block(nn.Module):
    """An inverted bottleneck: expansion, convolution of each channel by itself, projection."""

    def __init__(self, channels: int, out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = channels * expansion
        self.expand = nn.Conv2d(channels, inner, 1) if expansion > 1 else None
        self.depthwise = SameConv(inner, inner, kernel, stride, groups=inner)
        self.project = nn.Conv2d(inner, out, 1)
        self.residual = stride == 1 and channels == out

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Map (frames, channels, height, width) to (frames, out, height / stride, width / stride)."""
        inner = hidden if self.expand is None else F.relu6(self.expand(hidden), inplace=True)
        mixed = self.project(F.relu6(self.depthwise(inner), inplace=True))
        return cast("torch.Tensor", hidden + mixed if self.residual else mixed)


class SameConv(nn.Conv2d):
    """A convolution padded as in TensorFlow: one output per `stride` inputs, and the larger half of the padding last.

    The padding depends on the size of the input, and may be uneven, so that `nn.Conv2d` has no setting for it.
    """

    def __init__(self, channels: int, out: int, kernel: int, stride: int, groups: int = 1) -> None:
        super().__init__(channels, out, kernel, stride=stride, groups=groups)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Map (frames, channels, height, width) to (frames, out, height / stride, width / stride), rounded up."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        height, width = (max(0, (-(-size // stride) - 1) * stride + kernel - size) for size in hidden.shape[2:])
        if height % 2 or width % 2:
            hidden = F.pad(hidden, (width // 2, width - width // 2, height // 2, height - height // 2))
            height = width = 0
        # Even padding is left to the convolution, which needs no copy for it.
        return F.conv2d(hidden, self.weight, self.bias, stride, (height // 2, width // 2), groups=self.groups)
