"""The model as a whole: construction, batches, and what it may not compute twice."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import cosine_similarity

from tests.golden.observe import full_pass, observed
from wave_search.errors import CheckpointError, ModelError, UsageError
from wave_search.models.wave.config import BeatsConfig, WaveConfig
from wave_search.models.wave.network import Wave
from wave_search.models.wave.preprocess import audio_pieces, image_patches, video_patches
from wave_search.models.wave.sequences import (
    AudioFeatures,
    VisionFeatures,
    audio_sequence,
    audiovisual_sequence,
    image_sequence,
    text_sequence,
    video_sequence,
)

GOLDEN = Path(__file__).parents[1] / "data" / "golden"
PROMPT = [11, 12, 13]
# A small vocabulary, so that the table of embeddings does not dominate the run time; so other ids than the released.
TOKENS = {
    "pad_token_id": 0,
    "eos_token_id": 1,
    "audio_token_index": 2,
    "image_token_index": 3,
    "video_token_index": 4,
    "audio_start_token_id": 5,
    "audio_end_token_id": 6,
    "vision_start_token_id": 7,
    "vision_end_token_id": 8,
}


def config_dict():
    config = json.loads((GOLDEN / "config_tiny.json").read_text())
    config["thinker_config"] |= TOKENS
    config["thinker_config"]["text_config"]["vocab_size"] = 200
    return config


@pytest.fixture(scope="module")
def config():
    return WaveConfig.from_dict(config_dict())


@pytest.fixture(scope="module")
def wave(config):
    torch.manual_seed(5)
    wave = Wave(config).requires_grad_(False)
    for name, parameter in wave.named_parameters():
        # The initial weights of the towers are so small that nothing would depend on the media.
        if parameter.dim() > 1 and "norm" not in name:
            parameter.normal_(0, parameter[0].numel() ** -0.5)
    return wave


@pytest.fixture(scope="module")
def clip(config):
    random = np.random.default_rng(3)
    sound = (0.2 * random.standard_normal(24_000)).astype(np.float32)
    frames = random.integers(0, 256, (6, 56, 84, 3), dtype=np.uint8)
    return video_patches(config, frames), audio_pieces(config, sound)


@pytest.fixture(scope="module")
def features(wave, clip):
    patches, pieces = clip
    with torch.inference_mode():
        vision = VisionFeatures(wave.vision_features(patches), patches.grid_thw, 1.0)
        return vision, AudioFeatures(wave.audio_features(pieces))


@pytest.fixture(scope="module")
def sequences(config, wave, features):
    vision, audio = features
    image = image_patches(config, np.full((28, 56, 3), 90, dtype=np.uint8))
    with torch.inference_mode():
        still = VisionFeatures(wave.vision_features(image), image.grid_thw)
    return [
        video_sequence(config, [PROMPT], vision),
        audio_sequence(config, [PROMPT], audio),
        audiovisual_sequence(config, [PROMPT], vision, audio),
        audiovisual_sequence(config, [PROMPT], vision, audio, "aligned"),
        image_sequence(config, [PROMPT], still),
        text_sequence(config, [20, 21]),
    ]


@torch.inference_mode()
def embed(wave, sequences):
    return wave.embed_media(sequences)


def test_state_dict_has_the_released_keys_and_shapes():
    with torch.device("meta"):
        wave = Wave(WaveConfig.from_dict(json.loads((GOLDEN / "config_tiny.json").read_text())))
    manifest = json.loads((GOLDEN / "weights_manifest.json").read_text())
    del manifest["lm_head.weight"]
    assert {key: list(value.shape) for key, value in wave.state_dict().items()} == {
        key: entry["shape"] for key, entry in manifest.items()
    }


def test_a_model_built_on_meta_equals_one_built_on_the_cpu(config, wave, sequences):
    with torch.device("meta"):
        twin = Wave(config)
    twin.load_state_dict(wave.state_dict(), strict=True, assign=True)
    twin.init_buffers("cpu")
    assert not [name for name, value in (*twin.named_parameters(), *twin.named_buffers()) if value.is_meta]
    buffers = dict(wave.named_buffers())
    assert {name for name, value in twin.named_buffers() if torch.equal(value, buffers[name])} == set(buffers)
    assert torch.equal(embed(twin, sequences), embed(wave, sequences))


def test_buffers_recover_from_a_change_of_dtype(wave):
    narrow = copy.deepcopy(wave).to(torch.bfloat16)
    assert {value.dtype for value in narrow.buffers()} == {torch.bfloat16}
    narrow.init_buffers("cpu")
    for name, value in wave.named_buffers():
        assert torch.equal(value, narrow.get_buffer(name))


def test_bias_table_of_beats_is_one_and_its_aliases_may_be_missing(config, wave):
    state = {key: value for key, value in wave.state_dict().items() if "layers.1.self_attn.relative" not in key}
    with torch.device("meta"):
        twin = Wave(config)
    twin.load_state_dict(state, strict=True, assign=True)
    first, second = (layer.self_attn.relative_attention_bias for layer in twin.beats.encoder.layers)
    assert first is second
    assert torch.equal(first.weight, wave.beats.encoder.layers[0].self_attn.relative_attention_bias.weight)


def test_a_missing_table_is_still_missed(wave):
    state = {key: value for key, value in wave.state_dict().items() if "relative_attention_bias" not in key}
    with pytest.raises(RuntimeError, match="relative_attention_bias"):
        copy.deepcopy(wave).load_state_dict(state, strict=True)


def test_embeddings_do_not_depend_on_the_batch(wave, sequences):
    together = embed(wave, sequences)
    alone = torch.cat([embed(wave, [sequence]) for sequence in sequences])
    assert together.shape == (6, wave.config.hidden_size)
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)
    # Nor are they all the same.
    assert cosine_similarity(alone[:1], alone[1:]).max() < 0.999


def test_texts_do_not_depend_on_the_batch(wave, config):
    texts = [text_sequence(config, range(20, 20 + length)) for length in (1, 7, 30)]
    with torch.inference_mode():
        together = wave.embed_text(texts)
        alone = torch.cat([wave.embed_text([text]) for text in texts])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


def test_last_tokens_are_those_of_the_full_hidden_states(wave, sequences):
    with observed(wave) as record, torch.inference_mode():
        embeddings = wave.embed_media(sequences)
        states = full_pass(wave, record.passes[0])
        full = torch.cat([hidden[:, -1] for hidden in states[1:]], dim=-1)
        torch.testing.assert_close(embeddings, wave.classify_linear(full), atol=5e-6, rtol=0)


PROMPTS = [[11, 12, 13], [14], [11, 12, 15, 16, 17, 18]]


@pytest.mark.parametrize("kind", ["video", "audio", "sequential", "aligned", "image"])
def test_prompts_that_share_their_media_give_what_each_alone_gives(config, wave, features, kind):
    vision, audio = features
    build = {
        "video": lambda prompts: video_sequence(config, prompts, vision),
        "image": lambda prompts: image_sequence(config, prompts, replace(vision, seconds_per_grid=0.0)),
        "audio": lambda prompts: audio_sequence(config, prompts, audio),
        "sequential": lambda prompts: audiovisual_sequence(config, prompts, vision, audio),
        "aligned": lambda prompts: audiovisual_sequence(config, prompts, vision, audio, "aligned"),
    }[kind]
    alone = torch.cat([embed(wave, [build([prompt])]) for prompt in PROMPTS])
    shared = build(PROMPTS)
    assert len(shared) == len(build(PROMPTS[:1])) + len(PROMPTS[1]) + len(PROMPTS[2]) + 2
    # Twice the same shape, between others.
    together = embed(wave, [text_sequence(config, [20]), shared, shared, build(PROMPTS[1:])])
    torch.testing.assert_close(together[1:], torch.cat([alone, alone, alone[1:]]), atol=1e-5, rtol=0)


def test_memory_of_the_input_is_left_alone(wave, sequences):
    features = sequences[2].features[0].rows.clone()
    first = embed(wave, sequences[:3])
    assert torch.equal(sequences[2].features[0].rows, features)
    assert torch.equal(embed(wave, sequences[:3]), first)


def test_towers_run_once_however_a_clip_is_embedded(config, wave, clip):
    patches, pieces = clip
    with observed(wave) as record, torch.inference_mode():
        vision = VisionFeatures(wave.vision_features(patches), patches.grid_thw, 1.0)
        audio = AudioFeatures(wave.audio_features(pieces))
        wave.embed_media(
            [
                video_sequence(config, [PROMPT], vision),
                audio_sequence(config, [PROMPT], audio),
                audiovisual_sequence(config, [PROMPT], vision, audio),
            ]
        )
    assert [len(calls) for calls in (record.towers.vision, record.towers.audio, record.towers.beats)] == [1, 1, 1]
    assert len(record.passes) == 1


def test_only_the_decoder_runs_for_texts(wave, config):
    with observed(wave) as record, torch.inference_mode():
        wave.embed_text([text_sequence(config, [20])])
    assert record.towers.vision == record.towers.audio == record.towers.beats == []


def test_placeholders_in_a_prompt_are_words(config, wave, features):
    vision, audio = features
    prompt = [config.tokens.video, config.tokens.audio, 11]
    sequence = audiovisual_sequence(config, [prompt], vision, audio)
    with observed(wave) as record, torch.inference_mode():
        wave.embed_media([sequence])
    row = record.passes[0].embeddings[0]
    assert torch.equal(row[-4], wave.model.embed_tokens.weight[config.tokens.video])
    assert torch.equal(row[3], vision.tokens[1])


def test_position_rules_differ_only_in_the_positions(sequences):
    plain, aligned = sequences[2:4]
    assert np.array_equal(plain.token_ids, aligned.token_ids)
    assert np.array_equal(plain.position_ids, np.tile(np.arange(len(plain)), (3, 1)))
    assert not np.array_equal(plain.position_ids, aligned.position_ids)


def test_long_sounds_have_no_aligned_positions(config, features):
    vision, audio = features
    long = replace(audio, pieces=2)
    assert len(audiovisual_sequence(config, [PROMPT], vision, long, "sequential"))
    with pytest.raises(ModelError, match=r"300 s.*sequential"):
        audiovisual_sequence(config, [PROMPT], vision, long, "aligned")


def test_an_unknown_position_rule_is_named(config, features):
    with pytest.raises(UsageError, match="'warped'"):
        audiovisual_sequence(config, [PROMPT], *features, rule="warped")


def test_the_end_token_is_not_doubled(config):
    end = config.tokens.end
    assert text_sequence(config, [9]).token_ids.tolist() == [9, end]
    assert text_sequence(config, [9, end]).token_ids.tolist() == [9, end]
    assert text_sequence(config, []).token_ids.tolist() == [end]


def test_half_precision_stays_close(wave, clip, config):
    narrow = copy.deepcopy(wave).to(torch.bfloat16)
    narrow.beats.float()
    narrow.init_buffers("cpu")
    patches, pieces = clip
    results = []
    with torch.inference_mode():
        for model in (wave, narrow):
            vision = VisionFeatures(model.vision_features(patches), patches.grid_thw, 1.0)
            audio = AudioFeatures(model.audio_features(pieces))
            results.append(model.embed_media([audiovisual_sequence(config, [PROMPT], vision, audio)]).float())
    assert cosine_similarity(*results).item() > 0.99


def test_configuration_round_trips_from_both_layouts():
    nested = config_dict()
    flat = {**nested["thinker_config"], **nested["classify"], "beats_config": nested["beats_config"]}
    flat["audio_config"] = {**flat["audio_config"], "beats_path": "somewhere.pt"}
    for source in (nested, flat):
        config = WaveConfig.from_dict(source)
        assert config.to_dict() == source
        assert config.tokens.audio_start == TOKENS["audio_start_token_id"]
        assert config.beats.encoder_embed_dim == 48


def test_beats_settings_default_to_the_published_ones():
    config = config_dict()
    del config["beats_config"]
    assert WaveConfig.from_dict(config).beats == BeatsConfig()


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [
        ("thinker_config", "vision_start_token_id", None),
        ("classify", "classify_type", "last_layer"),
        ("beats_config", "layer_norm_first", True),
    ],
)
def test_unusable_configurations_are_named(part, key, value):
    config = config_dict()
    config[part] = {**config[part], key: value}
    with pytest.raises(CheckpointError, match=str(value) if value else key):
        WaveConfig.from_dict(config)
