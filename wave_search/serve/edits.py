"""Edits of tags and of the user's own columns, by segments of the files; and undoing them."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Annotated

from pydantic import ConfigDict, Field

from wave_search.errors import UsageError
from wave_search.indexer import MetadataEdit
from wave_search.serve.errors import GoneError
from wave_search.serve.schemas import Model, Number, Result, SegmentId

if TYPE_CHECKING:
    from wave_search.reports import EditReport, MetadataChange
    from wave_search.serve.library import Library

_MAX_EDITS = 100
_MAX_SEGMENTS = 2_000
_KEPT = 50
"""Edits that can be undone."""
Name = Annotated[str, Field(min_length=1, max_length=200)]
Text = Annotated[str, Field(max_length=10_000)]
Texts = Annotated[list[Text], Field(max_length=1_000)]
Tags = Annotated[list[Annotated[str, Field(max_length=1_000)]], Field(max_length=100)]


class Edit(Model):
    """New values for the files of some segments, and for their copies, which have the same content."""

    segments: Annotated[list[SegmentId], Field(min_length=1, max_length=_MAX_SEGMENTS)]
    set: Annotated[dict[Name, bool | Number | Text | Texts | None], Field(max_length=100, default_factory=dict)]
    """The new value by column; null, "" or [] removes the value. A column that does not exist is added."""
    add: Annotated[dict[Name, Tags], Field(max_length=100, default_factory=dict)]
    """By column of lists, such as `tags`: texts to append unless they are there."""
    remove: Annotated[dict[Name, Tags], Field(max_length=100, default_factory=dict)]
    """By column of lists: texts to remove."""


class EditQuery(Model):
    """Edits, of which either all are made or none."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"edits": [{"segments": [81, 95], "set": {"year": 2020, "artist": None}, "add": {"tags": ["dog"]}}]}
            ]
        }
    )

    edits: Annotated[list[Edit], Field(min_length=1, max_length=_MAX_EDITS)]


class UndoQuery(Model):
    """Which edit to undo."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"undo": "3Wl7xqk0n2g"}]})

    undo: Annotated[str, Field(max_length=100)]


class EditAnswer(Result):
    """What was changed."""

    files: int
    """Number of files of which a value has changed."""
    index_version: int
    undo: str | None
    """Name by which this is undone, as long as it is one of the last 50; null if nothing has changed."""


class ValuesAnswer(Result):
    """Values that there are, the most frequent first."""

    values: list[str | float | bool]


class Edits:
    """The edits of the metadata of an index, which are made one at a time.

    Args:
        library: the index.
    """

    def __init__(self, library: Library) -> None:
        self._library = library
        self._done: dict[str, tuple[MetadataChange, ...]] = {}

    def apply(self, query: EditQuery) -> EditAnswer:
        """Make some edits.

        Raises:
            GoneError: a segment is not in the index.
            WaveSearchError: see `Index.edit_metadata`.
        """
        index = self._library.index()
        try:
            edits = [MetadataEdit(index.paths(one.segments), one.set, one.add, one.remove) for one in query.edits]
        except UsageError as error:
            raise GoneError(error.message, error.remedy) from error
        report = index.edit_metadata(edits)
        name = secrets.token_urlsafe(8) if report.changes else None
        if name is not None:
            self._done[name] = report.changes
            if len(self._done) > _KEPT:
                del self._done[next(iter(self._done))]
        return self._answer(report, name)

    def undo(self, name: str) -> EditAnswer:
        """Undo an edit.

        Raises:
            GoneError: it is not known any more.
            WaveSearchError: see `Index.restore_metadata`.
        """
        changes = self._done.get(name)
        if changes is None:
            raise GoneError("this edit cannot be undone any more", "Edit the values themselves.")
        report = self._library.index().restore_metadata(changes)
        del self._done[name]
        return self._answer(report, None)

    def _answer(self, report: EditReport, undo: str | None) -> EditAnswer:
        return EditAnswer(files=report.files, index_version=self._library.index().version, undo=undo)
