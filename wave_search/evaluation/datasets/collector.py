"""Collects what the rows of a data set say, whatever their layout."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Any

from wave_search.errors import UsageError
from wave_search.evaluation.datasets.dataset import BadRow, Dataset, Item, Question
from wave_search.query import parse_media
from wave_search.store import cannot_keep
from wave_search.types import MediaRef, Modality

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from wave_search.evaluation.datasets.rows import Row


class Collector:
    """Takes rows one by one. What is wrong with a row is a `UsageError`, and the other rows go on.

    Args:
        media: folder that paths are relative to.
        unpacked: folder for media that are inside a data set; made when it is needed.
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
        """Hand over each row, and note those that cannot be used."""
        for row in rows:
            if isinstance(row, BadRow):
                self._bad_rows.append(row)
                continue
            try:
                take(row)
            except UsageError as error:
                self._bad_rows.append(BadRow(row.path, row.place, error.message))

    def judge(self, query_id: str, corpus_id: str, grade: int) -> None:
        """Note how well something that may be found suits a query."""
        self._qrels.setdefault(query_id, {})[corpus_id] = grade

    def pair(self, query: Item, found: Item) -> None:
        """Note that `found` is what `query` looks for. Equal things are one, however many pairs they are in."""
        query_id, corpus_id = self._name(query), self.offer(found)
        self.queries[query_id] = query
        self.judge(query_id, corpus_id, 1)

    def offer(self, found: Item) -> str:
        """Add something that may be found, and give its id."""
        corpus_id = self._name(found)
        self.corpus[corpus_id] = found
        return corpus_id

    def ask(self, question: Question) -> None:
        """Add a question."""
        self._questions.append(question)

    def medium(self, value: Any, modality: Modality, prompt: str | None = None) -> Item:
        """Refer to a medium.

        Args:
            value: a path, with a range of seconds if wanted; or, as parquet files have it, {"path": ..., "bytes": ...}.
            modality: how it is perceived.
            prompt: what the model is asked about it.

        Raises:
            UsageError: there is no such file, or the prompt is no text.
            CacheError: the medium itself is given, and there is no room for it.
        """
        asked = None if prompt is None else words_of(prompt, "prompt")
        if isinstance(value, dict) and value.get("bytes"):
            return Item(MediaRef(self._unpack(value["bytes"]), modality), asked)
        if isinstance(value, dict):
            value = value.get("path")
        if not isinstance(value, str) or not value.strip():
            raise UsageError(f"there is no path of the {modality}")
        return Item(parse_media(str(self._media / value.strip()), modality), asked)

    def dataset(self, layout: str) -> Dataset:
        """Give all that was collected."""
        return Dataset(layout, self.queries, self.corpus, self._qrels, tuple(self._questions), tuple(self._bad_rows))

    def _name(self, item: Item) -> str:
        return self._names.setdefault(item, f"{len(self._names):08d}")

    def _unpack(self, content: bytes) -> Path:
        path = self._unpacked / hashlib.blake2b(content, digest_size=16).hexdigest()
        try:
            self._unpacked.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                # Another run may be unpacking the same.
                temporary = path.with_suffix(f".{os.getpid()}.part")
                temporary.write_bytes(content)
                temporary.rename(path)
        except OSError as error:
            raise cannot_keep(path, error.strerror or str(error)) from error
        return path


def text_item(value: object) -> Item:
    """Refer to a text.

    Raises:
        UsageError: it is none, or empty.
    """
    return Item(words_of(value, "text"))


def words_of(value: object, what: str) -> str:
    """Check what is to be embedded as text.

    Args:
        value: the text.
        what: how an error calls it.

    Raises:
        UsageError: it is no text, or empty.
    """
    if not isinstance(value, str):
        raise UsageError(f"the {what} is {value!r:.40}, not a string")
    if not value.strip():
        raise UsageError(f"the {what} is empty")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise UsageError(f"the {what} is not UTF-8") from None
    return value.strip()


def modality_of(name: object) -> Modality:
    """Read the name of a modality.

    Raises:
        UsageError: there is none of that name.
    """
    try:
        return Modality(str(name).strip())
    except ValueError:
        raise UsageError(f'"{name}" is no modality, those are {", ".join(Modality)}') from None


def value_of(row: Row, *names: str) -> Any:
    """The first of several fields that a row has.

    Raises:
        UsageError: it has none of them.
    """
    for name in names:
        if row.fields.get(name) is not None:
            return row.fields[name]
    raise UsageError(f"there is no {' or '.join(names)}")
