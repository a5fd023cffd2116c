"""What is evaluated on: things to search with, things to find, and who belongs to whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from wave_search.types import MediaRef, Modality

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Item:
    """A text or a medium, embedded as one clip however long it is."""

    content: str | MediaRef
    prompt: str | None = None
    """What the model is asked about a medium; None for its own prompt."""
    sound: MediaRef | None = None
    """The sound of an audio-visual clip, if it is in another file than the picture."""

    @property
    def modality(self) -> Modality:
        """How it is perceived."""
        return Modality.TEXT if isinstance(self.content, str) else self.content.modality


@dataclass(frozen=True, slots=True)
class Question:
    """A question about a medium, with answers to choose from."""

    asked: Item
    """The medium, with the question as its prompt."""
    choices: tuple[str, ...]
    answer: int
    """Position of the right one among the choices."""


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row of a data set that cannot be used, and why."""

    path: Path
    place: str
    """For example "line 3"."""
    cause: str


@dataclass(frozen=True, slots=True)
class Dataset:
    """What was read."""

    layout: str
    """"mteb", "wave", "pairs", "table" or "questions"; see `wave_search.evaluation.datasets.layouts`."""
    queries: Mapping[str, Item]
    """By id."""
    corpus: Mapping[str, Item]
    """By id."""
    qrels: Mapping[str, Mapping[str, int]]
    """Query id -> corpus id -> grade; 0 is judged as not relevant, what is missing is not judged."""
    questions: tuple[Question, ...]
    bad_rows: tuple[BadRow, ...]
