"""What is known of files, as named columns: those that conditions use, results show and lists have."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from wave_search.errors import IndexCorruptError, UsageError
from wave_search.files import composed, composed_text
from wave_search.store import schema
from wave_search.store.files import RESTORE
from wave_search.store.rows import ContentRow
from wave_search.types import OF_HITS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from wave_search.store.file_table import Metadata
    from wave_search.store.rows import FileRow
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


class FileColumns:
    """The columns of some files, each made when it is first asked for. Safe to use from several threads.

    Args:
        files: an Arrow record batch of `FileTable.batch`.
        contents: an Arrow table with `schema.CONTENT_COLUMNS`, at least those of the files.
        metadata: the user's own columns.

    Attributes:
        names: `OF_FILES` and the user's own columns.

    Raises:
        IndexCorruptError: the content of a file is missing.
    """

    def __init__(self, files: Any, contents: Any, metadata: Metadata) -> None:
        self._files, self._contents, self._metadata = files, contents, metadata
        self._types = {column.name: column.type for column in metadata.columns}
        self.names = (*OF_FILES, *self._types)
        self._made: dict[str, Any] = {}
        content_ids = np.asarray(files.column("content_id").fill_null(-1), np.int64)
        ids = schema.ids(contents, "content_id")
        order = np.argsort(ids, kind="stable")
        held = np.flatnonzero(content_ids >= 0)
        at = ids[order].searchsorted(content_ids[held])
        if not np.array_equal(ids[order][at[at < len(ids)]], content_ids[held]):
            raise IndexCorruptError("the index holds a file whose content is missing", RESTORE)
        self._places = np.full(len(files), -1, np.int64)
        """(n,) position of the content of each file in the table, -1 if it has none."""
        self._places[held] = order[at]

    def __len__(self) -> int:
        return len(self._places)

    def array(self, name: str) -> Any:
        """Return one of `names` for all files as an Arrow array, null where there is no value."""
        if name not in self._made:
            self._made[name] = self._column(name)
        return self._made[name]

    def values(self, name: str, positions: NDArray[np.int64] | None = None) -> list[Value | None]:
        """Return the values of one of `names` for the files at some positions, or for all."""
        column = self.array(name)
        return list(map(plain, (column if positions is None else column.take(positions)).to_pylist()))

    def _column(self, name: str) -> Any:
        import pyarrow as pa

        if name in self._types:
            return self._own(name)
        if name in _OF_CONTENTS:
            places = pa.array(self._places, mask=self._places < 0)
            return self._contents.column(name).combine_chunks().take(places)
        return getattr(self, f"_{name}")()

    def _size_bytes(self) -> Any:
        return self._files.column("size_bytes")

    def _modified(self) -> Any:
        import pyarrow as pa

        return pa.array(np.asarray(self._files.column("mtime_ns")) // 1000).cast(pa.timestamp("us"))

    def _folder(self) -> Any:
        import pyarrow.compute as pc

        return pc.if_else(pc.equal(self._parts[::2], ""), "/", self._parts[::2])

    def _name(self) -> Any:
        return self._parts[1::2]

    @cached_property
    def _parts(self) -> Any:
        """Folders and the names in them, in turn."""
        import pyarrow.compute as pc

        return pc.split_pattern(self.array("path"), "/", max_splits=1, reverse=True).flatten()

    def _cause(self) -> Any:
        import pyarrow as pa
        import pyarrow.compute as pc

        causes = self._files.column("cause").cast(pa.string())
        return pc.if_else(pc.equal(causes, ""), pa.scalar(None, pa.string()), causes)

    def _status(self) -> Any:
        import pyarrow as pa
        import pyarrow.compute as pc

        of_content = pc.if_else(pc.is_valid(self.array("cause")), "damaged", "indexed")
        return pc.if_else(pa.array(self._places < 0), "skipped", of_content)

    def _path(self) -> Any:
        """Return paths as text with composed letters; bytes that are not UTF-8 are replaced."""
        import pyarrow as pa
        import pyarrow.compute as pc

        names = self._files.column("path_bytes")
        try:
            text = names.cast(pa.large_string())
        except pa.ArrowInvalid:
            return pa.array(
                [composed(name).decode("utf-8", "replace") for name in names.to_pylist()], pa.large_string()
            )
        return text if pc.all(pc.string_is_ascii(text)).as_py() else pc.utf8_normalize(text, form="NFC")

    def _own(self, name: str) -> Any:
        import pyarrow as pa

        values = [of_file.get(name) for of_file in self._theirs]
        types = {"text": pa.string(), "number": pa.float64(), "bool": pa.bool_(), "texts": pa.list_(pa.string())}
        if self._types[name] == "timestamp":
            return pa.array(values, pa.string()).cast(pa.timestamp("us"))
        return pa.array(values, types[self._types[name]])

    @cached_property
    def _theirs(self) -> list[Mapping[str, Value]]:
        """The values of the user's own columns of each file."""
        paths, digests = self._files.column("path_bytes").to_pylist(), self._contents.column("digest").to_pylist()
        pairs = zip(paths, self._places.tolist(), strict=True)
        return [self._metadata.of(path, digests[place]) if place >= 0 else {} for path, place in pairs]


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
