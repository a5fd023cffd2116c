"""Captions, questions and answers in varied wording.

A question has four answers: the right one, a wrong one of the same kind, and two that are true but do not answer the
question. Because of these two, the question matters: without it, three answers are equally good.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from recipes.wave_nano.classes import OTHER_NAMES
from recipes.wave_nano.scenes import COLOURS, MOTIONS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

    from recipes.wave_nano.scenes import Scene

MOTION_WORDS = {
    "right": ("moves to the right", "crosses from left to right", "goes from the left to the right", "heads right"),
    "left": ("moves to the left", "crosses from right to left", "goes from the right to the left", "heads left"),
    "up": ("moves up", "rises", "goes upwards", "climbs from the bottom to the top"),
    "down": ("moves down", "falls", "goes downwards", "sinks from the top to the bottom"),
    "near": ("comes nearer", "grows larger", "approaches", "gets bigger"),
    "far": ("moves away", "shrinks", "gets smaller", "goes into the distance"),
    "spin": ("spins around", "turns around and around", "rotates", "spins"),
    "still": ("stays still", "does not move", "stands still", "keeps still"),
}
PLACE_WORDS = {
    "plain": ("in front of a plain wall", "on an empty background"),
    "day": ("under a blue sky", "by day", "in daylight"),
    "night": ("at night", "under the stars", "in the dark"),
    "dawn": ("at dawn", "at sunrise", "in the morning light"),
    "grass": ("on green grass", "on a meadow", "in a field"),
    "sand": ("on sand", "on a beach", "on the sand"),
}
WALLS = ("in front of a {} wall", "on a {} background", "before a {} wall", "against a {} background")
NUMBERS = ("no", "one", "two", "three")
QUESTIONS = {
    "subject": ("What is seen?", "What do you see?", "Which object is in the picture?", "What is shown?"),
    "sound": ("What is heard?", "What do you hear?", "Which sound is this?", "What does it sound like?"),
    "colour": ("What colour is the wall?", "Which colour is the background?", "What is the colour behind it?"),
    "motion": ("How does it move?", "Which way does it move?", "What is its motion?"),
}


def pick(rng: np.random.Generator, words: Sequence[str]) -> str:
    """Return one of several wordings."""
    return words[int(rng.integers(len(words)))]


def noun(rng: np.random.Generator, subject: str) -> str:
    """Return a name of a class, usually the first one."""
    return pick(rng, (subject, subject, subject, *OTHER_NAMES.get(subject, ())))


def with_article(words: str) -> str:
    """Prepend "a" or "an"."""
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def plural(words: str) -> str:
    """Return the plural of a name of a class."""
    special = {"mouse": "mice", "fish": "fish", "sheep": "sheep", "snowman": "snowmen", "cactus": "cacti"}
    head, _, last = words.rpartition(" ")
    if words.startswith(("person who", "cloud with")):
        return words.replace("person who sneezes", "people who sneeze").replace("cloud with", "clouds with")
    ending = "es" if last.endswith(("s", "sh", "ch")) else "s"
    if last.endswith("y") and last[-2] not in "aeiou":
        last, ending = last[:-1], "ies"
    return f"{head} {special.get(last, last + ending)}".strip()


def scene_caption(rng: np.random.Generator, scene: Scene, moving: bool = True) -> str:
    """Describe a scene.

    Args:
        rng: chooses the wording.
        scene: the scene.
        moving: describe its motion, and sometimes its place; otherwise only its subject.
    """
    name = noun(rng, scene.subject)
    phrase = with_article(name) if scene.count == 1 else f"{NUMBERS[scene.count]} {plural(name)}"
    wall = f" {pick(rng, WALLS).format(scene.colour)}" if scene.colour else ""
    if not moving:
        return pick(rng, (phrase, phrase, f"a video of {phrase}", f"a picture of {phrase}")) + wall
    action = pick(rng, MOTION_WORDS[scene.motion])
    caption = f"{phrase} {action if scene.count == 1 else _plural_verb(action)}{wall}"
    return f"{caption} {pick(rng, PLACE_WORDS[scene.place])}" if not wall and rng.random() < 0.25 else caption


def _plural_verb(action: str) -> str:
    verb, _, rest = action.partition(" ")
    special = {"does": "do", "goes": "go", "crosses": "cross", "approaches": "approach"}
    return f"{special.get(verb, verb.removesuffix('s'))} {rest}".strip()


def av_caption(rng: np.random.Generator, picture: str, sound: str) -> str:
    """Describe a clip with its sound."""
    templates = ("{0} while {1} is heard", "{0}, with the sound of {1}", "{1} is heard and {0}", "{0} and {1}")
    return pick(rng, templates).format(picture, sound)


@dataclass(frozen=True, slots=True)
class Question:
    """One question about one clip."""

    kind: str
    """A key of `QUESTIONS`."""
    text: str
    answers: tuple[str, ...]
    """The right one first."""


def ask(
    rng: np.random.Generator,
    kind: str,
    scene: Scene,
    sound: str,
    *,
    subjects: Sequence[str],
    sounds: Mapping[str, Sequence[str]],
) -> Question:
    """Make a question about a clip.

    Args:
        rng: chooses the wording and the wrong answers.
        kind: a key of `QUESTIONS`.
        scene: the video, in front of a coloured wall.
        sound: label of the sound.
        subjects: subjects to choose wrong answers from.
        sounds: label -> phrases for the sounds to choose wrong answers from.
    """
    truth = {"subject": scene.subject, "sound": sound, "colour": str(scene.colour), "motion": scene.motion}
    values = {"subject": subjects, "sound": tuple(sounds), "colour": COLOURS, "motion": MOTIONS}
    wrong = [value for value in values[kind] if value != truth[kind]]
    others = [other for other in truth if other != kind]
    unasked = [others[index] for index in rng.permutation(3)[:2]]
    answers = (
        _answer(rng, kind, truth[kind], sounds),
        _answer(rng, kind, pick(rng, wrong), sounds),
        *(_answer(rng, other, truth[other], sounds) for other in unasked),
    )
    return Question(kind, pick(rng, QUESTIONS[kind]), answers)


def _answer(rng: np.random.Generator, kind: str, value: str, sounds: Mapping[str, Sequence[str]]) -> str:
    match kind:
        case "subject":
            return with_article(noun(rng, value))
        case "sound":
            return pick(rng, sounds[value])
        case "colour":
            return pick(rng, (value, f"a {value} wall", f"a {value} background"))
        case _:
            return pick(rng, tuple(f"it {words}" for words in MOTION_WORDS[value]))
