"""Editing the values of user-defined columns of some files, and undoing it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from wave_search.arguments import check_type, path_of, paths_of
from wave_search.errors import UsageError
from wave_search.files import as_name, as_path, composed_text
from wave_search.indexer.metadata import check_names, write
from wave_search.indexer.metadata_cells import ColumnTypes, cell_fault, convert
from wave_search.reports import EditReport, MetadataChange
from wave_search.store import Column, Writer

if TYPE_CHECKING:
    from pathlib import Path

    from wave_search.store import Snapshot
    from wave_search.types import ColumnType, Value

_MAX_TAG_CHARS = 200
_EXPECTED = {
    "number": "Write a number, such as 12.5.",
    "bool": "Write true or false.",
    "timestamp": "Write a date or a time, such as 2026-11-30 or 2026-11-30T14:00.",
    "text": "Write a single text.",
}


@dataclass(frozen=True, slots=True)
class MetadataEdit:
    """New values of the user's own columns for some files.

    A column is found by its name in any case. One that does not exist yet is added: with the narrowest type that its
    value has, as when a table is imported, or for `add` as a list of texts.
    """

    paths: Sequence[str | os.PathLike[str]]
    """Absolute paths of indexed files."""
    set: Mapping[str, Value | None] = field(default_factory=dict)
    """The new value by column; None, an empty text or an empty list removes the value."""
    add: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """By column of lists, texts to append unless they are there."""
    remove: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """By column of lists, texts to remove."""


def edit(index_dir: Path, edits: Iterable[MetadataEdit]) -> EditReport:
    """Change values, all or none, in one commit. Where nothing changes, there is no commit.

    Raises:
        UsageError: a file is not indexed, or a value does not fit its column.
        IndexLockedError: another process is writing to the index.
        IndexStateError: the disk is full, or the index is damaged.
    """
    with Writer(index_dir) as writer:
        values = _Values(writer.snapshot)
        for one in edits:
            for name in ("set", "add", "remove"):
                check_type(getattr(one, name), Mapping, f'"{name}" of an edit', "Use a dict, by column.")
            for path in paths_of(one.paths):
                values.apply(path, one)
        return values.write(writer)


def restore(index_dir: Path, changes: Iterable[MetadataChange]) -> EditReport:
    """Undo changes, all or none, in one commit. Files that have left the index since are left out.

    Raises:
        UsageError: one of the values is not any more what the change made of it.
        IndexStateError: as for `edit`.
    """
    with Writer(index_dir) as writer:
        values = _Values(writer.snapshot)
        for change in changes:
            values.revert(change)
        return values.write(writer)


class _Values:
    """The values that files have after changes to one version of an index."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._metadata, self._files = snapshot.metadata(), snapshot.files()
        self._columns = {column.name.casefold(): column for column in snapshot.manifest.columns}
        self._before: dict[bytes, Mapping[str, Value]] = {}
        self._after: dict[bytes, dict[str, Value]] = {}
        """By path, as in `_before`."""

    def apply(self, name: str | os.PathLike[str], change: MetadataEdit) -> None:
        """Change the values of a file."""
        path = as_name(name)
        if not self._open(path):
            raise UsageError(f"{os.fspath(name)} is not in the index", "Index it first: `wave-search index PATH`.")
        for named, cell in change.set.items():
            is_empty = cell is None or cell in ("", [])
            column = self._column(named, None if is_empty else _inferred(named, cell))
            if column is not None:
                self._put(path, column, None if is_empty else _converted(column, cell))
        for named, tags in change.add.items():
            column, held = self._list(path, named)
            self._put(path, column, [*dict.fromkeys([*held, *_tags(tags)])])
        for named, tags in change.remove.items():
            column, held = self._list(path, named)
            removed = set(_tags(tags))
            self._put(path, column, [tag for tag in held if tag not in removed])

    def revert(self, change: MetadataChange) -> None:
        """Undo the change of a value."""
        path = as_name(path_of(change.path))
        check_type(change.column, str, "the name of a column")
        check_type(change.type, str, "the type of a column")
        check_type(change.after, (str, float, int, list, type(None)), "a value")
        if not self._open(path):
            return
        column = self._columns.get(change.column.casefold())
        if column is None or column.type != change.type or self._after[path].get(column.name) != change.after:
            raise UsageError(
                f'"{change.column}" of {change.path} was changed again, and nothing was undone', "Edit it instead."
            )
        self._put(path, column, change.before)

    def write(self, writer: Writer) -> EditReport:
        """Commit what differs from before."""
        changes = tuple(
            MetadataChange(as_path(path), column.name, column.type, before.get(column.name), after.get(column.name))
            for path, after in self._after.items()
            for column in self._columns.values()
            if (before := self._before[path]).get(column.name) != after.get(column.name)
        )
        if changes:
            edited = {change.column for change in changes}
            columns = [column for column in self._columns.values() if column.name in edited]
            changed = {as_name(change.path) for change in changes}
            values = {
                path: {name: value for name, value in self._after[path].items() if name in edited} for path in changed
            }
            write(writer, self._metadata, columns, values)
        return EditReport(len({change.path for change in changes}), changes)

    def _open(self, path: bytes) -> bool:
        """Read the values of a file, and return whether it is indexed."""
        if path in self._after:
            return True
        row = self._files.get(path)
        if row is None or row.content_id is None:
            return False
        (content,) = self._snapshot.contents([row.content_id]).values()
        self._before[path] = self._metadata.of(path, content.digest)
        self._after[path] = dict(self._before[path])
        return True

    def _column(self, name: str, new: ColumnType | None) -> Column | None:
        """Return the column of a name. One that does not exist is added with the type `new`, unless that is None."""
        name = composed_text(name).strip()
        column = self._columns.get(name.casefold())
        if column is None and new is not None:
            check_names([name], self._snapshot)
            column = self._columns[name.casefold()] = Column(name, new)
        return column

    def _put(self, path: bytes, column: Column, value: Value | None) -> None:
        if value is None or value == []:
            self._after[path].pop(column.name, None)
        else:
            self._after[path][column.name] = value

    def _list(self, path: bytes, name: str) -> tuple[Column, list[str]]:
        """Return the column of a name, which is added if there is none, and the texts that a file has in it."""
        column = self._column(name, "texts")
        assert column is not None  # noqa: S101 - it is added
        if column.type != "texts":
            raise UsageError(f'"{column.name}" holds one {column.type} for each file, no list', "Set it instead.")
        held = self._after[path].get(column.name, [])
        assert isinstance(held, list)  # noqa: S101 - the type of the column
        return column, held


