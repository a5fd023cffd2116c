"""One model twice, as on two devices."""

from __future__ import annotations

from collections import Counter
from functools import partial
from threading import Barrier, current_thread

import numpy as np
import pytest
import torch

from wave_search.errors import UsageError
from wave_search.models import LoadOptions, load
from wave_search.models.device import free_bytes, resolve_devices
from wave_search.models.replicas import Replicas
from wave_search.models.wave.batch import token_budget
from wave_search.models.wave.embedder import WaveEmbedder
from wave_search.types import Clip, Modality, Waveform


def sound(number: int) -> Clip:
    duration_s = 1 + number % 3
    noise = np.random.default_rng(number).uniform(-0.3, 0.3, 16_000 * duration_s)
    return Clip(text=f"sound {number}", waveform=Waveform(noise.astype(np.float32), 16_000))


def loaded() -> WaveEmbedder:
    embedder = load("wave-tiny", LoadOptions(device="cpu"))
    assert isinstance(embedder, WaveEmbedder)
    return embedder


@pytest.fixture
def replicas() -> Replicas:
    return Replicas([loaded, loaded])


@pytest.mark.parametrize("count", [0, 1, 2, 13])
def test_the_result_is_that_of_one(replicas: Replicas, count: int) -> None:
    clips, one = [sound(number) for number in range(count)], loaded()
    assert replicas.spec == one.spec
    for got, expected in zip(replicas.embed(clips), one.embed(clips), strict=True):
        assert got.keys() == expected.keys()
        for modality, vector in expected.items():
            np.testing.assert_allclose(got[modality], vector, atol=1e-6)
    each = replicas.embed_each(clips, [None, "Loud?"], [Modality.AUDIO])
    for got_each, expected_each in zip(each, one.embed_each(clips, [None, "Loud?"], [Modality.AUDIO]), strict=True):
        for got, expected in zip(got_each, expected_each, strict=True):
            np.testing.assert_allclose(got[Modality.AUDIO], expected[Modality.AUDIO], atol=1e-6)


def test_both_work_at_the_same_time() -> None:
    meeting = Barrier(2)
    seen: Counter[str] = Counter()

    def watched() -> WaveEmbedder:
        embedder = loaded()

        def meet(*_: object) -> None:
            if not seen[current_thread().name]:
                meeting.wait(30)
            seen[current_thread().name] += 1

        embedder.wave.model.layers[0].input_layernorm.register_forward_pre_hook(meet)
        return embedder

    Replicas([watched, watched]).embed([sound(number) for number in range(8)], [Modality.AUDIO])
    assert seen.keys() == {"replica-0", "replica-1"}


def test_a_single_clip_loads_no_second_model() -> None:
    made: list[int] = []

    def make(number: int) -> WaveEmbedder:
        made.append(number)
        return loaded()

    replicas = Replicas([partial(make, 0), partial(make, 1)])
    replicas.embed([sound(1)])
    assert made == [0]
    replicas.embed([sound(1), sound(2)])
    assert made == [0, 1]


def test_an_error_ends_the_call(replicas: Replicas) -> None:
    clips = [*map(sound, range(8)), Clip(text=" ")]
    with pytest.raises(UsageError, match="the text is empty"):
        replicas.embed(clips)
    assert len(replicas.embed(clips[:-1])) == 8


def test_cuda_means_all_that_are_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    assert [str(device) for device in resolve_devices("cuda")] == ["cuda:0", "cuda:1", "cuda:2"]
    assert resolve_devices("auto") == resolve_devices("cuda")
    assert resolve_devices("cuda:2") == (torch.device("cuda:2"),)
    assert resolve_devices("cpu") == (torch.device("cpu"),)
    with pytest.raises(UsageError, match="there is no device cuda:3"):
        resolve_devices("cuda:3")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert resolve_devices("auto") == (torch.device("cpu"),)
    with pytest.raises(UsageError, match="there is no device cuda: 0 CUDA"):
        resolve_devices("cuda")


def test_mps_is_used_if_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="there is no device mps"):
        resolve_devices("mps")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    (device,) = resolve_devices("mps")
    assert device == torch.device("mps")
    assert resolve_devices("auto") == (torch.device("cpu"),)
    assert token_budget(free_bytes(device), 192, 4, device.type) > 1024
