"""The content of an evaluation data set: queries, items, and relevance judgements."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from wave_search.errors import UsageError
from wave_search.evaluation.datasets.rows import BadRow, checked_text, parse_rows
from wave_search.files import digest, write_atomic
from wave_search.query import parse_media
from wave_search.store import cannot_keep
from wave_search.types import MediaRef, Modality, Role

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from wave_search.evaluation.datasets.rows import Row
    from wave_search.types import Span


@dataclass(frozen=True, slots=True)
class Item:
    """A text or a media file, embedded as one clip of any length."""

    content: str | MediaRef
    prompt: str | None = None
    """The instruction for media; None for the model's own prompt."""
    sound: MediaRef | None = None
    """The audio of an audio-visual clip, if it is in a separate file."""
    role: Role = "document"
    """"query" for a model that embeds queries differently."""

    @property
    def modality(self) -> Modality:
        """The modality that it is embedded as."""
        return Modality.TEXT if isinstance(self.content, str) else self.content.modality


@dataclass(frozen=True, slots=True)
class Question:
    """A multiple-choice question about a media file."""

    clip: Item
    """The media file, with the question as its prompt."""
    choices: tuple[str, ...]
    answer: int
    """Index of the right choice."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """A parsed data set."""

    layout: str
    """"mteb", "wave", "pairs", "table" or "questions"; see `wave_search.evaluation.datasets.layouts`."""
    queries: Mapping[str, Item]
    """By id."""
    corpus: Mapping[str, Item]
    """By id."""
    qrels: Mapping[str, Mapping[str, int]]
    """Query id -> corpus id -> grade; 0 means judged as not relevant, a missing id means not judged."""
    questions: tuple[Question, ...]
    bad_rows: tuple[BadRow, ...]


class Collector:
    """Collects the rows of a data set of any layout.

    Args:
        media: folder that paths are relative to.
        unpacked: folder for media that are embedded in a data set; created when needed.
    """

    def __init__(self, media: Path, unpacked: Path) -> None:
        self._media = media
        self._unpacked = unpacked
        self.queries: dict[str, Item] = {}
        self.corpus: dict[str, Item] = {}
        self._qrels: dict[str, dict[str, int]] = {}
        self._questions: list[Question] = []
        self._bad_rows: list[BadRow] = []
        self._names: dict[Item, str] = {}

    def each(self, rows: Iterable[Row | BadRow], take: Callable[[Row], None]) -> None:
        """Call `take` with each row, and record those for which it raises a `UsageError` as unusable."""
        self._bad_rows += (row for row in parse_rows(rows, take) if row is not None)

    def judge(self, query_id: str, corpus_id: str, grade: int) -> None:
        """Record the grade of an item for a query."""
        self._qrels.setdefault(query_id, {})[corpus_id] = grade

    def pair(self, query: Item, found: Item) -> None:
        """Record that `found` is relevant to `query`. An item of several pairs is stored once."""
        query_id, corpus_id = self._name(query), self.offer(found)
        self.queries[query_id] = query
        self.judge(query_id, corpus_id, 1)

    def offer(self, found: Item) -> str:
        """Add an item to the corpus, and return its id."""
        corpus_id = self._name(found)
        self.corpus[corpus_id] = found
        return corpus_id

    def ask(self, question: Question) -> None:
        """Add a question."""
        self._questions.append(question)

    def media_file(self, value: Any, modality: Modality, prompt: str | None = None, span: Span | None = None) -> Item:
        """Create an item for a media file.

        Args:
            value: a path, optionally with a range in seconds; or, as in parquet files, {"path": ..., "bytes": ...}.
            modality: the modality to embed it as.
            prompt: its instruction.
            span: the range of the file in seconds, in place of one in the path; None for that of the path.

        Raises:
            UsageError: there is no such file, or the prompt is not a text.
            CacheError: the content of the file is given, and cannot be written.
        """
        instruction = None if prompt is None else checked_text(prompt, "prompt")
        if isinstance(value, dict) and value.get("bytes"):
            return Item(MediaRef(self._unpack(value["bytes"]), modality), instruction)
        if isinstance(value, dict):
            value = value.get("path")
        if not isinstance(value, str) or not value.strip():
            raise UsageError(f"there is no path of the {modality}")
        ref = parse_media(str(self._media / value.strip()), modality)
        if span is not None:
            ref = replace(ref, start_s=span.start_s, stop_s=None if math.isinf(span.stop_s) else span.stop_s)
        return Item(ref, instruction)

    def dataset(self, layout: str) -> Dataset:
        """Return the collected data set."""
        return Dataset(layout, self.queries, self.corpus, self._qrels, tuple(self._questions), tuple(self._bad_rows))

    def _name(self, item: Item) -> str:
        return self._names.setdefault(item, f"{len(self._names):08d}")

    def _unpack(self, content: bytes) -> Path:
        path = self._unpacked / digest(content)
        try:
            self._unpacked.mkdir(parents=True, exist_ok=True)
            if not path.exists():  # another run may be unpacking the same file
                write_atomic(path, content)
        except OSError as error:
            raise cannot_keep(path, error.strerror or str(error)) from error
        return path


def text_item(value: object) -> Item:
    """Create an item for a text.

    Raises:
        UsageError: it is not a string, or empty.
    """
    return Item(checked_text(value, "text"))
