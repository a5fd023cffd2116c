"""What is known of files, as named columns: those that conditions use, results show and lists have."""

from __future__ import annotations

import os
from dataclasses import fields
from datetime import datetime
from typing import TYPE_CHECKING, Any

from wave_search.errors import IndexCorruptError, UsageError
from wave_search.files import composed, composed_text
from wave_search.store.files import RESTORE
from wave_search.store.rows import ContentRow
from wave_search.store.schema import CONTENTS, schemas
from wave_search.types import OF_HITS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from wave_search.store.file_table import Metadata
    from wave_search.store.rows import Column, FileRow
    from wave_search.types import FileStatus, Value

_OF_PATHS = ("path", "name", "folder", "size_bytes", "modified", "status", "cause")
_OF_CONTENTS = tuple(field.name for field in fields(ContentRow) if field.name != "digest")
OF_FILES = (*_OF_PATHS, *_OF_CONTENTS)
"""Columns of files that every index has."""
OF_SEGMENTS = ("modality", "start_s", "stop_s", "text")
"""Columns of segments that every index has."""
BUILT_IN = (*OF_FILES, *OF_SEGMENTS)
"""Columns that every index has."""
RESERVED = (*BUILT_IN, *OF_HITS, "segment_id", "content_id", "file_number", "rank", "score", "z", "remedy", "gone")
"""Names that user-defined columns cannot have: these, and the other fields of hits and of listed files."""


def status_of(row: FileRow) -> FileStatus:
    """Return whether a file is indexed, wholly or in part."""
    if row.content_id is None:
        return "skipped"
    return "damaged" if row.cause else "indexed"


def file_columns(rows: Sequence[FileRow], contents: Mapping[int, ContentRow], metadata: Metadata) -> Any:
    """Return an Arrow table with `OF_FILES`, the user's own columns, and "content_id".

    Args:
        rows: the files, in this order.
        contents: by id, at least those of the files. A file without one has no value in the columns of contents.
        metadata: the user's own columns.

    Raises:
        IndexCorruptError: a content is missing.
    """
    import pyarrow as pa

    paths = [composed(row.path).decode("utf-8", "replace") for row in rows]
    own = [content_of(row, contents) for row in rows]
    columns = {
        "content_id": pa.array([row.content_id for row in rows], pa.int64()),
        "path": pa.array(paths, pa.string()),
        "name": pa.array([os.path.basename(path) for path in paths], pa.string()),  # noqa: PTH119 - text, not a file
        "folder": pa.array([os.path.dirname(path) for path in paths], pa.string()),  # noqa: PTH120
        "size_bytes": pa.array([row.size_bytes for row in rows], pa.int64()),
        "modified": pa.array([row.mtime_ns // 1000 for row in rows], pa.timestamp("us")),
        "status": pa.array(list(map(status_of, rows)), pa.string()),
        "cause": pa.array([row.cause or None for row in rows], pa.string()),
    }
    types = schemas(1)[CONTENTS]
    for name in _OF_CONTENTS:
        values = [None if content is None else getattr(content, name) for content in own]
        columns[name] = pa.array(values, types.field(name).type)
    pairs = zip(rows, own, strict=True)
    theirs = [{} if content is None else metadata.of(row.path, content.digest) for row, content in pairs]
    for column in metadata.columns:
        columns[column.name] = _own_array(column, [of_file.get(column.name) for of_file in theirs])
    return pa.table(columns)


def content_of(row: FileRow, contents: Mapping[int, ContentRow]) -> ContentRow | None:
    """Return the content of a file, None if it is skipped.

    Raises:
        IndexCorruptError: the content is missing.
    """
    if row.content_id is None:
        return None
    if row.content_id not in contents:
        raise IndexCorruptError("the index holds a file whose content is missing", RESTORE)
    return contents[row.content_id]


def _own_array(column: Column, values: Sequence[Any]) -> Any:
    import pyarrow as pa

    types = {"text": pa.string(), "number": pa.float64(), "bool": pa.bool_(), "texts": pa.list_(pa.string())}
    if column.type == "timestamp":
        return pa.array(values, pa.string()).cast(pa.timestamp("us"))
    return pa.array(values, types[column.type])


def column_values(
    rows: Sequence[FileRow], contents: Mapping[int, ContentRow], metadata: Metadata, columns: Sequence[str]
) -> list[tuple[Value | None, ...]]:
    """Return the values of some of these columns for each file. Arguments and errors are those of `file_columns`."""
    if not columns:
        return [()] * len(rows)
    table = file_columns(rows, contents, metadata)
    return list(zip(*(map(plain, table.column(name).to_pylist()) for name in columns), strict=True))


def plain(value: Any) -> Value | None:
    """Return the value of a column as JSON represents it."""
    if isinstance(value, datetime):
        return value.isoformat()
    whole: Value | None = int(value) if isinstance(value, float) and value.is_integer() else value
    return whole


def find_columns(wanted: Iterable[str], known: Sequence[str]) -> list[str]:
    """Return the names of columns as the index spells them, ignoring case.

    Raises:
        UsageError: there is no such column.
    """
    spelling = {composed_text(name).casefold(): name for name in known}
    found = []
    for name in wanted:
        if (same := composed_text(name).casefold()) not in spelling:
            raise unknown_column(name, known)
        found.append(spelling[same])
    return found


def unknown_column(name: str, known: Iterable[str]) -> UsageError:
    """Return the error for a column that does not exist."""
    return UsageError(f'there is no column "{name}"', f"Use one of {', '.join(known)}.")
