"""Rows to Arrow tables and back."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

from wave_search.store.rows import ContentRow, FileRow, MetadataRow, SegmentRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from wave_search.store.rows import NewSegment
    from wave_search.types import PartitionKey

FILE_COLUMNS = ("path_bytes", "root", "size_bytes", "mtime_ns", "device", "content_id", "status", "cause", "remedy")
CONTENT_COLUMNS = ("content_id", *(field.name for field in fields(ContentRow)))
METADATA_COLUMNS = ("path_bytes", "digest", "values")
SEGMENT_COLUMNS = tuple(field.name for field in fields(SegmentRow))


def file_table(rows: Sequence[FileRow], schema: Any) -> Any:
    """Files as an Arrow table."""
    import pyarrow as pa

    columns: dict[str, list[Any]] = {
        "path": [row.path.decode("utf-8", "replace") for row in rows],
        "path_bytes": [row.path for row in rows],
    }
    for name in FILE_COLUMNS[1:]:
        columns[name] = [getattr(row, name) for row in rows]
    return pa.table(columns, schema=schema)


def file_rows(table: Any) -> Iterable[FileRow]:
    """The files of an Arrow table with FILE_COLUMNS."""
    return map(FileRow, *(table.column(name).to_pylist() for name in FILE_COLUMNS))


def dense_files(table: Any) -> Any:
    """The same as a record batch that takes less memory: of a few different values each is there only once."""
    import pyarrow as pa

    columns = {name: table.column(name).combine_chunks() for name in FILE_COLUMNS}
    columns["path_bytes"] = table.column("path_bytes").cast(pa.large_binary()).combine_chunks()
    for name in ("root", "status", "cause", "remedy"):
        columns[name] = columns[name].dictionary_encode()
    return pa.record_batch(columns)


def dense_file_rows(batch: Any) -> Iterable[FileRow]:
    """The files of a part of what `dense_files` made."""
    return map(FileRow, *(_plain(column) for column in batch.columns))


def _plain(column: Any) -> list[Any]:
    """A column as Python has it; several times as fast as to_pylist, and equal values are one object."""
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        values = column.dictionary.to_pylist()
        return [values[number] for number in column.indices.to_numpy().tolist()]
    if pa.types.is_integer(column.type) and not column.null_count:
        return list(column.to_numpy().tolist())
    return list(column.to_pylist())


def content_table(rows: Sequence[tuple[int, ContentRow]], schema: Any) -> Any:
    """Contents with their ids as an Arrow table."""
    import pyarrow as pa

    columns: dict[str, list[Any]] = {"content_id": [content_id for content_id, _ in rows]}
    for name in CONTENT_COLUMNS[1:]:
        columns[name] = [getattr(row, name) for _, row in rows]
    return pa.table(columns, schema=schema)


def content_rows(table: Any) -> dict[int, ContentRow]:
    """The contents of an Arrow table with CONTENT_COLUMNS, by id."""
    content_ids, *columns = (table.column(name).to_pylist() for name in CONTENT_COLUMNS)
    return dict(zip(content_ids, map(ContentRow, *columns), strict=True))


def metadata_table(rows: Sequence[MetadataRow], schema: Any) -> Any:
    """The user's own values as an Arrow table."""
    import pyarrow as pa

    columns = {
        "path_bytes": [row.path for row in rows],
        "digest": [row.digest for row in rows],
        "values": [json.dumps(row.values) for row in rows],
    }
    return pa.table(columns, schema=schema)


def metadata_rows(table: Any) -> Iterable[MetadataRow]:
    """The rows of an Arrow table with METADATA_COLUMNS."""
    for path, digest, values in zip(*(table.column(name).to_pylist() for name in METADATA_COLUMNS), strict=True):
        yield MetadataRow(path, digest, json.loads(values))


def segment_table(rows: Sequence[tuple[int, int, NewSegment]], vectors: NDArray[np.float16], schema: Any) -> Any:
    """Segments with their segment and content ids, and (n, dim) vectors, as an Arrow table."""
    import pyarrow as pa

    segments = [segment for _, _, segment in rows]
    columns = {
        "segment_id": [segment_id for segment_id, _, _ in rows],
        "content_id": [content_id for _, content_id, _ in rows],
        "modality": [segment.modality.value for segment in segments],
        "start_s": [segment.start_s for segment in segments],
        "stop_s": [segment.stop_s for segment in segments],
        "text": [segment.text for segment in segments],
        "instruction": [segment.instruction for segment in segments],
        "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1]),
    }
    return pa.table(columns, schema=schema)


def vector_matrix(batch: Any) -> NDArray[np.float16]:
    """The (n, dim) vectors of a record batch, without a copy."""
    column = batch.column("vector")
    matrix: NDArray[np.float16] = column.flatten().to_numpy(zero_copy_only=True).reshape(-1, column.type.list_size)
    return matrix


def joined(batches: Iterable[Any], rows: int) -> Iterator[Any]:
    """Record batches one after another in fewer ones, of at least `rows` but for the last.

    Each commit makes a piece of the table that is read as batches of its own, and numpy takes as long for a small one
    as for a large one.
    """
    import pyarrow as pa

    pending: list[Any] = []
    for batch in batches:
        pending.append(batch)
        if sum(map(len, pending)) >= rows:
            yield pa.concat_batches(pending)
            pending = []
    if pending:
        yield pa.concat_batches(pending)


def floats(table: Any, column: str) -> NDArray[np.float64]:
    """A column of numbers of a table or record batch, NaN where there is none."""
    return np.asarray(table.column(column).cast("float64").fill_null(float("nan")), dtype=np.float64)


def space_codes(batch: Any, keys: Sequence[PartitionKey]) -> NDArray[np.uint16]:
    """The position in `keys` of each row's space, and len(spaces) for one that is not there."""
    numbers = {(key.modality.value, key.instruction): number for number, key in enumerate(keys)}
    modality, instruction = (batch.column(name).dictionary_encode() for name in ("modality", "instruction"))
    of_pair = np.array(
        [
            [numbers.get((one, other), len(keys)) for other in instruction.dictionary.to_pylist()]
            for one in modality.dictionary.to_pylist()
        ],
        np.uint16,
    ).reshape(len(modality.dictionary), len(instruction.dictionary))
    codes: NDArray[np.uint16] = of_pair[np.asarray(modality.indices), np.asarray(instruction.indices)]
    return codes


def split_paths(column: Any) -> tuple[Any, Any]:
    """Absolute paths as dictionary-encoded folders and names below them, both arrays of bytes."""
    import pyarrow as pa
    import pyarrow.compute as pc

    whole = column.cast(pa.large_binary()).combine_chunks()  # there may be more than 2 GiB of them
    parts = pc.split_pattern(whole, b"/", max_splits=1, reverse=True).flatten()
    return parts[::2].dictionary_encode(), parts[1::2]


def sorted_by(table: Any, *columns: str) -> NDArray[np.int64]:
    """The order of a table's rows by some columns."""
    import pyarrow.compute as pc

    return np.asarray(pc.sort_indices(table, [(column, "ascending") for column in columns]), np.int64)


def release_unused() -> None:
    """Give back to the system what Arrow keeps to use again: 10 MB of 70 after reading a million segments."""
    import pyarrow as pa

    pa.default_memory_pool().release_unused()


def distinct(column: Any) -> int:
    """How many different values a column has."""
    import pyarrow.compute as pc

    return int(pc.count_distinct(column).as_py())


def ids(table: Any, column: str) -> NDArray[np.int64]:
    """An id column of a table or record batch."""
    return np.asarray(table.column(column), dtype=np.int64)
