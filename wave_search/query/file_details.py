"""All that an index knows of the file of a segment, files as hits, and scores along a file: for views of one file."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from wave_search.arguments import check_whole, id_of
from wave_search.errors import UsageError
from wave_search.files import as_name, as_path, is_gone, is_unchanged
from wave_search.query.request import check_where
from wave_search.store import OF_FILES, content_of, status_of
from wave_search.types import Modality, PartitionKey

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from wave_search.store import ContentRow, FileRow, SegmentRow, Snapshot
    from wave_search.types import FileKind, FileStatus, Value

_REPRESENTATIVE = (Modality.AV, Modality.VIDEO, Modality.IMAGE, Modality.AUDIO, Modality.TEXT)
"""The modality of the segment that stands for a whole file: the first of these that it has."""
_BATCH_ROWS = 1_024


@dataclass(frozen=True, slots=True)
class SegmentDetails:
    """A segment of a file."""

    segment_id: int
    modality: Modality
    start_s: float | None
    """In seconds from the beginning of the file, like `stop_s`; None for texts and images."""
    stop_s: float | None
    text: str | None
    """The text of a text segment."""


@dataclass(frozen=True, slots=True)
class FileDetails:
    """An indexed file, as it was when it was last indexed."""

    path: Path
    kind: FileKind
    digest: str
    """Of its content, 16 bytes as hexadecimal digits."""
    size_bytes: int
    mtime_ns: int
    """Time of modification in nanoseconds since 1970."""
    duration_s: float | None
    """None for texts and images."""
    status: FileStatus
    cause: str
    """What of it is missing, if it is damaged."""
    segments: tuple[SegmentDetails, ...]
    """Of all modalities, embedded with the model's own prompt, by time."""
    columns: Mapping[str, Value | None]
    """All columns of files, built-in and the user's own, by name."""
    copies: tuple[Path, ...] = ()
    """Other files with the same content, by path."""


@dataclass(frozen=True, slots=True)
class FileEntry:
    """An indexed file in a list, with the segment that stands for it."""

    path: Path
    kind: FileKind
    duration_s: float | None
    segment: SegmentDetails
    columns: Mapping[str, Value | None]


@dataclass(frozen=True, slots=True)
class SegmentScore:
    """How well a segment of a file matches a query."""

    segment: SegmentDetails
    score: float
    """As in `Hit`."""
    z: float
    """As in `Hit`."""


def segment_and_file(snapshot: Snapshot, segment_id: int) -> tuple[SegmentDetails, FileDetails]:
    """Return a segment and its file. Of several files with the same content it is the first one that is as it was.

    Raises:
        UsageError: the segment is not in the index.
    """
    content_id = content_of_segment(snapshot, segment_id)
    rows = snapshot.files_of([content_id])[content_id]
    if not rows:
        raise _unknown(segment_id)
    there = [row for row in rows if not is_gone(as_path(row.path))]
    row = next((row for row in there if is_unchanged(as_path(row.path), row.size_bytes, row.mtime_ns)), None)
    row = row or (there or rows)[0]
    (segment,) = snapshot.segment_rows([segment_id])
    return segment_details(segment), _file_details(snapshot, row, content_id, rows)


def segment_entries(snapshot: Snapshot, segment_ids: Sequence[int]) -> list[FileEntry]:
    """Return segments with their files, in this order, without columns; those that are not in the index are left out.

    Of several files with the same content it is the first one that exists.
    """
    try:
        rows = snapshot.segment_rows(segment_ids)
    except KeyError:  # rarely: one has been removed since it was found
        rows = [row for segment_id in segment_ids for row in _row_of(snapshot, segment_id)]
    content_ids = sorted({row.content_id for row in rows})
    contents, files = snapshot.contents(content_ids), {}
    for content_id, numbers in zip(content_ids, snapshot.file_numbers(content_ids), strict=True):
        if paths := [as_path(path) for path in snapshot.paths_at(numbers)]:
            files[content_id] = next((path for path in paths if not is_gone(path)), paths[0])
    return [
        FileEntry(files[row.content_id], content.kind, content.duration_s, segment_details(row), {})
        for row in rows
        if (content := contents.get(row.content_id)) is not None and row.content_id in files
    ]


def _row_of(snapshot: Snapshot, segment_id: int) -> list[SegmentRow]:
    try:
        return snapshot.segment_rows([segment_id])
    except KeyError:
        return []


def file_at(snapshot: Snapshot, path: Path) -> FileDetails | None:
    """Return the indexed file of a path, None if there is none."""
    row = snapshot.files().get(as_name(path))
    if row is None or row.content_id is None:
        return None
    return _file_details(snapshot, row, row.content_id, (row,))


def _file_details(snapshot: Snapshot, row: FileRow, content_id: int, copies: Sequence[FileRow]) -> FileDetails:
    position = snapshot.files().position(row.path)
    known = snapshot.file_columns(np.array([position], np.int64))
    content = snapshot.contents([content_id])[content_id]
    return FileDetails(
        path=as_path(row.path),
        kind=content.kind,
        digest=content.digest,
        size_bytes=row.size_bytes,
        mtime_ns=row.mtime_ns,
        duration_s=content.duration_s,
        status=status_of(row),
        cause=row.cause,
        segments=tuple(sorted(_own(snapshot.segments_of(content_id)), key=_by_time)),
        columns={name: known.values(name)[0] for name in known.names},
        copies=tuple(as_path(copy.path) for copy in copies if copy is not row),
    )


