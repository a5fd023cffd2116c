"""The columns of the tables, and conversion of rows to Arrow tables and back."""

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

FILES, CONTENTS, SEGMENTS, METADATA = "files", "contents", "segments", "metadata"
NAMES = (FILES, CONTENTS, SEGMENTS, METADATA)
FILE_COLUMNS = (
    *("path_bytes", "root", "size_bytes", "mtime_ns", "device"),
    *("content_id", "status", "cause", "remedy", "too_long_s"),
)
CONTENT_COLUMNS = ("content_id", *(field.name for field in fields(ContentRow)))
METADATA_COLUMNS = ("path_bytes", "digest", "values")
OPTIONAL = {
    FILES: frozenset({"content_id", "too_long_s"}),
    CONTENTS: frozenset(field.name for field in fields(ContentRow) if field.default is None),
    SEGMENTS: frozenset({"start_s", "stop_s", "text"}),
    METADATA: frozenset[str](),
}
"""Columns of each table that may lack a value."""
SEGMENT_COLUMNS = tuple(field.name for field in fields(SegmentRow))


def schemas(dim: int) -> dict[str, Any]:
    """Return the Arrow schema of each table, for vectors of `dim`."""
    import pyarrow as pa

    return {
        FILES: pa.schema(
            [
                ("path", pa.string()),  # readable, for filters; a name that is not UTF-8 is approximate here
                ("path_bytes", pa.binary()),
                ("root", pa.binary()),
                ("size_bytes", pa.int64()),
                ("mtime_ns", pa.int64()),
                ("device", pa.uint64()),
                ("content_id", pa.int64()),
                ("status", pa.string()),
                ("cause", pa.string()),
                ("remedy", pa.string()),
                ("too_long_s", pa.float64()),
            ]
        ),
        CONTENTS: pa.schema(
            [
                ("content_id", pa.int64()),
                ("digest", pa.string()),
                ("kind", pa.string()),
                ("container", pa.string()),
                ("duration_s", pa.float64()),
                ("width", pa.int32()),
                ("height", pa.int32()),
                ("fps", pa.float64()),
                ("video_codec", pa.string()),
                ("audio_codec", pa.string()),
                ("sample_rate_hz", pa.int32()),
                ("channels", pa.int32()),
                ("audio_tracks", pa.int32()),
                ("timecode", pa.string()),
            ]
        ),
        SEGMENTS: pa.schema(
            [
                ("segment_id", pa.int64()),
                ("content_id", pa.int64()),
                ("modality", pa.string()),
                ("start_s", pa.float64()),
                ("stop_s", pa.float64()),
                ("text", pa.string()),
                ("instruction", pa.string()),
                ("vector", pa.list_(pa.float16(), dim)),
            ]
        ),
        METADATA: pa.schema(
            [
                ("path_bytes", pa.binary()),
                ("digest", pa.string()),
                ("values", pa.string()),  # JSON
            ]
        ),
    }


def file_table(rows: Sequence[FileRow], schema: Any) -> Any:
    """Return files as an Arrow table."""
    import pyarrow as pa

    columns: dict[str, list[Any]] = {
        "path": [row.path.decode("utf-8", "replace") for row in rows],
        "path_bytes": [row.path for row in rows],
    }
    for name in FILE_COLUMNS[1:]:
        columns[name] = [getattr(row, name) for row in rows]
    return pa.table(columns, schema=schema)


def file_rows(table: Any) -> Iterable[FileRow]:
    """Return the files of an Arrow table with FILE_COLUMNS."""
    return map(FileRow, *(table.column(name).to_pylist() for name in FILE_COLUMNS))


def dense_files(table: Any) -> Any:
    """Return the same files as a smaller record batch with repeated values dictionary-encoded."""
    import pyarrow as pa

    columns = {name: table.column(name).combine_chunks() for name in FILE_COLUMNS}
    columns["path_bytes"] = table.column("path_bytes").cast(pa.large_binary()).combine_chunks()
    for name in ("root", "status", "cause", "remedy"):
        columns[name] = columns[name].dictionary_encode()
    return pa.record_batch(columns)


def dense_file_rows(batch: Any) -> Iterable[FileRow]:
    """Return the files of a slice of a batch made by `dense_files`."""
    return map(FileRow, *(_plain(column) for column in batch.columns))


