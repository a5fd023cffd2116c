"""Listing of the files of an index: what is indexed, and what was skipped and why."""

from __future__ import annotations

from itertools import repeat
from typing import TYPE_CHECKING

from wave_search.errors import UsageError
from wave_search.files import as_path, is_gone
from wave_search.query.request import check_where, read_columns
from wave_search.store import OF_FILES, OF_SEGMENTS, find_columns, status_of
from wave_search.types import ListedFile

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from wave_search.store import Snapshot

_BATCH_ROWS = 16_384
"""The contents of a batch are found by a scan of all contents, so that small batches would be slow."""


def list_files(
    snapshot: Snapshot, where: str | None, where_timeout_s: float, columns: Iterable[str], *, skipped: bool
) -> Iterator[ListedFile]:
    """Iterate over files by path, with one batch of them in memory at a time. `Index.files` has the arguments.

    Raises:
        UsageError: an argument is not valid. Raised at once, not when the first file is read.
    """
    check_where(where, where_timeout_s)
    own = [column.name for column in snapshot.metadata().columns]
    names = read_columns(columns)
    of_segments = sorted({name.casefold() for name in names} & {*OF_SEGMENTS})
    if of_segments:
        raise UsageError(
            f'a list of files cannot have the column "{of_segments[0]}": it belongs to segments',
            f"Use one of {', '.join((*OF_FILES, *own))}.",
        )
    spelled = find_columns(names, (*OF_FILES, *own))
    chosen = None if where is None else snapshot.sql_filter().select_files(where, where_timeout_s)
    positions = snapshot.files().by_path(chosen)
    return _files(snapshot, positions, dict(zip(names, spelled, strict=True)), skipped=skipped)


def _files(
    snapshot: Snapshot, positions: NDArray[np.int64], columns: Mapping[str, str], *, skipped: bool
) -> Iterator[ListedFile]:
    files = snapshot.files()
    for begin in range(0, len(positions), _BATCH_ROWS):
        some = positions[begin : begin + _BATCH_ROWS]
        rows = files.at(some)
        if skipped:
            kept = [number for number, row in enumerate(rows) if row.cause or row.content_id is None]
            some, rows = some[kept], [rows[number] for number in kept]
        known = snapshot.file_columns(some)
        kinds, durations_s = (known.array(name).to_pylist() for name in ("kind", "duration_s"))
        of_files = zip(*(known.values(name) for name in columns.values()), strict=True) if columns else repeat(())
        for row, kind, duration_s, values in zip(rows, kinds, durations_s, of_files, strict=False):
            path = as_path(row.path)
            yield ListedFile(
                path=path,
                status=status_of(row),
                cause=row.cause,
                remedy=row.remedy,
                gone=is_gone(path) and not (row.content_id is None and path.is_symlink()),  # a dead link is a reason
                kind=kind,
                duration_s=duration_s,
                size_bytes=row.size_bytes,
                columns=dict(zip(columns, values, strict=True)),
            )