def _inferred(name: str, cell: Any) -> ColumnType:
    """Return the type of a new column by its first value."""
    if (cause := cell_fault(cell)) is not None:
        raise UsageError(f'the value for "{name}" is {cause}', "Write another value.")
    types = ColumnTypes()
    types.add({name: cell})
    return types.found()[name]


def _converted(column: Column, cell: Any) -> Value | None:
    if column.type == "texts":
        return _tags([cell] if isinstance(cell, str) else cell)
    value = None if isinstance(cell, list) else convert(cell, column.type)
    if value is None:
        raise UsageError(f'{cell!r} does not fit the column "{column.name}" ({column.type})', _EXPECTED[column.type])
    return value


def _tags(given: Any) -> list[str]:
    """Return texts of a list as they are stored: stripped, and each once."""
    if not isinstance(given, Sequence) or isinstance(given, str) or not all(isinstance(tag, str) for tag in given):
        raise UsageError(f"{given!r} is no list of texts", "Write several texts.")
    tags = [composed_text(tag).strip() for tag in given]
    for tag in tags:
        if not tag or not tag.isprintable() or len(tag) > _MAX_TAG_CHARS:
            raise UsageError(
                f"{tag[:_MAX_TAG_CHARS]!r} cannot be a tag", f"A tag has 1 to {_MAX_TAG_CHARS} printable characters."
            )
    return [*dict.fromkeys(tags)]