def _plain(column: Any) -> list[Any]:
    """Return a column as Python objects; several times as fast as to_pylist, and equal values are one object."""
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        values = column.dictionary.to_pylist()
        return [values[number] for number in column.indices.to_numpy().tolist()]
    if pa.types.is_integer(column.type) and not column.null_count:
        return list(column.to_numpy().tolist())
    return list(column.to_pylist())


def content_table(rows: Sequence[tuple[int, ContentRow]], schema: Any) -> Any:
    """Return contents with their ids as an Arrow table."""
    import pyarrow as pa

    columns: dict[str, list[Any]] = {"content_id": [content_id for content_id, _ in rows]}
    for name in CONTENT_COLUMNS[1:]:
        columns[name] = [getattr(row, name) for _, row in rows]
    return pa.table(columns, schema=schema)


def content_rows(table: Any) -> dict[int, ContentRow]:
    """Return the contents of an Arrow table with CONTENT_COLUMNS, by id."""
    content_ids, *columns = (table.column(name).to_pylist() for name in CONTENT_COLUMNS)
    return dict(zip(content_ids, map(ContentRow, *columns), strict=True))


def metadata_table(rows: Sequence[MetadataRow], schema: Any) -> Any:
    """Return the values of the user-defined columns as an Arrow table."""
    import pyarrow as pa

    columns = {
        "path_bytes": [row.path for row in rows],
        "digest": [row.digest for row in rows],
        "values": [json.dumps(row.values) for row in rows],
    }
    return pa.table(columns, schema=schema)


def metadata_rows(table: Any) -> Iterable[MetadataRow]:
    """Return the rows of an Arrow table with METADATA_COLUMNS."""
    for path, digest, values in zip(*(table.column(name).to_pylist() for name in METADATA_COLUMNS), strict=True):
        yield MetadataRow(path, digest, json.loads(values))


def segment_table(rows: Sequence[tuple[int, int, NewSegment]], vectors: NDArray[np.float16], schema: Any) -> Any:
    """Return segments with their segment and content ids, and (n, dim) vectors, as an Arrow table."""
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
    """Return the (n, dim) vectors of a record batch, without a copy."""
    column = batch.column("vector")
    matrix: NDArray[np.float16] = column.flatten().to_numpy(zero_copy_only=True).reshape(-1, column.type.list_size)
    return matrix


def merged(batches: Iterable[Any], rows: int) -> Iterator[Any]:
    """Concatenate record batches into fewer ones, all but the last of at least `rows`.

    Each commit makes a fragment of the table, which is read as batches of its own, and numpy takes as long for a small
    one as for a large one.
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
    """Return a column of numbers of a table or record batch, NaN for null."""
    return np.asarray(table.column(column).cast("float64").fill_null(float("nan")), dtype=np.float64)


def partition_codes(batch: Any, keys: Sequence[PartitionKey]) -> NDArray[np.uint16]:
    """Return the position in `keys` of each row's partition, and len(keys) for a partition that is not in them."""
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
    """Split absolute paths into dictionary-encoded folders and the names below them, both arrays of bytes."""
    import pyarrow as pa
    import pyarrow.compute as pc

    whole = column.cast(pa.large_binary()).combine_chunks()  # there may be more than 2 GiB of them
    parts = pc.split_pattern(whole, b"/", max_splits=1, reverse=True).flatten()
    return parts[::2].dictionary_encode(), parts[1::2]


def sorted_by(table: Any, *columns: str) -> NDArray[np.int64]:
    """Return the indices that sort a table's rows by some columns."""
    import pyarrow.compute as pc

    return np.asarray(pc.sort_indices(table, [(column, "ascending") for column in columns]), np.int64)


def release_unused() -> None:
    """Return to the system the memory that Arrow keeps for reuse: 10 MB of 70 after reading a million segments."""
    import pyarrow as pa

    pa.default_memory_pool().release_unused()


def distinct(column: Any) -> int:
    """Return the number of distinct values of a column."""
    import pyarrow.compute as pc

    return int(pc.count_distinct(column).as_py())


def ids(table: Any, column: str) -> NDArray[np.int64]:
    """Return an id column of a table or record batch."""
    return np.asarray(table.column(column), dtype=np.int64)
