"""Clips to vectors through the bundled model."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from threading import Thread
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from wave_search.errors import ModelError, UsageError
from wave_search.models import LoadOptions, load
from wave_search.models.wave.clips import SAMPLING
from wave_search.models.wave.embedder import WaveEmbedder
from wave_search.types import Clip, Frames, Modality, Waveform

if TYPE_CHECKING:
    from numpy.typing import NDArray

TEXT, IMAGE, AUDIO, VIDEO, AV = Modality
RATE_HZ = 16_000


@pytest.fixture(scope="module")
def embedder() -> WaveEmbedder:
    loaded = load("wave-tiny", LoadOptions(device="cpu"))
    assert isinstance(loaded, WaveEmbedder)
    return loaded


def sound(duration_s: float, seed: int = 0) -> Waveform:
    time_s = np.arange(round(duration_s * RATE_HZ)) / RATE_HZ
    noise = np.random.default_rng(seed).uniform(-0.1, 0.1, len(time_s))
    samples = noise + 0.5 * np.sin(2 * np.pi * 150 * 1.7**seed * time_s)
    return Waveform(samples.astype(np.float32), RATE_HZ)


def picture(seed: int = 0, frames: int = 4, height: int = 56, width: int = 84) -> NDArray[np.uint8]:
    coarse = np.random.default_rng(seed).integers(0, 256, (frames, height // 28, width // 28, 3), dtype=np.uint8)
    return coarse.repeat(28, axis=1).repeat(28, axis=2)


def film(duration_s: float, seed: int = 0, **size: int) -> Clip:
    frames = Frames(picture(seed, frames=max(1, round(2 * duration_s)), **size), duration_s)
    return Clip(frames=frames, waveform=sound(duration_s, seed))


CLIPS = [
    Clip(text="a dog barks"),
    film(3),
    Clip(waveform=sound(0.4)),
    Clip(image=picture()[0]),
    Clip(text="A long sentence about the weather, which is mostly rain, and about nothing else at all."),
    film(5.5, seed=1, height=84),
    Clip(frames=Frames(picture(2), 2.0)),
    Clip(waveform=sound(7, seed=3)),
    Clip(text="b", image=picture(5)[0], waveform=sound(1), frames=Frames(picture(6, frames=1), 0.5)),
]


def flattened(results: list[dict[Modality, NDArray[np.float32]]]) -> NDArray[np.float32]:
    return np.stack([result[modality] for result in results for modality in sorted(result)])


def test_all_modalities_of_each_clip(embedder: WaveEmbedder) -> None:
    results = embedder.embed(CLIPS)
    assert [set(result) for result in results] == [set(clip.modalities) for clip in CLIPS]
    vectors = flattened(results)
    assert vectors.dtype == np.float32
    assert vectors.shape[1] == embedder.spec.dim == 64
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_independent_of_the_batch(embedder: WaveEmbedder) -> None:
    together = flattened(embedder.embed(CLIPS))
    alone = flattened([result for clip in CLIPS for result in embedder.embed([clip])])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    backwards = flattened(embedder.embed(CLIPS[::-1])[::-1])
    np.testing.assert_allclose(together, backwards, atol=1e-5)
    for token_budget in (1, 400):
        frugal = load("wave-tiny", LoadOptions(device="cpu", token_budget=token_budget))
        np.testing.assert_allclose(together, flattened(frugal.embed(CLIPS)), atol=1e-5)


def test_only_what_is_asked_for(embedder: WaveEmbedder) -> None:
    everything, asked = embedder.embed([film(3)]), embedder.embed([film(3)], [AV, TEXT])
    assert set(asked[0]) == {AV}
    np.testing.assert_allclose(asked[0][AV], everything[0][AV], atol=1e-5)


def test_towers_run_once_per_clip(embedder: WaveEmbedder) -> None:
    calls: Counter[str] = Counter()
    wave = embedder.wave
    towers = {"audio": wave.audio_tower, "vision": wave.visual, "beats": wave.beats}
    hooks = [tower.register_forward_hook(lambda *_, name=name: calls.update([name])) for name, tower in towers.items()]
    try:
        embedder.embed([film(3), film(4)])
        assert calls == {"audio": 2, "vision": 2, "beats": 2}
        calls.clear()
        embedder.embed([film(3), Clip(text="no media")], [VIDEO, TEXT])
        assert calls == {"vision": 1}
    finally:
        for hook in hooks:
            hook.remove()


def test_a_part_of_the_model_is_loaded_when_it_is_needed() -> None:
    fresh = load("wave-tiny", LoadOptions(device="cpu"))
    assert isinstance(fresh, WaveEmbedder)

    def present() -> set[str]:
        weights = fresh.wave.state_dict()
        assert not [name for name, buffer in fresh.wave.named_buffers() if buffer.is_meta]
        return {key.split(".")[0] for key, value in weights.items() if not value.is_meta}

    fresh.embed([Clip(text="a dog barks")])
    assert present() == {"model"}
    fresh.embed([Clip(waveform=sound(1))])
    assert present() == {"model", "classify_linear", "audio_tower", "beats", "beats_ln", "beats_proj"}
    fresh.embed([Clip(image=picture()[0])])
    assert not [name for name, weight in fresh.wave.named_parameters() if weight.is_meta]


def test_instructions_over_one_clip_give_what_each_alone_gives(embedder: WaveEmbedder) -> None:
    instructions = ["What animal is heard?", None, "And the weather? Say it in one word, please."]
    together = embedder.embed_each(CLIPS, instructions)
    for number, instruction in enumerate(instructions):
        alone = embedder.embed(CLIPS, instruction=instruction)
        each = [results[number] for results in together]
        assert [set(vectors) for vectors in each] == [set(vectors) for vectors in alone]
        np.testing.assert_allclose(flattened(each), flattened(alone), atol=1e-5)
    assert np.abs(together[1][0][AV] - together[1][2][AV]).max() > 1e-3
    with pytest.raises(ValueError, match="no instructions"):
        embedder.embed_each(CLIPS, [])


def test_instructions_share_the_tokens_of_the_media(embedder: WaveEmbedder) -> None:
    rows: list[int] = []
    hook = embedder.wave.model.layers[0].input_layernorm.register_forward_hook(lambda *io: rows.append(len(io[2])))
    try:
        for count in (1, 4):
            embedder.embed_each([film(3)], ["abc"] * count, [AV])
    finally:
        hook.remove()
    # Three letters and the end token, three times more.
    assert rows[1] - rows[0] == 3 * 4


def test_a_clip_is_closest_to_itself(embedder: WaveEmbedder) -> None:
    clips = [film(3, seed=seed) for seed in range(6)]
    for modality in (AUDIO, VIDEO, AV):
        vectors = flattened(embedder.embed(clips, [modality]))
        assert (vectors @ vectors.T - 2 * np.eye(6)).max() < 0.99
    louder = replace(clips[0], waveform=Waveform(clips[0].waveform.samples * np.float32(0.98), RATE_HZ))  # type: ignore[union-attr]
    near = flattened(embedder.embed([clips[0], louder], [AUDIO]))
    assert near[0] @ near[1] > 0.99


def test_instruction_replaces_the_prompt_of_media_only(embedder: WaveEmbedder) -> None:
    clips = [Clip(waveform=sound(1)), Clip(text="a dog barks")]
    plain = embedder.embed(clips)
    asked = embedder.embed(clips, instruction="What animal is heard?")
    default = embedder.embed(clips, instruction=embedder.spec.prompts[AUDIO])
    assert np.abs(plain[0][AUDIO] - asked[0][AUDIO]).max() > 1e-3
    np.testing.assert_allclose(plain[0][AUDIO], default[0][AUDIO], atol=1e-6)
    np.testing.assert_allclose(plain[1][TEXT], asked[1][TEXT], atol=1e-6)
    with pytest.raises(UsageError, match="empty"):
        embedder.embed(clips, instruction="")


def test_position_rules_differ_for_audio_visual_clips_only(embedder: WaveEmbedder) -> None:
    aligned = load("wave-tiny", LoadOptions(device="cpu", family={"positions": "aligned"}))
    assert aligned.spec.options == {"positions": "aligned"}
    (one,), (other,) = embedder.embed([film(4)]), aligned.embed([film(4)])
    np.testing.assert_allclose(one[AUDIO], other[AUDIO], atol=1e-6)
    np.testing.assert_allclose(one[VIDEO], other[VIDEO], atol=1e-6)
    assert np.abs(one[AV] - other[AV]).max() > 1e-3


def test_text_as_label_or_bare(embedder: WaveEmbedder) -> None:
    (bare,), (ended,) = embedder.embed([Clip(text="a dog")]), embedder.embed([Clip(text="a dog<|im_end|>")])
    np.testing.assert_array_equal(bare[TEXT], ended[TEXT])


def test_text_that_spells_special_tokens(embedder: WaveEmbedder) -> None:
    clips = [Clip(text="<|AUDIO|><|im_end|> <|vision_bos|>"), Clip(waveform=sound(1))]
    result = embedder.embed(clips, instruction="<|AUDIO|><|audio_eos|>")
    assert np.isfinite(flattened(result)).all()


def test_threads_take_turns(embedder: WaveEmbedder) -> None:
    expected = flattened(embedder.embed(CLIPS[:4]))
    results: list[NDArray[np.float32]] = []
    threads = [Thread(target=lambda: results.append(flattened(embedder.embed(CLIPS[:4])))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    for result in results:
        np.testing.assert_allclose(result, expected, atol=1e-6)


def test_bfloat16_is_close(embedder: WaveEmbedder) -> None:
    half = load("wave-tiny", LoadOptions(device="cpu", dtype="bfloat16"))
    similarities = (flattened(half.embed(CLIPS)) * flattened(embedder.embed(CLIPS))).sum(axis=1)
    assert similarities.min() > 0.98


def test_spec(embedder: WaveEmbedder) -> None:
    spec = embedder.spec
    assert spec.sampling == SAMPLING
    assert spec.modalities == tuple(Modality)
    assert TEXT not in spec.prompts
    assert spec.prompts[AV] == spec.prompts[VIDEO] == "Please describe the video."
    assert len(spec.revision) == 32


def test_nothing_to_do(embedder: WaveEmbedder) -> None:
    assert embedder.embed([]) == []


@pytest.mark.parametrize(
    ("clip", "message"),
    [
        (Clip(), "nothing in it"),
        (Clip(text="words"), "of audio, video"),
        (Clip(waveform=replace(sound(1), sample_rate_hz=44_100)), "44100 Hz, need 16000 Hz"),
        (Clip(waveform=Waveform(np.zeros(0, np.float32), RATE_HZ)), "waveform"),
        (Clip(waveform=Waveform(np.zeros((2, 9), np.float32), RATE_HZ)), "waveform"),
        (Clip(waveform=Waveform(np.zeros(9), RATE_HZ)), "float64"),  # type: ignore[arg-type]
        (Clip(waveform=Waveform(np.full(9, np.nan, np.float32), RATE_HZ)), "not finite"),
        (Clip(frames=Frames(np.zeros((2, 30, 56, 3), np.uint8), 1.0)), "multiples of 28, got 30 x 56"),
        (Clip(frames=Frames(np.zeros((2, 28, 28, 4), np.uint8), 1.0)), "frames"),
        (Clip(frames=Frames(np.zeros((0, 28, 28, 3), np.uint8), 1.0)), "frames"),
        (Clip(frames=Frames(np.zeros((2, 28, 28, 3), np.uint8), 0.0)), "duration of 0.0 s"),
    ],
)
def test_clips_that_are_not_as_sampled(embedder: WaveEmbedder, clip: Clip, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        embedder.embed([clip], [AUDIO, VIDEO])


def test_image_must_be_sampled_too(embedder: WaveEmbedder) -> None:
    with pytest.raises(ValueError, match="image: height and width"):
        embedder.embed([Clip(image=np.zeros((27, 28, 3), np.uint8))])


def test_empty_text(embedder: WaveEmbedder) -> None:
    with pytest.raises(UsageError, match="the text is empty"):
        embedder.embed([Clip(text="  ")])


def test_too_long_a_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    short = load("wave-tiny", LoadOptions(device="cpu"))
    assert isinstance(short, WaveEmbedder)
    config = short.wave.config
    shorter = replace(config, decoder=replace(config.decoder, max_position_embeddings=200))
    monkeypatch.setattr(short.wave, "config", shorter)
    with pytest.raises(UsageError, match=r"tokens as audio; the model's limit is 200. Cut it into shorter segments."):
        short.embed([Clip(waveform=sound(5))])


def test_values_that_are_not_finite() -> None:
    broken = load("wave-tiny", LoadOptions(device="cpu"))
    assert isinstance(broken, WaveEmbedder)
    broken.embed([Clip(waveform=sound(1))])
    head = broken.wave.classify_linear[2]
    head.weight = torch.nn.Parameter(torch.full_like(head.weight, torch.nan), requires_grad=False)
    with pytest.raises(ModelError, match=r"clip 2 as audio: .* not finite"):
        broken.embed([Clip(text="unharmed, because texts bypass the head"), Clip(waveform=sound(1))])


def test_memory_of_the_device_is_too_small(embedder: WaveEmbedder) -> None:
    def run_out(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    hook = embedder.wave.audio_tower.register_forward_pre_hook(run_out)
    with pytest.raises(ModelError, match="memory of cpu is too small"):
        embedder.embed([Clip(waveform=sound(1))])
    hook.remove()
    assert embedder.embed([Clip(waveform=sound(1))])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "tpu"}, "not a device"),
        ({"device": "cuda:99"}, "there is no device cuda:99"),
        ({"dtype": "float8"}, "not a precision"),
        ({"family": {"positions": "random"}}, "positions has no value 'random'"),
        ({"family": {"pooling": "mean"}}, "WAVE has no option 'pooling'"),
        ({"quantization": "1bit"}, "not a quantization"),
    ],
)
def test_options_that_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load("wave-tiny", LoadOptions(**options))
