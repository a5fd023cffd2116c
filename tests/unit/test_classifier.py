"""EfficientNet-Lite0 beside the vision tower: the published network, its tokens, and its place in the sequence."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from recipes.wave_nano.efficientnet import folded, read_published
from wave_search.errors import CheckpointError, UsageError
from wave_search.models.wave import layout
from wave_search.models.wave.checkpoint import open_wave, read_config, save_wave
from wave_search.models.wave.classifier import Classifier
from wave_search.models.wave.config import ClassifierConfig, WaveConfig
from wave_search.models.wave.network import Wave, components_for
from wave_search.models.wave.preprocess import image_patches, tower_patches, video_patches
from wave_search.models.wave.sequences import VisionFeatures, video_sequence
from wave_search.types import Modality

TINY = Path(__file__).parents[2] / "wave_search" / "models" / "bundled" / "tiny" / "config.json"
SIZES = {"model_type": "efficientnet_lite0", "labels": 1000, "regions": 2}


def published() -> dict[str, torch.Tensor]:
    """Return random weights under the names of the published file, drawn in the order of the names."""
    shapes: dict[str, tuple[int, ...]] = {"_fc.weight": (1000, 1280), "_fc.bias": (1000,)}

    def convolution(name: str, norm: str, out: int, channels: int, kernel: int) -> None:
        shapes[f"{name}.weight"] = (out, channels, kernel, kernel)
        shapes.update(
            {f"{norm}.{statistic}": (out,) for statistic in ("weight", "bias", "running_mean", "running_var")}
        )

    convolution("_conv_stem", "_bn0", 32, 3, 3)
    channels, number = 32, 0
    for kernel, out, count in ((3, 16, 1), (3, 24, 2), (5, 40, 2), (3, 80, 3), (5, 112, 3), (5, 192, 4), (3, 320, 1)):
        for _ in range(count):
            inner = channels * (6 if number else 1)
            if number:
                convolution(f"_blocks.{number}._expand_conv", f"_blocks.{number}._bn0", inner, channels, 1)
            convolution(f"_blocks.{number}._depthwise_conv", f"_blocks.{number}._bn1", inner, 1, kernel)
            convolution(f"_blocks.{number}._project_conv", f"_blocks.{number}._bn2", out, inner, 1)
            channels, number = out, number + 1
    convolution("_conv_head", "_bn1", 1280, 320, 1)
    rng = np.random.default_rng(7)
    return {key: torch.from_numpy(_drawn(rng, key, shapes[key])) for key in sorted(shapes)}


def _drawn(rng: np.random.Generator, key: str, shape: tuple[int, ...]) -> np.ndarray:
    values = rng.standard_normal(shape, dtype=np.float32)
    if key.endswith("running_var"):
        return np.float32(0.5) + values**2
    if len(shape) > 1:
        return values * np.float32((2 / np.prod(shape[1:])) ** 0.5)
    return np.float32(0.1) * values + np.float32(key.endswith("weight"))


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    torch.manual_seed(0)
    network = Classifier(ClassifierConfig.from_dict(SIZES), 16)
    network.load_state_dict({**network.state_dict(), **folded(published())})
    return network.eval().requires_grad_(False)


def test_it_computes_what_the_published_network_computes(classifier: Classifier) -> None:
    """The numbers are those of the package efficientnet-lite-pytorch 0.1.0 with these weights and this frame."""
    frame = np.random.default_rng(1).integers(0, 256, (1, 224, 224, 3), dtype=np.uint8)
    logits = classifier.logits(torch.from_numpy(frame), 1)[0, 0]
    expected = [0.7894244, 1.0397521, -8.4987698, 1.6629078, -2.4744689]
    np.testing.assert_allclose(logits[[0, 1, 2, 500, 999]].numpy(), expected, atol=2e-4)
    assert logits.topk(3).indices.tolist() == [538, 409, 897]


def test_a_step_has_the_mean_of_its_frames_and_the_last_frame_fills_it(classifier: Classifier) -> None:
    frames = torch.from_numpy(np.random.default_rng(2).integers(0, 256, (3, 56, 84, 3), dtype=np.uint8))
    single = classifier.logits(frames, 1)
    steps = classifier.logits(frames, 2)
    assert steps.shape == (2, 5, 1000)
    torch.testing.assert_close(steps, torch.stack([single[:2].mean(0), single[2]]), atol=1e-4, rtol=1e-4)


def test_regions_are_in_reading_order(classifier: Classifier) -> None:
    frame = np.zeros((1, 224, 224, 3), dtype=np.uint8)
    changed = frame.copy()
    changed[:, 180:, :40] = 255
    before, after = (classifier.logits(torch.from_numpy(pixels), 1)[0] for pixels in (frame, changed))
    moved = (before - after).abs().amax(dim=1)
    assert moved[1:].argmax() == 2
    assert moved[0] > 0


@pytest.mark.parametrize(
    ("size", "expected"), [((8, 8), (4, 4)), ((7, 9), (4, 5)), ((1, 1), (1, 1))], ids=["even", "odd", "one"]
)
def test_odd_sizes_are_rounded_up(classifier: Classifier, size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert classifier.stem(torch.zeros(1, 3, *size)).shape[2:] == expected


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        read_published(tmp_path / "weights.pth")
    torch.save({"_blocks.0._project_conv.weight": torch.zeros(1)}, tmp_path / "weights.pth")
    with pytest.raises(UsageError, match="has no weights"):
        read_published(tmp_path / "weights.pth")


@pytest.mark.parametrize(
    "wrong", [{"model_type": "resnet"}, {"labels": 0}, {"regions": 8}, {"regions": "2"}, {"labels": 10**9}]
)
def test_other_sizes_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(CheckpointError, match=next(iter(map(str, wrong.values())))[:4]):
        ClassifierConfig.from_dict(SIZES | wrong)


@pytest.fixture(scope="module")
def wave() -> Wave:
    config = json.loads(TINY.read_text())
    config["classifier_config"] = copy.copy(SIZES) | {"labels": 20}
    torch.manual_seed(1)
    wave = Wave(WaveConfig.from_dict(config)).requires_grad_(False)
    wave.init_buffers("cpu")
    return wave


def test_its_tokens_precede_those_of_the_tower_in_each_step(wave: Wave) -> None:
    frames = np.random.default_rng(3).integers(0, 256, (4, 56, 112, 3), dtype=np.uint8)
    patches = video_patches(wave.config, frames)
    assert patches.grid_thw == (2, 2, 4)
    tokens = wave.vision_features(patches).view(2, 5 + 2, -1)
    assert wave.classifier is not None
    torch.testing.assert_close(tokens[:, :5], wave.classifier(torch.from_numpy(frames), 2))
    halved = frames.reshape(4, 28, 2, 56, 2, 3).mean(axis=(2, 4))
    small = tower_patches(wave.config, np.floor(halved + 0.5).astype(np.uint8))
    torch.testing.assert_close(tokens[:, 5:].flatten(0, 1), wave.vision_features(small))
    sequence = video_sequence(wave.config, [[5]], VisionFeatures(tokens.flatten(0, 1), patches.grid_thw, 1.0))
    assert sequence.position_ids[0].tolist() == [0, *[1] * 7, *[26] * 7, 27, 28, 29]


def test_a_checkpoint_restores_it_and_texts_do_not_load_it(wave: Wave, tmp_path: Path) -> None:
    save_wave(wave, tmp_path)
    stored = open_wave(tmp_path, read_config(tmp_path))
    stored.require(components_for([Modality.TEXT]))
    assert stored.wave.classifier is None
    stored.require(components_for([Modality.IMAGE]))
    for key, weight in stored.wave.classifier.state_dict().items():
        assert torch.equal(weight, wave.state_dict()[f"classifier.{key}"]), key


def test_frames_have_even_sides(wave: Wave) -> None:
    with pytest.raises(ValueError, match="even sides"):
        image_patches(wave.config, np.zeros((57, 56, 3), dtype=np.uint8))


def test_frame_tokens_are_a_row_of_their_own() -> None:
    block = layout.grid((2, 2, 4), 2, 3, 1.0, 25)
    assert block.tolist() == [[0] * 5 + [25] * 5, [0] * 10, [0, 1, 2, 0, 1] * 2]
    is_audio = layout.interleave((5, 4, 4), 2, 3, 1.0, 2 * 250)
    runs = np.diff(np.flatnonzero(np.diff(is_audio, prepend=True, append=False)))
    assert runs.tolist() == [14, 100, 14, 100, 7, 300]
