"""The user's own columns: into the index, and out of it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from wave_search.errors import UsageError
from wave_search.indexer import metadata_file
from wave_search.reports import MetadataReport
from wave_search.store import RESERVED, Metadata, MetadataRow, Writer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from wave_search.store import Column, Snapshot
    from wave_search.types import Value


def import_metadata(index_dir: Path, file: Path) -> MetadataReport:
    """Add what a CSV or JSON Lines file says of files of the index, in one commit.

    Of a file of the index that has a row, all columns of the row are replaced; an empty cell empties. Other files and
    other columns stay as they are. Where a path comes twice, the later row counts.

    Args:
        index_dir: an existing index.
        file: with a column "path": absolute, or relative to the current or to an indexed folder.

    Raises:
        UsageError: the file makes no sense, has a column that an index has anyway, or one of another type.
        OSError: the file cannot be read.
        IndexStateError: another process writes, the disk is full, or the index is damaged.
    """
    with Writer(index_dir) as writer:
        snapshot = writer.snapshot
        said = metadata_file.read(file, snapshot.manifest.columns)
        _check_names([column.name for column in said.columns], snapshot)
        bases = _bases(snapshot)
        values: dict[bytes, Mapping[str, Value]] = {}
        unknown: dict[str, None] = {}
        for path, row in said.rows:
            found = _find(path, bases, snapshot)
            if found is None:
                unknown[path] = None
            else:
                values[found] = row
        _write(writer, snapshot.metadata(), said.columns, values)
    types = {column.name: column.type for column in said.columns}
    return MetadataReport(types, len(values), tuple(unknown))


def put_columns(index_dir: Path, columns: Sequence[Column], values: Mapping[bytes, Mapping[str, Value]]) -> None:
    """Make or replace columns, in one commit.

    Args:
        index_dir: an existing index.
        columns: their names and types.
        values: by path and column; files that are not named have nothing in these columns.

    Raises:
        UsageError: an index has a column of such a name anyway.
        IndexStateError: another process writes, the disk is full, or the index is damaged.
    """
    with Writer(index_dir) as writer:
        names = [column.name for column in columns]
        _check_names(names, writer.snapshot)
        _write(writer, _without(names, writer.snapshot), columns, values)


def remove_columns(index_dir: Path, names: Sequence[str]) -> None:
    """Forget columns of the user's own and all that they say, in one commit.

    Raises:
        UsageError: there is no such column.
        IndexStateError: another process writes, the disk is full, or the index is damaged.
    """
    with Writer(index_dir) as writer:
        columns = writer.snapshot.manifest.columns
        for name in names:
            if name not in [column.name for column in columns]:
                own = ", ".join(column.name for column in columns) or "none"
                raise UsageError(f'there is no column "{name}" of your own', f"There are: {own}.")
        rest = _without(names, writer.snapshot)
        writer.set_metadata(rest.columns, rest.rows.values())
        writer.commit(drop_dead=False)


def _without(names: Iterable[str], snapshot: Snapshot) -> Metadata:
    gone = set(names)
    rows = (
        MetadataRow(row.path, row.digest, {name: value for name, value in row.values.items() if name not in gone})
        for row in snapshot.metadata().rows.values()
        if not row.values.keys() <= gone
    )
    return Metadata(tuple(column for column in snapshot.manifest.columns if column.name not in gone), rows)


def _write(
    writer: Writer, metadata: Metadata, columns: Sequence[Column], values: Mapping[bytes, Mapping[str, Value]]
) -> None:
    """Commit `metadata` with what is said besides."""
    files, contents = writer.snapshot.files(), writer.snapshot.contents()
    rows = dict(metadata.rows)
    named = {column.name for column in columns}
    for path, said in values.items():
        content_id = files[path].content_id
        if content_id is None:
            continue
        digest = contents[content_id].digest
        before = metadata.of(path, digest)
        kept = {name: value for name, value in before.items() if name not in named}
        rows.pop(path, None)  # the latest comes last
        rows[path] = MetadataRow(path, digest, {**kept, **said})
    known = {column.name: column for column in metadata.columns}
    writer.set_metadata({**known, **{column.name: column for column in columns}}.values(), rows.values())
    writer.commit(drop_dead=False)


def _check_names(names: Sequence[str], snapshot: Snapshot) -> None:
    own = {column.name.casefold(): column.name for column in snapshot.manifest.columns}
    for name in names:
        if not name.strip() or not name.isprintable():
            raise UsageError(f"a column cannot have the name {name!r}", "Give it a name that can be typed.")
        if name.casefold() in RESERVED:
            raise UsageError(f'an index has a column "{name}" of its own', "Rename it, or leave it out.")
        if own.setdefault(name.casefold(), name) != name:
            raise UsageError(
                f'the columns "{own[name.casefold()]}" and "{name}" differ in capitals only', "SQL takes them for one."
            )


def _bases(snapshot: Snapshot) -> list[bytes]:
    """The folders that a path may be relative to."""
    roots = [os.fsencode(root) for root in snapshot.manifest.roots]
    return [os.getcwdb(), *roots, *(os.path.dirname(root) for root in roots)]  # noqa: PTH109, PTH120 - bytes


def _find(path: str, bases: Iterable[bytes], snapshot: Snapshot) -> bytes | None:
    """The file of the index that a path means."""
    name = os.fsencode(os.path.expanduser(path))  # noqa: PTH111 - becomes bytes
    files = snapshot.files()
    for base in bases:
        # The index knows files by their real names.
        for whole in (os.path.normpath(os.path.join(base, name)), os.path.realpath(os.path.join(base, name))):  # noqa: PTH118
            row = files.get(whole)
            if row is not None and row.content_id is not None:
                return whole
    return None
