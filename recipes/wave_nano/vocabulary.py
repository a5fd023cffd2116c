"""The words that the text path learns from its teacher, and the tokenizer made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from recipes.wave_nano.captions import COLOURS, QUESTIONS, pick, seen, seen_and_heard
from recipes.wave_nano.classes import PICTOGRAMS, SOUND_WORDS
from recipes.wave_nano.scenes import random_scene

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np

SPECIAL_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|AUDIO|>",
    "<|audio_bos|>",
    "<|audio_eos|>",
    "<|vision_bos|>",
    "<|vision_eos|>",
    "<|vision_pad|>",
    "<|IMAGE|>",
    "<|VIDEO|>",
)
"""In the order of Qwen2.5-Omni; the last ids of the vocabulary."""


def common_words(teacher: Path) -> list[str]:
    """Whole words of the teacher's own vocabulary, frequent ones first."""
    lines = (teacher / "vocab.txt").read_text(encoding="utf-8").splitlines()
    return [word for word in lines if word.isalpha() and word.isascii() and len(word) > 1]


def listed_words(dictionary: Path) -> list[str]:
    """Words of a list with one a line, such as Debian's package `wamerican` installs."""
    lines = dictionary.read_text(encoding="utf-8").splitlines()
    return [word for word in lines if word.isalpha() and word.isascii() and word.islower() and len(word) > 2]


def captions(rng: np.random.Generator, count: int, sounds: Sequence[str]) -> list[str]:
    """Captions as training makes them."""
    things = list(PICTOGRAMS)
    heard = [*sounds, *(words for pool in SOUND_WORDS.values() for words in pool)]
    made = [*heard, *things, *COLOURS, *(question for pool in QUESTIONS.values() for question in pool)]
    while len(made) < count:
        picture = seen(rng, random_scene(rng, things), moving=bool(rng.random() < 0.7))
        made.append(picture if rng.random() < 0.7 else seen_and_heard(rng, picture, pick(rng, heard)))
    return made


def train_tokenizer(common: Sequence[str], listed: Sequence[str], texts: Sequence[str], size: int) -> Tokenizer:
    """Byte-level BPE in Qwen2's format. Lower case only, and the first word is as any other.

    Args:
        common: words by frequency.
        listed: further words.
        texts: captions.
        size: of the vocabulary, special tokens included.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size - len(SPECIAL_TOKENS), initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet())
    )
    corpus = [" ".join([word] * (1 + 40_000 // (rank + 20))) for rank, word in enumerate(common)]
    tokenizer.train_from_iterator([*corpus, *listed, *texts, *texts], trainer)
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in SPECIAL_TOKENS])
    return tokenizer
