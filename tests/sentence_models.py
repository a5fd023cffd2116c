"""Tiny models with random weights in the layouts of sentence-transformers, as their publishers save them."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules.normalize import Normalize
from sentence_transformers.base.modules.transformer import Transformer
from sentence_transformers.sentence_transformer.modules.pooling import Pooling
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import WordLevel
from tokenizers.processors import TemplateProcessing
from transformers import (
    BertConfig,
    BertModel,
    ClapConfig,
    ClapFeatureExtractor,
    ClapModel,
    ClapProcessor,
    CLIPConfig,
    CLIPModel,
    CLIPProcessor,
    EmbeddingGemma2Config,
    EmbeddingGemma2Model,
    EmbeddingGemma2Processor,
    EmbeddingGemma2TextConfig,
    Gemma4AudioConfig,
    Gemma4AudioFeatureExtractor,
    Gemma4VisionConfig,
    PreTrainedTokenizerFast,
    Qwen2_5OmniProcessor,
    Qwen2_5OmniThinkerConfig,
    Qwen2_5OmniThinkerForConditionalGeneration,
    WhisperFeatureExtractor,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.gemma4.image_processing_pil_gemma4 import Gemma4ImageProcessorPil
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from wave_search.models.sentence_transformers import films

SMALL = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
PROMPTS = {"query": "task: search | query: ", "document": "title: none | text: "}
_GEMMA_TOKENS = {
    **{"image_token": "<|image|>", "boi_token": "<|image>", "eoi_token": "<image|>", "video_token": "<|video|>"},
    **{"audio_token": "<|audio|>", "boa_token": "<|audio>", "eoa_token": "<audio|>"},
}
_QWEN_TOKENS = {
    **{"image_token": "<|IMAGE|>", "video_token": "<|VIDEO|>", "audio_token": "<|AUDIO|>"},
    **{"vision_bos_token": "<|vision_bos|>", "vision_eos_token": "<|vision_eos|>"},
    **{"audio_bos_token": "<|audio_bos|>", "audio_eos_token": "<|audio_eos|>"},
}
_MESSAGE = (
    "{% for m in messages %}{% for c in m.content %}{% if c.type == 'text' %}{{ c.text }}{% elif c.type == 'audio' %}"
    "<|audio_bos|><|AUDIO|><|audio_eos|>{% else %}<|vision_bos|><|{{ c.type | upper }}|><|vision_eos|>{% endif %}"
    "{% endfor %}{% endfor %}</s>"
)
_MEDIA_THEN_TEXT = (
    "{% for m in messages %}{% for c in m.content if c.type != 'text' %}<|{{ c.type }}|>{% endfor %}{% endfor %}"
    "{% for m in messages %}{% for c in m.content if c.type == 'text' %}{{ c.text }}{% endfor %}{% endfor %}"
)


def tokenizer(**tokens: str) -> Any:
    """Of single letters, and of tokens by the names of what they are for."""
    names = ["<pad>", "<s>", "</s>", "<unk>", *string.printable]
    vocabulary = {name: number for number, name in enumerate(names)}
    made = Tokenizer(WordLevel(vocabulary, "<unk>"))
    made.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    made.decoder = decoders.Fuse()
    made.post_processor = TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)])
    special = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    names = ["input_ids", "attention_mask"]
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        model_max_length=64,
        model_input_names=names,
        extra_special_tokens=tokens,
        **special,
    )


def write_clip(folder: Path) -> Path:
    """Text and pictures."""
    text = {**SMALL, "vocab_size": 120, "max_position_embeddings": 64, "bos_token_id": 1, "eos_token_id": 2}
    vision = {**SMALL, "image_size": 32, "patch_size": 16}
    pictures = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=24)
    return _saved(CLIPModel, config, CLIPProcessor(pictures, tokenizer()), folder)


def write_clap(folder: Path) -> Path:
    """Text and sound."""
    audio = {
        **{"spec_size": 64, "num_mel_bins": 64, "patch_embeds_hidden_size": 8},
        **{"depths": [1, 1], "num_attention_heads": [1, 2], "window_size": 4, "enable_fusion": False},
        **{"enable_patch_layer_norm": True, "num_hidden_layers": 2, "mlp_ratio": 2.0, "hidden_size": 16},
    }
    text = {**SMALL, "vocab_size": 120, "max_position_embeddings": 70, "pad_token_id": 0}
    sound = ClapFeatureExtractor(
        feature_size=64,
        sampling_rate=16_000,
        hop_length=480,
        max_length_s=1,
        truncation="rand_trunc",
        fft_window_size=512,
        frequency_max=8_000,
    )
    config = ClapConfig(text_config=text, audio_config=audio, projection_dim=24)
    return _saved(ClapModel, config, ClapProcessor(sound, tokenizer()), folder)


def write_text(folder: Path) -> Path:
    """Texts alone, with prompts for queries and documents, and a folder for each module."""
    config = BertConfig(**SMALL, vocab_size=120, max_position_embeddings=64, pad_token_id=0)
    torch.manual_seed(0)
    BertModel(config).save_pretrained(folder / "source")
    tokenizer().save_pretrained(folder / "source")
    modules = [Transformer(str(folder / "source")), Pooling(16)]
    SentenceTransformer(modules=modules, prompts=PROMPTS, device="cpu").save_pretrained(str(folder / "model"))
    return folder / "model"


def write_gemma(folder: Path, *, is_tiny: bool = True) -> Path:
    """EmbeddingGemma 2, tiny or of its true size: each modality, with prompts for each."""
    films.register()
    letters = tokenizer(**_GEMMA_TOKENS)
    heads = {"num_attention_heads": 2, "head_dim": 8, "global_head_dim": 8}
    text = {
        **{**SMALL, **heads, "num_key_value_heads": 1, "vocab_size": 120, "embedding_dim": 24},
        **{"hidden_size_per_layer_input": 8, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2},
    }
    audio = {
        **{"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "output_proj_dims": 24},
        "subsampling_conv_channels": [128, 4],
    }
    vision = {**SMALL, **heads, "num_key_value_heads": 2, "position_embedding_size": 1024}
    config = EmbeddingGemma2Config(
        text_config=EmbeddingGemma2TextConfig(**text if is_tiny else {}),
        vision_config=Gemma4VisionConfig(**vision if is_tiny else {}),
        audio_config=Gemma4AudioConfig(**audio if is_tiny else {}),
        image_token_id=letters.image_token_id,
        video_token_id=letters.video_token_id,
        audio_token_id=letters.audio_token_id,
        dtype="float32" if is_tiny else "bfloat16",
    )
    processor = EmbeddingGemma2Processor(
        Gemma4AudioFeatureExtractor(),
        Gemma4ImageProcessorPil(max_soft_tokens=70 if is_tiny else 280),
        letters,
        films.EmbeddingGemma2VideoProcessor(
            fps=1, max_frames=32, max_soft_tokens=70 if is_tiny else 140, do_normalize=False
        ),
        chat_template=_MEDIA_THEN_TEXT,
    )
    modules = (Pooling(config.text_config.embedding_dim), Normalize())
    return _saved(EmbeddingGemma2Model, config, processor, folder, *modules, prompts=PROMPTS)


def write_qwen(folder: Path) -> Path:
    """Qwen2.5-Omni: each modality, by the last token of a message."""
    films.register()
    letters = tokenizer(**_QWEN_TOKENS)
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1}
    config = Qwen2_5OmniThinkerConfig(
        text_config={
            **{**SMALL, **heads, "vocab_size": 120, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2},
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [1, 1, 2]},
        },
        vision_config={
            **{"depth": 1, "hidden_size": 16, "intermediate_size": 32, "num_heads": 2, "out_hidden_size": 16},
            "fullatt_block_indexes": [0],
        },
        audio_config={
            **{"num_mel_bins": 16, "encoder_layers": 1, "encoder_attention_heads": 2, "encoder_ffn_dim": 32},
            **{"d_model": 16, "output_dim": 16},
        },
        image_token_index=letters.image_token_id,
        video_token_index=letters.video_token_id,
        audio_token_index=letters.audio_token_id,
        vision_start_token_id=letters.convert_tokens_to_ids(letters.vision_bos_token),
    )
    small = {"shortest_edge": 4 * 28 * 28, "longest_edge": 8 * 28 * 28}
    processor = Qwen2_5OmniProcessor(
        Qwen2VLImageProcessorPil(size=small),
        films.Qwen2VLVideoProcessor(size=small),
        WhisperFeatureExtractor(feature_size=16, return_attention_mask=True),
        letters,
        chat_template=_MESSAGE,
    )
    return _saved(
        Qwen2_5OmniThinkerForConditionalGeneration, config, processor, folder, Pooling(16, "lasttoken"), Normalize()
    )


def _saved(architecture: Any, config: Any, processor: Any, folder: Path, *modules: Any, **options: Any) -> Path:
    torch.manual_seed(0)
    architecture(config).to(config.dtype).save_pretrained(folder / "source")
    processor.save_pretrained(folder / "source")
    model = SentenceTransformer(modules=[Transformer(str(folder / "source")), *modules], device="cpu", **options)
    model.save_pretrained(str(folder / "model"))
    return folder / "model"
