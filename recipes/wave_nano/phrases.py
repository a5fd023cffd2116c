"""What the text path hears from its teacher: words, and phrases in the forms in which people search.

Parts of speech are guessed from which forms of a word a plain word list holds. Half of the words in a phrase are near
in meaning to what can be heard and seen, so that the neighbourhood of the captions is known best.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recipes.wave_nano.captions import pick, plural, with_article
from recipes.wave_nano.paraphrases import PARAPHRASES

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    import numpy as np

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
    """Words by their part of speech, frequent ones first."""

    nouns: tuple[str, ...]
    doings: tuple[str, ...]
    """Verbs with -ing."""
    qualities: tuple[str, ...]
    """Adjectives."""
    words: tuple[str, ...]
    """All of these, and all others."""

    def only(self, kept: Collection[str]) -> Lexicon:
        """The same with few words."""
        return Lexicon(
            *(
                tuple(word for word in words if word in kept)
                for words in (self.nouns, self.doings, self.qualities, self.words)
            )
        )


def read_lexicon(dictionary: Path, common: Sequence[str]) -> Lexicon:
    """Sort words.

    Args:
        dictionary: a word a line, nouns with their possessive as well ("dog's").
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
    """One phrase, which may be nonsense."""

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
    """Those in front more often."""
    return words[int(len(words) * rng.random() ** 1.7)]


def phrases(rng: np.random.Generator, everything: Lexicon, near: Lexicon, count: int) -> list[str]:
    """Words of `near` with and without an article, and phrases. No paraphrase of the evaluation is among them."""
    kept_apart = {text for pool in PARAPHRASES.values() for text in pool}
    made = [*near.words, *(with_article(noun) for noun in near.nouns), *map(plural, near.nouns)]
    while len(made) < count:
        made.append(phrase(rng, everything, near))
    return [text for text in dict.fromkeys(made) if text not in kept_apart]
