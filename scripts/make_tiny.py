"""Build the bundled model wave-tiny: the WAVE architecture, small, with weights from a formula instead of training.

    python -m scripts.make_tiny [DIRECTORY]

Writes config.json, tokenizer.json and model.safetensors, with identical bytes on every machine.
"""

from __future__ import annotations

import json
import sys
import zlib
from pathlib import Path

import numpy as np
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers

from recipes.wave_nano.vocabulary import SPECIAL_TOKENS
from wave_search.models.sources import TINY_DIRECTORY
from wave_search.models.wave.checkpoint import save_wave
from wave_search.models.wave.config import WaveConfig
from wave_search.models.wave.network import Wave

HIDDEN = 64
GAIN = 1.5
"""Above 1, so that differences between inputs survive the layers instead of being averaged away."""

# The ids follow the 256 bytes.
IDS = {token: 256 + position for position, token in enumerate(SPECIAL_TOKENS)}

CONFIG = {
    "architectures": ["Qwen2_5OmniThinkerForConditionalGeneration"],
    "model_type": "qwen2_5_omni_thinker",
    "pad_token_id": IDS["<|endoftext|>"],
    "bos_token_id": IDS["<|im_start|>"],
    "eos_token_id": IDS["<|im_end|>"],
    "audio_token_index": IDS["<|AUDIO|>"],
    "audio_start_token_id": IDS["<|audio_bos|>"],
    "audio_end_token_id": IDS["<|audio_eos|>"],
    "vision_start_token_id": IDS["<|vision_bos|>"],
    "vision_end_token_id": IDS["<|vision_eos|>"],
    "vision_token_id": IDS["<|vision_pad|>"],
    "image_token_index": IDS["<|IMAGE|>"],
    "video_token_index": IDS["<|VIDEO|>"],
    "position_id_per_seconds": 25,
    "seconds_per_chunk": 2,
    "classify_type": "all_layer",
    "text_config": {
        "model_type": "qwen2_5_omni_text",
        "vocab_size": 256 + len(SPECIAL_TOKENS),
        "hidden_size": HIDDEN,
        "intermediate_size": 128,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "hidden_act": "silu",
        "max_position_embeddings": 32768,
        "rms_norm_eps": 1e-06,
        "rope_theta": 1000000.0,
        "rope_scaling": {
            "mrope_section": [2, 3, 3],
            "rope_type": "default",
            "type": "default",
            "rope_theta": 1000000.0,
        },
        "tie_word_embeddings": False,
    },
    "audio_config": {
        "model_type": "qwen2_5_omni_audio_encoder",
        "num_mel_bins": 128,
        "encoder_layers": 2,
        "encoder_attention_heads": 4,
        "encoder_ffn_dim": 96,
        "d_model": 48,
        "activation_function": "gelu",
        "max_source_positions": 1500,
        "n_window": 100,
        "output_dim": HIDDEN,
    },
    "vision_config": {
        "model_type": "qwen2_5_omni_vision_encoder",
        "depth": 2,
        "hidden_size": 48,
        "hidden_act": "silu",
        "intermediate_size": 80,
        "num_heads": 3,
        "in_channels": 3,
        "patch_size": 14,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
        "window_size": 112,
        "out_hidden_size": HIDDEN,
        "fullatt_block_indexes": [1],
    },
    "beats_config": {
        "encoder_layers": 2,
        "encoder_embed_dim": 48,
        "encoder_ffn_embed_dim": 96,
        "encoder_attention_heads": 2,
        "embed_dim": 32,
    },
}


def main(directory: Path) -> None:
    """Write the model, replacing an earlier one."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "model.safetensors").unlink(missing_ok=True)
    save_wave(tiny_wave(), directory)
    tiny_tokenizer().save(str(directory / "tokenizer.json"))


def tiny_wave() -> Wave:
    """Return the model with weights computed by the formula."""
    with torch.device("meta"):
        wave = Wave(WaveConfig.from_dict(json.loads(json.dumps(CONFIG))))
    weights = {key: torch.from_numpy(weight(key, tuple(old.shape))) for key, old in wave.state_dict().items()}
    wave.load_state_dict(weights, assign=True)
    wave.init_buffers("cpu")
    return wave


def weight(key: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return one tensor: noise of unit variance from a generator seeded with the key, scaled by the tensor's role.

    The noise is uniform and computed from raw bits, whose stream numpy guarantees never to change.
    """
    generator = np.random.PCG64(zlib.crc32(f"wave-tiny {key}".encode()))
    bits = generator.random_raw(int(np.prod(shape))).reshape(shape)
    noise = ((bits >> np.uint64(11)) * 2.0**-52 - 1) * np.sqrt(3)
    if key.endswith(".grep_a") or (len(shape) == 1 and key.endswith(".weight")):
        value = 1 + 0.1 * noise
    elif len(shape) == 1:
        value = 0.1 * noise
    elif key.endswith(".weight_g"):
        value = 0.5 * (1 + 0.1 * noise)
    elif key.endswith((".embed_tokens.weight", ".relative_attention_bias.weight")):
        value = 0.5 * noise
    else:
        value = GAIN / np.sqrt(np.prod(shape[1:])) * noise
    return np.asarray(value, dtype=np.float32)


def tiny_tokenizer() -> Tokenizer:
    """Return Qwen2's byte-level tokenizer without merges: one token per byte."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={letter: index for index, letter in enumerate(alphabet)}, merges=[]))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in SPECIAL_TOKENS])
    return tokenizer


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else TINY_DIRECTORY)
