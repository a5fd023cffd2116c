"""YAMNet in place of BEATs: the published network and its file, its patches, and its place among the tokens."""

from __future__ import annotations

import json
import struct
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the usual name

from recipes.wave_nano.yamnet import folded, read_bundle, read_published
from wave_search.errors import CheckpointError, UsageError
from wave_search.models.wave.checkpoint import open_wave, read_config, save_wave
from wave_search.models.wave.config import SoundClassifierConfig, WaveConfig
from wave_search.models.wave.network import Wave, components_for
from wave_search.models.wave.preprocess import audio_pieces
from wave_search.models.wave.sound_classifier import SoundClassifier, per_token
from wave_search.models.wave.spectrograms import YAMNET_SILENCE, yamnet_log_mel
from wave_search.types import Modality

TINY = Path(__file__).parents[2] / "wave_search" / "models" / "bundled" / "tiny" / "config.json"
SIZES = {"model_type": "yamnet", "labels": 20}
CHANNELS = (32, 64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)
STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)


def published() -> dict[str, np.ndarray]:
    """Return random weights under the names of the published file."""
    rng, found = np.random.default_rng(7), {}

    def add(number: int, **shapes: tuple[int, ...]) -> None:
        for name, shape in shapes.items():
            values = rng.standard_normal(shape, dtype=np.float32)
            if name == "moving_variance":
                values = np.float32(0.5) + values**2
            elif len(shape) == 4:
                values *= np.float32((2 / (np.prod(shape) / max(shape[2:]))) ** 0.5)
            found[f"layer-1/net/layer_with_weights-{number}/{name}/.ATTRIBUTES/VARIABLE_VALUE"] = values

    def norm(number: int, width: int) -> None:
        add(number, beta=(width,), moving_mean=(width,), moving_variance=(width,))

    add(0, kernel=(3, 3, 1, 32))
    norm(1, 32)
    for place, (channels, out) in enumerate(pairwise(CHANNELS)):
        add(2 + 4 * place, depthwise_kernel=(3, 3, channels, 1))
        norm(3 + 4 * place, channels)
        add(4 + 4 * place, kernel=(1, 1, channels, out))
        norm(5 + 4 * place, out)
    add(54, kernel=(1024, 20), bias=(20,))
    return found


def reference(weights: dict[str, np.ndarray], patch: torch.Tensor) -> torch.Tensor:
    """Compute the features of one patch (96, 64) as the authors describe the network, with its normalisation apart."""

    def weight(number: int, name: str) -> torch.Tensor:
        return torch.from_numpy(weights[f"layer-1/net/layer_with_weights-{number}/{name}/.ATTRIBUTES/VARIABLE_VALUE"])

    def normalised(hidden: torch.Tensor, number: int) -> torch.Tensor:
        statistics = weight(number, "moving_mean"), weight(number, "moving_variance")
        return F.relu(F.batch_norm(hidden, *statistics, bias=weight(number, "beta"), eps=1e-4))

    def filtered(hidden: torch.Tensor, kernel: torch.Tensor, stride: int, groups: int) -> torch.Tensor:
        before = 1 if stride == 1 else 0  # sizes are even, so that a stride of 2 is padded at the end only
        return F.conv2d(F.pad(hidden, (before, 1, before, 1)), kernel, stride=stride, groups=groups)

    hidden = normalised(filtered(patch[None, None], weight(0, "kernel").permute(3, 2, 0, 1), 2, 1), 1)
    for place, stride in enumerate(STRIDES):
        kernel = weight(2 + 4 * place, "depthwise_kernel").permute(2, 3, 0, 1)
        hidden = normalised(filtered(hidden, kernel, stride, len(kernel)), 3 + 4 * place)
        mixed = F.conv2d(hidden, weight(4 + 4 * place, "kernel").permute(3, 2, 0, 1))
        hidden = normalised(mixed, 5 + 4 * place)
    return hidden.mean(dim=(2, 3))[0]


@pytest.fixture(scope="module")
def classifier() -> SoundClassifier:
    torch.manual_seed(0)
    network = SoundClassifier(SoundClassifierConfig.from_dict(SIZES), 16)
    network.load_state_dict({**network.state_dict(), **folded(published())})
    return network.eval().requires_grad_(False)


def test_it_computes_what_the_published_network_computes(classifier: SoundClassifier) -> None:
    patch = torch.from_numpy(np.random.default_rng(1).standard_normal((96, 64), dtype=np.float32))
    expected = reference(published(), patch)
    assert expected.abs().max() > 1e-3
    torch.testing.assert_close(classifier.features(patch)[0], expected, atol=1e-4, rtol=1e-3)


def test_patches_overlap_by_half_and_the_last_is_filled_with_silence(classifier: SoundClassifier) -> None:
    spectrogram = torch.from_numpy(np.random.default_rng(2).standard_normal((150, 64), dtype=np.float32))
    filled = F.pad(spectrogram, (0, 0, 0, 42), value=YAMNET_SILENCE)
    alone = [classifier.features(filled[start : start + 96])[0] for start in (0, 48, 96)]
    torch.testing.assert_close(classifier.features(spectrogram), torch.stack(alone), atol=1e-5, rtol=1e-4)
    assert classifier.features(spectrogram[:96]).shape == (1, 1024)
    assert classifier.features(spectrogram[:97]).shape == (2, 1024)