def content_of_segment(snapshot: Snapshot, segment_id: int) -> int:
    """Return the id of the content of a segment.

    Raises:
        UsageError: the segment is not in the index.
    """
    try:
        (content_id,), _, _ = snapshot.spans(np.array([id_of(segment_id)], np.int64))
    except (KeyError, OverflowError):
        raise _unknown(segment_id) from None
    return content_id


def paths_of_segments(snapshot: Snapshot, segment_ids: Sequence[int]) -> list[Path]:
    """Return the paths of all files that have one of some segments.

    Raises:
        UsageError: a segment is not in the index.
    """
    try:
        content_ids, _, _ = snapshot.spans(np.array(segment_ids, np.int64))
    except KeyError as error:
        raise _unknown(error.args[0]) from None
    files = snapshot.files_of([*dict.fromkeys(content_ids)])
    return [as_path(row.path) for rows in files.values() for row in rows]


def browse(
    snapshot: Snapshot,
    where: str | None,
    *,
    where_timeout_s: float,
    columns: Sequence[str],
    offset: int,
    limit: int,
    among: frozenset[int] | None = None,
) -> list[FileEntry]:
    """List indexed files by path, each with the segment that stands for it.

    Args:
        snapshot: the index.
        where: SQL condition; a file is listed if it holds for one of its segments.
        where_timeout_s: seconds that it may take.
        columns: names of columns of files.
        offset: number of files to skip.
        limit: maximum number of files.
        among: ids of segments: only files with one of them are listed, and it stands for the file.

    Raises:
        UsageError: an argument is not valid.
    """
    check_page(where, where_timeout_s, offset, limit)
    metadata = snapshot.metadata()
    unknown = set(columns) - {*OF_FILES, *(column.name for column in metadata.columns)}
    if unknown:
        raise UsageError(f'there is no column "{min(unknown)}" of files', f"Use one of {', '.join(OF_FILES)}.")
    files = snapshot.files()
    chosen = None if where is None else snapshot.sql_filter().select_files(where, where_timeout_s)
    positions = files.by_path(chosen)
    positions = positions[np.isin(files.content_ids[positions], _with_segments(snapshot, among))][
        offset : offset + limit
    ]
    entries: list[FileEntry] = []
    for begin in range(0, len(positions), _BATCH_ROWS):
        some = positions[begin : begin + _BATCH_ROWS]
        rows, known = files.at(some), snapshot.file_columns(some)
        contents = snapshot.contents([row.content_id for row in rows if row.content_id is not None])
        values = {name: known.values(name) for name in columns}
        for number, row in enumerate(rows):
            entries.append(_entry(snapshot, row, contents, {name: values[name][number] for name in columns}, among))
    return entries


def check_page(where: str | None, where_timeout_s: float, offset: int, limit: int) -> None:
    """Check arguments of `browse`. Raises UsageError."""
    check_where(where, where_timeout_s)
    check_whole(offset, "offset")
    check_whole(limit, "limit")


def _with_segments(snapshot: Snapshot, among: frozenset[int] | None) -> NDArray[np.int64]:
    """Return the ids of contents that have a segment: all that a file has may be of modalities that are not indexed."""
    found = [np.empty(0, np.int64)]
    for modality in snapshot.manifest.settings.modalities:
        part = snapshot.partition(PartitionKey(modality))
        found.append(part.content_ids if among is None else part.content_ids[np.isin(part.ids, sorted(among))])
    return np.unique(np.concatenate(found))


def count_files(snapshot: Snapshot) -> Mapping[tuple[Path, FileKind], int]:
    """Return the number of indexed files by folder and kind."""
    contents = snapshot.contents()
    counts: Counter[tuple[bytes, FileKind]] = Counter()
    for row in snapshot.files().values():
        content = content_of(row, contents)
        if content is not None:
            counts[row.path.rpartition(b"/")[0] or b"/", content.kind] += 1
    return {(as_path(folder), kind): count for (folder, kind), count in counts.items()}


def _entry(
    snapshot: Snapshot,
    row: FileRow,
    contents: Mapping[int, ContentRow],
    columns: Mapping[str, Value | None],
    among: frozenset[int] | None,
) -> FileEntry:
    content = content_of(row, contents)
    assert content is not None  # noqa: S101 - the row has segments
    assert row.content_id is not None  # noqa: S101
    segments = (
        segment
        for segment in _own(snapshot.segments_of(row.content_id))
        if among is None or segment.segment_id in among
    )
    first = min(segments, key=lambda one: (_REPRESENTATIVE.index(one.modality), _by_time(one)))
    return FileEntry(as_path(row.path), content.kind, content.duration_s, first, columns)


def segment_details(row: SegmentRow) -> SegmentDetails:
    """Return a row of the store as details."""
    return SegmentDetails(row.segment_id, row.modality, row.start_s, row.stop_s, row.text)


def _own(rows: Iterable[SegmentRow]) -> Iterator[SegmentDetails]:
    """Keep the segments of the model's own prompt: those of further instructions are the same ranges again."""
    return (segment_details(row) for row in rows if not row.instruction)


def _by_time(segment: SegmentDetails) -> tuple[float, int]:
    return segment.start_s or 0.0, segment.segment_id


def _unknown(segment_id: int) -> UsageError:
    return UsageError(f"segment {segment_id} is not in the index", "Search again.")
