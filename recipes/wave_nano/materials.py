"""The inputs of the stages, read or computed once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from tokenizers import Tokenizer

from recipes.wave_nano import vocabulary
from recipes.wave_nano.architecture import HIDDEN, VOCABULARY
from recipes.wave_nano.classes import OTHER_NAMES, PICTOGRAMS, SOURCES
from recipes.wave_nano.sounds import Sound, by_label, load_sounds
from recipes.wave_nano.sprites import TRAINING_STYLES, Sprites, load_sprites
from recipes.wave_nano.teacher import Meanings, Teacher, meanings
from recipes.wave_nano.vocabulary import phrases, read_lexicon
from wave_search.models.wave.tokenizer import TextTokenizer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recipes.wave_nano.config import TrainConfig
    from wave_search.models.wave.network import Wave

CAPTIONS = 6_000
"""Number of captions, which come first among the phrases that the text path learns."""
_PHRASES, _NEAR_WORDS = 300_000, 6_000


@dataclass(frozen=True, slots=True)
class Materials:
    """Inputs of all stages."""

    tokenizer: Tokenizer
    meanings: Meanings
    """Phrases that the text path learns."""
    sounds: dict[str, list[Sound]]
    """Sounds of the training folds by label."""
    held_out: list[Sound]
    sprites: Sprites
    """Drawings in the training styles."""
    sound_meanings: torch.Tensor
    """(labels, dim) vectors of the teacher, in the order of `sounds`."""
    subject_meanings: torch.Tensor
    """(subjects, dim) vectors of the teacher, in the order of `classes.PICTOGRAMS`."""


def prepare(config: TrainConfig) -> Materials:
    """Read the inputs. Tokenizer and vectors of the teacher are cached in the directory of the run."""
    config.directory.mkdir(parents=True, exist_ok=True)
    sounds = by_label(load_sounds(config.inputs.media, config.training_folds))
    teacher = Teacher(config.inputs.teacher)
    known, tokenizer_file = config.directory / "meanings.npz", config.directory / "tokenizer.json"
    if not known.is_file():
        _compute_words(config, sounds, teacher)
    learned = Meanings.load(known)
    wordings = [group[0].wordings for group in sounds.values()]
    names = [(subject, *OTHER_NAMES.get(subject, ())) for subject in PICTOGRAMS]
    return Materials(
        tokenizer=Tokenizer.from_file(str(tokenizer_file)),
        meanings=learned,
        sounds=sounds,
        held_out=load_sounds(config.inputs.media, (config.held_out_fold,)),
        sprites=load_sprites(config.inputs.icons, TRAINING_STYLES, config.directory / "sprites"),
        sound_meanings=_mean_meanings(teacher, learned, wordings),
        subject_meanings=_mean_meanings(teacher, learned, names),
    )


def _compute_words(config: TrainConfig, sounds: dict[str, list[Sound]], teacher: Teacher) -> None:
    rng = np.random.default_rng(config.seed)
    common = vocabulary.common_words(config.inputs.teacher)
    listed = vocabulary.listed_words(config.inputs.words)
    heard = sorted({words for group in sounds.values() for words in group[0].wordings})
    captions = vocabulary.captions(rng, CAPTIONS, heard)
    tokenizer = vocabulary.train_tokenizer(common, listed, captions, VOCABULARY)
    tokenizer.save(str(config.directory / "tokenizer.json"))
    lexicon = read_lexicon(config.inputs.words, common)
    near = lexicon.only(_nearest_words(teacher, lexicon.words, [*heard, *PICTOGRAMS]))
    made = [*captions, *lexicon.words, *phrases(rng, lexicon, near, _PHRASES)]
    meanings(teacher, made, HIDDEN).save(config.directory / "meanings.npz")


def _nearest_words(teacher: Teacher, words: Sequence[str], concepts: Sequence[str]) -> set[str]:
    """Select the words that are closest in meaning to the classes."""
    closeness = (teacher.embed(words) @ teacher.embed(concepts).T).max(axis=1)
    return {words[index] for index in np.argsort(-closeness)[:_NEAR_WORDS]}


def _mean_meanings(teacher: Teacher, learned: Meanings, wordings: Sequence[Sequence[str]]) -> torch.Tensor:
    means = [learned.project(teacher.embed(list(words))).mean(axis=0) for words in wordings]
    return torch.nn.functional.normalize(torch.from_numpy(np.stack(means)), dim=-1)


def text_tokenizer(materials: Materials, wave: Wave) -> TextTokenizer:
    """Return the tokenizer as the model uses it."""
    return TextTokenizer(materials.tokenizer, wave.config.tokens)


def teach_tokens(wave: Wave, materials: Materials, config: TrainConfig) -> None:
    """Initialise the token embeddings with the teacher's vectors of the tokens."""
    count = VOCABULARY - len(vocabulary.SPECIAL_TOKENS)
    spelled = [materials.tokenizer.decode([token]).strip() or "." for token in range(count)]
    vectors = materials.meanings.project(Teacher(config.inputs.teacher).embed(spelled))
    with torch.no_grad():
        wave.model.embed_tokens.weight[:count] = torch.from_numpy(vectors)
        wave.model.embed_tokens.weight[count:].normal_(0, HIDDEN**-0.5)


def sounding_subjects(materials: Materials) -> dict[str, list[str]]:
    """Map each subject to those labels of its sounds that have recordings."""
    found: dict[str, list[str]] = {}
    for label, subject in SOURCES.items():
        if label in materials.sounds:
            found.setdefault(subject, []).append(label)
    return found
