"""Questions about a clip with four answers: the right one, a wrong one of its kind, two that are true but not asked.

The last two make the question count: without it, three answers are equally good.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from recipes.wave_nano.captions import COLOURS, MOTIONS, QUESTIONS, noun, pick, with_article

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

    from recipes.wave_nano.scenes import Scene


@dataclass(frozen=True, slots=True)
class Question:
    """One question about one clip."""

    kind: str
    """A key of `wording.QUESTIONS`."""
    text: str
    answers: tuple[str, ...]
    """The right one first."""


def ask(
    rng: np.random.Generator,
    kind: str,
    scene: Scene,
    sound: str,
    *,
    things: Sequence[str],
    sounds: Mapping[str, Sequence[str]],
) -> Question:
    """Make a question.

    Args:
        rng: chooses words and wrong answers.
        kind: a key of `wording.QUESTIONS`.
        scene: what is seen, in front of a coloured wall.
        sound: label of what is heard.
        things: what could be seen.
        sounds: label -> wordings of what could be heard.
    """
    truth = {"seen": scene.thing, "heard": sound, "colour": str(scene.colour), "motion": scene.motion}
    values = {"seen": things, "heard": tuple(sounds), "colour": COLOURS, "motion": tuple(MOTIONS)}
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
        case "seen":
            return with_article(noun(rng, value))
        case "heard":
            return pick(rng, sounds[value])
        case "colour":
            return pick(rng, (value, f"a {value} wall", f"a {value} background"))
        case _:
            return pick(rng, tuple(f"it {words}" for words in MOTIONS[value]))
