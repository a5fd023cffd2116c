"""User-defined metadata columns: importing, replacing and removing them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wave_search.errors import UsageError
from wave_search.files import composed_text
from wave_search.indexer import metadata_file
from wave_search.indexer.metadata_paths import TablePaths
from wave_search.reports import MetadataReport
from wave_search.store import RESERVED, Metadata, MetadataRow, Writer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from wave_search.store import Column, Snapshot
    from wave_search.types import Value


def import_metadata(index_dir: Path, file: Path) -> MetadataReport:
    """Import a CSV or JSON Lines table of values for indexed files, in one commit.

    For each indexed file in the table, all columns of the table are replaced; an empty cell removes the value. Other
    files and columns stay as they are. If a path occurs twice, the later row is used.

    Args:
        index_dir: an existing index.
        file: a table with a column "path": absolute, or relative to the current directory or to an indexed folder. A
            path of Windows is also looked for below the indexed folder of a name that it contains.

    Raises:
        UsageError: the table is malformed as a whole, has a column with a reserved name, or a column whose type differs
            from that in the index.
        OSError: the file cannot be read.
        IndexStateError: another process is writing, the disk is full, or the index is damaged.
    """
    with Writer(index_dir) as writer:
        snapshot = writer.snapshot
        table = metadata_file.read(file, snapshot.manifest.columns, TablePaths(snapshot).find)
        check_names([column.name for column in table.columns], snapshot)
        write(writer, snapshot.metadata(), table.columns, table.values)
    types = {column.name: column.type for column in table.columns}
    unknown, malformed = table.unknown, table.malformed
    return MetadataReport(types, len(table.values), unknown.listed, malformed.listed, unknown.count, malformed.count)


def put_columns(index_dir: Path, columns: Sequence[Column], values: Mapping[bytes, Mapping[str, Value]]) -> None:
    """Create or replace columns, in one commit.

    Args:
        index_dir: an existing index.
        columns: their names, with letters composed (NFC), and types.
        values: by path and column; files that are missing here have no value in these columns.

    Raises:
        UsageError: a column has a reserved name.
        IndexStateError: another process is writing, the disk is full, or the index is damaged.
    """
    with Writer(index_dir) as writer:
        names = [column.name for column in columns]
        check_names(names, writer.snapshot)
        write(writer, _without(names, writer.snapshot), columns, values)


def remove_columns(index_dir: Path, names: Sequence[str]) -> None:
    """Remove user-defined columns and their values, in one commit.

    Raises:
        UsageError: there is no such column.
        IndexStateError: another process is writing, the disk is full, or the index is damaged.
    """
    with Writer(index_dir) as writer:
        columns, names = writer.snapshot.manifest.columns, list(map(composed_text, names))
        for name in names:
            if name not in [column.name for column in columns]:
                own = ", ".join(column.name for column in columns) or "none"
                raise UsageError(f'no column "{name}" was added to this index', f"Columns that were added: {own}.")
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


def write(
    writer: Writer, metadata: Metadata, columns: Sequence[Column], values: Mapping[bytes, Mapping[str, Value]]
) -> None:
    """Commit `metadata` with additional values merged in.

    Args:
        writer: of the index.
        metadata: what there is.
        columns: the columns that are replaced, or are new.
        values: by path and column; a column of `columns` that is missing there loses its value.
    """
    files, contents = writer.snapshot.files(), writer.snapshot.contents()
    rows = dict(metadata.rows)
    named = {column.name for column in columns}
    for path, added in values.items():
        content_id = files[path].content_id
        if content_id is None:
            continue
        digest = contents[content_id].digest
        before = metadata.of(path, digest)
        kept = {name: value for name, value in before.items() if name not in named}
        rows.pop(path, None)  # the most recent row comes last
        rows[path] = MetadataRow(path, digest, {**kept, **added})
    known = {column.name: column for column in metadata.columns}
    writer.set_metadata({**known, **{column.name: column for column in columns}}.values(), rows.values())
    writer.commit(drop_dead=False)


def check_names(names: Sequence[str], snapshot: Snapshot) -> None:
    """Check that columns may have these names, which are new or those of the index.

    Raises:
        UsageError: one of them may not.
    """
    own = {column.name.casefold(): column.name for column in snapshot.manifest.columns}
    for name in names:
        if not name.strip() or not name.isprintable():
            raise UsageError(f"invalid column name {name!r}", "Use a name of printable characters.")
        if name.casefold() in RESERVED:
            raise UsageError(f'the column name "{name}" is reserved', "Choose another one.")
        if own.setdefault(name.casefold(), name) != name:
            raise UsageError(
                f'the columns "{own[name.casefold()]}" and "{name}" differ only in case, which SQL ignores',
                "Rename one of them.",
            )
