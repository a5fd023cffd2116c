"""The inputs of the stages, read or computed once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from tokenizers import Tokenizer

from recipes.wave_nano import vocabulary, yamnet
from recipes.wave_nano.architecture import HIDDEN, REGIONS, VOCABULARY
from recipes.wave_nano.classes import OTHER_NAMES, PICTOGRAMS, SOURCES
from recipes.wave_nano.efficientnet import read_published
from recipes.wave_nano.photographs import Labels, Simulator, label_meanings, read_labels, read_wordnet
from recipes.wave_nano.scenes import FRAME_SIZE, Pictures, random_scene
from recipes.wave_nano.sounds import Sound, by_label, load_sounds
from recipes.wave_nano.sprites import TRAINING_STYLES, Sprites, load_sprites
from recipes.wave_nano.teacher import Meanings, Teacher, meanings
from recipes.wave_nano.vocabulary import phrases, read_lexicon
from wave_search.models.wave.classifier import Classifier
from wave_search.models.wave.config import ClassifierConfig
from wave_search.models.wave.tokenizer import TextTokenizer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from recipes.wave_nano.config import TrainConfig
    from wave_search.models.wave.network import Wave

CAPTIONS = 6_000
"""Number of captions, which come first among the phrases that the text path learns."""
_PHRASES, _NEAR_WORDS = 300_000, 6_000
_LABEL_PHRASES, _DRAWINGS = 30_000, 60
_DETAILS_SCALE = 0.1
"""So small that the names of labels count most at first."""


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
    labels: Labels
    """Of the classifier."""
    label_meanings: torch.Tensor
    """(labels, dim) vectors of the teacher."""
    simulator: Simulator
    classifier: dict[str, torch.Tensor]
    """The published weights."""
    sound_classifier: dict[str, torch.Tensor]
    """The published weights."""
    sound_label_meanings: torch.Tensor
    """(labels, dim) vectors of the teacher for the labels of the classifier of sounds."""
    drawn_labels: dict[str, NDArray[np.float16]]
    """Subject -> (drawings, frame tokens, labels) probabilities that the classifier computes for drawings."""


def prepare(config: TrainConfig) -> Materials:
    """Read the inputs. Tokenizer and vectors of the teacher are cached in the directory of the run."""
    config.directory.mkdir(parents=True, exist_ok=True)
    sounds = by_label(load_sounds(config.inputs.media, config.training_folds))
    teacher = Teacher(config.inputs.teacher)
    labels = read_labels(read_wordnet(config.inputs.wordnet))
    classifier = read_published(config.inputs.classifier)
    sprites = load_sprites(config.inputs.icons, TRAINING_STYLES, config.directory / "sprites")
    known, tokenizer_file = config.directory / "meanings.npz", config.directory / "tokenizer.json"
    if not known.is_file():
        _compute_words(config, sounds, labels, teacher)
    learned = Meanings.load(known)
    wordings = [group[0].wordings for group in sounds.values()]
    heard_names = yamnet.read_names(config.inputs.sound_classifier)
    names = [(subject, *OTHER_NAMES.get(subject, ())) for subject in PICTOGRAMS]
    return Materials(
        tokenizer=Tokenizer.from_file(str(tokenizer_file)),
        meanings=learned,
        sounds=sounds,
        held_out=load_sounds(config.inputs.media, (config.held_out_fold,)),
        sprites=sprites,
        sound_meanings=_mean_meanings(teacher, learned, wordings),
        subject_meanings=_mean_meanings(teacher, learned, names),
        labels=labels,
        label_meanings=_label_meanings(teacher, learned, labels),
        simulator=Simulator(classifier["labels.weight"].numpy(), REGIONS),
        classifier=classifier,
        sound_classifier=yamnet.read_published(config.inputs.sound_classifier),
        sound_label_meanings=_mean_meanings(teacher, learned, [[name] for name in heard_names]),
        drawn_labels=_drawn_labels(classifier, sprites, config.directory / "drawn_labels.npz"),
    )


def _label_meanings(teacher: Teacher, learned: Meanings, labels: Labels) -> torch.Tensor:
    texts = labels.texts()
    vectors = dict(zip(texts, learned.project(teacher.embed(texts)), strict=True))
    names = [np.stack([vectors[wording.text] for wording in own]) for own in labels.names]
    kinds = [
        np.array([np.mean([vectors[wording.text] for wording in group], axis=0) for group in groups])
        for groups in labels.kinds
    ]
    return torch.from_numpy(label_meanings(names, kinds))


@torch.inference_mode()
def _drawn_labels(weights: dict[str, torch.Tensor], sprites: Sprites, cache: Path) -> dict[str, NDArray[np.float16]]:
    """Classify drawn frames, so that the decoder learns what the classifier makes of drawings."""
    if not cache.is_file():
        network = Classifier(ClassifierConfig(len(weights["labels.bias"]), REGIONS), hidden=1).eval()
        network.load_state_dict(weights, strict=False)
        rng, pictures = np.random.default_rng(0), Pictures(sprites)
        drawn = {}
        for subject in pictures.subjects:
            scenes = [random_scene(rng, [subject]) for _ in range(_DRAWINGS)]
            frames = np.concatenate(pictures.draw(rng, scenes, FRAME_SIZE, slice(1, 2)))
            drawn[subject] = network.logits(torch.from_numpy(frames), 1).softmax(dim=-1).half().numpy()
        np.savez_compressed(cache, **drawn)  # type: ignore[arg-type]  # the stubs take every name for a flag
    with np.load(cache) as arrays:
        return {subject: arrays[subject] for subject in sprites}


def teach_labels(wave: Wave, materials: Materials) -> None:
    """Load the published weights of the classifier; each label starts as the teacher's vector of its names."""
    if wave.classifier is None:
        raise ValueError("the model has no classifier")
    wave.classifier.load_state_dict(materials.classifier, strict=False)
    with torch.no_grad():
        wave.classifier.meanings.weight.copy_(materials.label_meanings.T)
        wave.classifier.meanings.bias.zero_()


