"""Captions, questions and answers in varied wording."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recipes.wave_nano.classes import OTHER_NAMES

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from recipes.wave_nano.scenes import Scene

MOTIONS = {
    "right": ("moves to the right", "crosses from left to right", "goes from the left to the right", "heads right"),
    "left": ("moves to the left", "crosses from right to left", "goes from the right to the left", "heads left"),
    "up": ("moves up", "rises", "goes upwards", "climbs from the bottom to the top"),
    "down": ("moves down", "falls", "goes downwards", "sinks from the top to the bottom"),
    "near": ("comes nearer", "grows larger", "approaches", "gets bigger"),
    "far": ("moves away", "shrinks", "gets smaller", "goes into the distance"),
    "spin": ("spins around", "turns around and around", "rotates", "spins"),
    "still": ("stays still", "does not move", "stands still", "keeps still"),
}
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "grey")
PLACES = {
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
    "seen": ("What is seen?", "What do you see?", "Which object is in the picture?", "What is shown?"),
    "heard": ("What is heard?", "What do you hear?", "Which sound is this?", "What does it sound like?"),
    "colour": ("What colour is the wall?", "Which colour is the background?", "What is the colour behind it?"),
    "motion": ("How does it move?", "Which way does it move?", "What is its motion?"),
}


def pick(rng: np.random.Generator, words: Sequence[str]) -> str:
    """One of several wordings."""
    return words[int(rng.integers(len(words)))]


def noun(rng: np.random.Generator, thing: str) -> str:
    """A word for a thing: mostly its first name."""
    return pick(rng, (thing, thing, thing, *OTHER_NAMES.get(thing, ())))


def with_article(words: str) -> str:
    """Put "a" or "an" in front."""
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def plural(words: str) -> str:
    """Plural of the names in `things`."""
    special = {"mouse": "mice", "fish": "fish", "sheep": "sheep", "snowman": "snowmen", "cactus": "cacti"}
    head, _, last = words.rpartition(" ")
    if words.startswith(("person who", "cloud with")):
        return words.replace("person who sneezes", "people who sneeze").replace("cloud with", "clouds with")
    ending = "es" if last.endswith(("s", "sh", "ch")) else "s"
    if last.endswith("y") and last[-2] not in "aeiou":
        last, ending = last[:-1], "ies"
    return f"{head} {special.get(last, last + ending)}".strip()


def seen(rng: np.random.Generator, scene: Scene, moving: bool = True) -> str:
    """Caption of what is seen.

    Args:
        rng: chooses the words.
        scene: what to describe.
        moving: say how it moves, and sometimes where; otherwise only what it is.
    """
    name = noun(rng, scene.thing)
    subject = with_article(name) if scene.count == 1 else f"{NUMBERS[scene.count]} {plural(name)}"
    wall = f" {pick(rng, WALLS).format(scene.colour)}" if scene.colour else ""
    if not moving:
        return pick(rng, (subject, subject, f"a video of {subject}", f"a picture of {subject}")) + wall
    action = pick(rng, MOTIONS[scene.motion])
    caption = f"{subject} {action if scene.count == 1 else _plural_verb(action)}{wall}"
    return f"{caption} {pick(rng, PLACES[scene.place])}" if not wall and rng.random() < 0.25 else caption


def _plural_verb(action: str) -> str:
    verb, _, rest = action.partition(" ")
    special = {"does": "do", "goes": "go", "crosses": "cross", "approaches": "approach"}
    return f"{special.get(verb, verb.removesuffix('s'))} {rest}".strip()


def seen_and_heard(rng: np.random.Generator, picture: str, sound: str) -> str:
    """Caption of a clip with its sound."""
    templates = ("{0} while {1} is heard", "{0}, with the sound of {1}", "{1} is heard and {0}", "{0} and {1}")
    return pick(rng, templates).format(picture, sound)
