"""One row of training data."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wave_search.finetune.settings import QUESTIONS
from wave_search.types import Modality, Span

if TYPE_CHECKING:
    from collections.abc import Hashable
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Place:
    """Where a row was written."""

    file: Path
    line: int
    """From 1."""

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}"


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that is not trained on, and why."""

    place: Place
    cause: str


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a pair: a text, or a range of a file."""

    modality: Modality | None
    """None: all that the file offers together, so sound and picture of a video that has both."""
    text: str = ""
    """The text itself, if it is one."""
    path: Path | None = None
    sound: Path | None = None
    """The sound of an AV side, where it is in a file of its own."""
    span: Span | None = None
    """None: the whole file."""
    prompt: str | None = None
    """What is asked about media; None for the model's own prompt."""

    @property
    def key(self) -> Hashable:
        """The same for sides that cannot be told apart."""
        return (self.modality, self.text, self.path, self.sound, self.span, self.prompt)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two things that belong together."""

    place: Place
    query: Side
    """Media."""
    target: Side
    """A text (with `wrong`: the right answer), or media."""
    wrong: tuple[str, ...] = ()
    """Answers that are not right."""

    @property
    def task(self) -> str:
        """What it trains. Batches hold one task."""
        if self.wrong:
            return QUESTIONS
        modalities = [side.modality for side in (self.query, self.target) if side.modality is not None]
        return "_".join(sorted(modalities, key=_ORDER.index))


_ORDER = (Modality.TEXT, Modality.IMAGE, Modality.AUDIO, Modality.VIDEO, Modality.AV)


class RowError(ValueError):
    """A row cannot be used; the message says why."""


def text_side(text: object, what: str) -> Side:
    """Make a side of a text.

    Raises:
        RowError: it is no text, or empty.
    """
    return Side(Modality.TEXT, filled(text, what))


def filled(text: object, what: str) -> str:
    """Give a text without white space around it.

    Raises:
        RowError: it is no text, or empty, or holds halves of characters.
    """
    if not isinstance(text, str):
        raise RowError(f"{what} is not a text")
    if not text.strip():
        raise RowError(f"{what} is empty")
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise RowError(f"{what} is not valid Unicode")
    return text.strip()


def span_of(start: float | None, stop: float | None) -> Span | None:
    """Make a range; None stands for the beginning or the end of the file.

    Raises:
        RowError: the range is empty.
    """
    if start is None and stop is None:
        return None
    try:
        return Span(start or 0.0, math.inf if stop is None else stop)
    except ValueError as error:
        raise RowError(str(error)) from error
