"""The words and phrases that the text path learns from its teacher, and the tokenizer trained on them.

Phrases have the form of typical search queries. Parts of speech are guessed from the word forms in a plain word list.
Half of the words in a phrase are close in meaning to the classes of sounds and pictures, so that the neighbourhood of
the captions is covered best.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from recipes.wave_nano import esc50
from recipes.wave_nano.captions import QUESTIONS, av_caption, pick, plural, scene_caption, with_article
from recipes.wave_nano.classes import PARAPHRASES, PICTOGRAMS, SOUND_WORDS
from recipes.wave_nano.scenes import COLOURS, random_scene
from wave_search.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
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
    """Read the whole words of the teacher's vocabulary, frequent ones first."""
    lines = (teacher / "vocab.txt").read_text(encoding="utf-8").splitlines()
    return [word for word in lines if word.isalpha() and word.isascii() and len(word) > 1]


def listed_words(dictionary: Path) -> list[str]:
    """Read the words of a list with one per line, such as Debian's package `wamerican` installs."""
    lines = dictionary.read_text(encoding="utf-8").splitlines()
    return [word for word in lines if word.isalpha() and word.isascii() and word.islower() and len(word) > 2]


def read_sentences(path: Path) -> list[str]:
    """Read the captions of a file of COCO's annotations, such as `captions_val2017.json`.

    Raises:
        UsageError: there is no such file.
    """
    if not path.is_file():
        raise UsageError(f"{path}: no such file", "Unpack annotations_trainval2017.zip of COCO (cocodataset.org).")
    rows = json.loads(path.read_text(encoding="utf-8"))["annotations"]
    return list(dict.fromkeys(row["caption"].strip() for row in rows))


def captions(rng: np.random.Generator, count: int, sounds: Sequence[str]) -> list[str]:
    """Generate captions as in training."""
    subjects = list(PICTOGRAMS)
    heard = [*sounds, *(words for pool in SOUND_WORDS.values() for words in pool)]
    made = [*heard, *subjects, *COLOURS, *(question for pool in QUESTIONS.values() for question in pool)]
    while len(made) < count:
        picture = scene_caption(rng, random_scene(rng, subjects), moving=bool(rng.random() < 0.7))
        made.append(picture if rng.random() < 0.7 else av_caption(rng, picture, pick(rng, heard)))
    return made


def train_tokenizer(common: Sequence[str], listed: Sequence[str], texts: Sequence[str], size: int) -> Tokenizer:
    """Train a byte-level BPE tokenizer in Qwen2's format. Lower case only; the first word is encoded like any other.

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


TEMPLATES = (
    "a {noun}",
    "the {noun}",
    "{nouns}",
    "{doing}",
    "a {quality} {noun}",
    "a {noun} {doing}",
    "a {noun} {doing}",
    "{noun} {doing}",
    "a {doing} {noun}",
    "{doing} {nouns}",
    "a {quality} {noun} {doing}",
    "{quality} {nouns} {doing}",
    "the {doing} of a {noun}",
    "the sound of a {noun}",
    "the sound of a {noun} {doing}",
    "the {noun} of a {noun}",
    "{noun} of a {noun}",
    "{nouns} of a {noun}",
    "a {noun} {noun}",
    "{noun} {noun}",
    "{quality} {noun}",
    "{quality} {quality} {noun}",
    "{noun} and {noun}",
    "a {noun} with a {noun}",
    "someone with a {noun}",
    "someone {doing}",
    "someone {doing} a {noun}",
    "a {noun} {doing} a {noun}",
    "{noun} {doing} {nouns}",
    "a {noun} at {noun}",
    "a {noun} at the {noun}",
    "a {noun} in the {noun}",
    "{nouns} in the {noun}",
    "{nouns} by the {noun}",
    "{noun} near the {noun}",
    "{doing} in the {noun}",
    "a {noun} {doing} in the {noun}",
    "{doing} {nouns} of a {noun}",
    "{word} {word}",
    "a {word} {word} {word}",
)
_NEAR_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Words by part of speech, frequent ones first."""

    nouns: tuple[str, ...]
    doings: tuple[str, ...]
    """Verbs in the -ing form."""
    qualities: tuple[str, ...]
    """Adjectives."""
    words: tuple[str, ...]
    """All words, including other parts of speech."""

    def only(self, kept: Collection[str]) -> Lexicon:
        """Return the lexicon restricted to some words."""
        return Lexicon(
            *(
                tuple(word for word in words if word in kept)
                for words in (self.nouns, self.doings, self.qualities, self.words)
            )
        )


def read_lexicon(dictionary: Path, common: Sequence[str]) -> Lexicon:
    """Sort words by part of speech.

    Args:
        dictionary: one word per line, nouns with their possessive as well ("dog's").
        common: frequent words, the most frequent first.
    """
    lines = dictionary.read_text(encoding="utf-8").splitlines()
    listed = {line for line in lines if line.isascii() and line.islower()}
    plain = [word for word in (*common, *sorted(listed)) if word.isalpha() and len(word) > 2]
    words = tuple(word for word in dict.fromkeys(plain) if word in listed)
    return Lexicon(
        nouns=tuple(word for word in words if f"{word}'s" in listed and not word.endswith("ing")),
        doings=tuple(word for word in words if word.endswith("ing") and _stem(word, listed)),
        qualities=tuple(word for word in words if f"{word}ly" in listed or f"{word}er" in listed or word[-1] == "y"),
        words=tuple(dict.fromkeys(plain)),
    )


def _stem(doing: str, listed: Collection[str]) -> bool:
    stem = doing.removesuffix("ing")
    return any(form in listed for form in (stem, f"{stem}e", stem[:-1]))


def phrase(rng: np.random.Generator, everything: Lexicon, near: Lexicon) -> str:
    """Generate one phrase, which may be nonsensical."""

    def fill(slot: re.Match[str]) -> str:
        lexicon = near if rng.random() < _NEAR_SHARE else everything
        match slot[1]:
            case "noun":
                return _frequent(rng, lexicon.nouns)
            case "nouns":
                return plural(_frequent(rng, lexicon.nouns))
            case "doing":
                return _frequent(rng, lexicon.doings)
            case "quality":
                return _frequent(rng, lexicon.qualities)
            case _:
                return _frequent(rng, lexicon.words)

    made = re.sub(r"\{(\w+)\}", fill, pick(rng, TEMPLATES))
    return re.sub(r"\ba (?=(\w+))", lambda article: with_article(article[1])[: -len(article[1])], made)


def _frequent(rng: np.random.Generator, words: Sequence[str]) -> str:
    """Draw a word, earlier ones more often."""
    return words[int(len(words) * rng.random() ** 1.7)]


def phrases(rng: np.random.Generator, everything: Lexicon, near: Lexicon, count: int) -> list[str]:
    """Generate texts: words of `near` with and without an article, and phrases; no paraphrases of the evaluation."""
    kept_apart = {text for pools in (PARAPHRASES, esc50.PARAPHRASES) for pool in pools.values() for text in pool}
    made = [*near.words, *(with_article(noun) for noun in near.nouns), *map(plural, near.nouns)]
    while len(made) < count:
        made.append(phrase(rng, everything, near))
    return [text for text in dict.fromkeys(made) if text not in kept_apart]