def teach_sound_labels(wave: Wave, materials: Materials) -> None:
    """Load the published weights of the classifier of sounds; each label starts as the teacher's vector of its name."""
    classifier = wave.sound_classifier
    if classifier is None:
        raise ValueError("the model has no classifier of sounds")
    classifier.load_state_dict(materials.sound_classifier, strict=False)
    with torch.no_grad():
        classifier.meanings.weight.copy_(materials.sound_label_meanings.T)
        classifier.meanings.bias.zero_()
        classifier.details.weight.mul_(_DETAILS_SCALE)
        classifier.details.bias.zero_()


def _compute_words(config: TrainConfig, sounds: dict[str, list[Sound]], labels: Labels, teacher: Teacher) -> None:
    rng = np.random.default_rng(config.seed)
    common = vocabulary.common_words(config.inputs.teacher)
    listed = vocabulary.listed_words(config.inputs.words)
    heard = sorted({words for group in sounds.values() for words in group[0].wordings})
    captions = vocabulary.captions(rng, CAPTIONS, heard)
    tokenizer = vocabulary.train_tokenizer(common, listed, captions, VOCABULARY)
    tokenizer.save(str(config.directory / "tokenizer.json"))
    lexicon = read_lexicon(config.inputs.words, common)
    near = lexicon.only(_nearest_words(teacher, lexicon.words, [*heard, *PICTOGRAMS]))
    named = [*labels.texts(), *yamnet.read_names(config.inputs.sound_classifier)]
    drawn = [labels.draw(rng, int(rng.integers(len(labels.ids))))[0] for _ in range(_LABEL_PHRASES)]
    sentences = vocabulary.read_sentences(config.inputs.sentences)
    texts = dict.fromkeys([*named, *drawn, *sentences, *lexicon.words, *phrases(rng, lexicon, near, _PHRASES)])
    made = [*captions, *texts]
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