def test_a_token_has_the_patch_that_starts_last_before_it() -> None:
    summaries = torch.arange(3.0)[:, None]
    assert per_token(summaries, 40)[:, 0].tolist() == [0.0] * 12 + [1.0] * 12 + [2.0] * 16


def test_a_tone_is_in_the_bin_of_its_frequency() -> None:
    """64 bins of equal width in mel, 125 to 7,500 Hz: 1,033 Hz is in the middle of bin 20."""
    tone = 0.5 * np.sin(2 * np.pi * 1033 * np.arange(16_000) / 16_000)
    levels = yamnet_log_mel(tone.astype(np.float32))
    assert levels.shape == (98, 64)
    assert set(levels.argmax(axis=1)) == {20}
    np.testing.assert_allclose(yamnet_log_mel(np.zeros(400, np.float32)), YAMNET_SILENCE)


def _varint(number: int) -> bytes:
    parts = []
    while number > 127:
        parts.append(number & 127 | 128)
        number >>= 7
    return bytes([*parts, number])


def _block(entries: dict[bytes, bytes]) -> bytes:
    """Return a block whose keys share their first letters with the one before, and its trailer."""
    rows, before = b"", b""
    for key, value in entries.items():
        shared = next((place for place, pair in enumerate(zip(key, before, strict=False)) if pair[0] != pair[1]), 0)
        rows += _varint(shared) + _varint(len(key) - shared) + _varint(len(value)) + key[shared:] + value
        before = key
    return rows + struct.pack("<II", 0, 1) + bytes(5)


def bundle(arrays: dict[str, np.ndarray]) -> tuple[bytes, bytes]:
    """Return index and data of a tensor bundle."""
    entries, data = {b"": b"\x08\x01"}, b""
    for name, array in sorted(arrays.items()):
        sizes = b"".join(b"\x12" + _varint(len(size)) + size for size in (b"\x08" + _varint(n) for n in array.shape))
        place = b"\x20" + _varint(len(data)) if data else b""
        entries[name.encode()] = (
            b"\x08\x01\x12" + _varint(len(sizes)) + sizes + place + b"\x28" + _varint(array.nbytes) + b"\x35abcd"
        )
        data += array.tobytes()
    block = _block(entries)
    handle = _varint(0) + _varint(len(block) - 5)
    about = _block({b"z": handle})
    footer = _varint(0) + _varint(0) + _varint(len(block)) + _varint(len(about) - 5)
    return block + about + footer.ljust(48, b"\0"), data


def test_arrays_of_a_bundle_are_found_by_their_names() -> None:
    arrays = {"alpha/a": np.arange(6, dtype=np.float32).reshape(2, 3), "alpha/b": np.full(200, 2.5, np.float32)}
    found = read_bundle(*bundle(arrays))
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        read_published(tmp_path)
    (tmp_path / "variables").mkdir()
    index, data = bundle({"layer_with_weights-0/kernel": np.zeros(2, np.float32)})
    (tmp_path / "variables" / "variables.index").write_bytes(index)
    (tmp_path / "variables" / "variables.data-00000-of-00001").write_bytes(data)
    with pytest.raises(UsageError, match="does not hold the weights of YAMNet"):
        read_published(tmp_path)


@pytest.mark.parametrize("wrong", [{"model_type": "vggish"}, {"labels": 0}, {"labels": "521"}, {"labels": 10**9}])
def test_other_sizes_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(CheckpointError, match=next(iter(map(str, wrong.values())))[:4]):
        SoundClassifierConfig.from_dict(SIZES | wrong)


@pytest.fixture(scope="module")
def wave() -> Wave:
    config = json.loads(TINY.read_text())
    config["sound_classifier_config"] = dict(SIZES)
    torch.manual_seed(1)
    wave = Wave(WaveConfig.from_dict(config)).requires_grad_(False)
    wave.init_buffers("cpu")
    return wave


def test_its_tokens_follow_those_of_the_tower_in_place_of_beats(wave: Wave) -> None:
    samples = np.random.default_rng(3).uniform(-0.5, 0.5, 24_000).astype(np.float32)
    (piece,) = audio_pieces(wave.config, samples)
    tokens = wave.audio_features([piece]).view(37, 2, -1)
    assert wave.sound_classifier is not None
    expected = wave.sound_classifier(torch.from_numpy(yamnet_log_mel(samples)), 37)
    torch.testing.assert_close(tokens[:, 1], expected)
    assert not [key for key in wave.state_dict() if key.startswith("beats")]


def test_a_checkpoint_restores_it_and_pictures_do_not_load_it(wave: Wave, tmp_path: Path) -> None:
    save_wave(wave, tmp_path)
    stored = open_wave(tmp_path, read_config(tmp_path))
    stored.require(components_for([Modality.IMAGE]))
    assert stored.wave.sound_classifier is None
    stored.require(components_for([Modality.AUDIO]))
    for key, weight in stored.wave.sound_classifier.state_dict().items():
        assert torch.equal(weight, wave.state_dict()[f"sound_classifier.{key}"]), key
