"""Tiny models with random weights in the layouts of sentence-transformers, as their publishers save them."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
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
    PreTrainedTokenizerFast,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

SMALL = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
PROMPTS = {"query": "task: search | query: ", "document": "title: none | text: "}


def tokenizer() -> Any:
    """Of single letters."""
    names = ["<pad>", "<s>", "</s>", "<unk>", *string.printable]
    vocabulary = {name: number for number, name in enumerate(names)}
    made = Tokenizer(WordLevel(vocabulary, "<unk>"))
    made.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    made.decoder = decoders.Fuse()
    made.post_processor = TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)])
    special = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    names = ["input_ids", "attention_mask"]
    return PreTrainedTokenizerFast(tokenizer_object=made, model_max_length=64, model_input_names=names, **special)


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


def _saved(architecture: Any, config: Any, processor: Any, folder: Path) -> Path:
    torch.manual_seed(0)
    architecture(config).save_pretrained(folder / "source")
    processor.save_pretrained(folder / "source")
    model = SentenceTransformer(modules=[Transformer(str(folder / "source"))], device="cpu")
    model.save_pretrained(str(folder / "model"))
    return folder / "model"
