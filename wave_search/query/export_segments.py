"""Segments of an index with their vectors and files, as rows or as record batches of Arrow."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from wave_search.files import as_path
from wave_search.query.request import check_where
from wave_search.store import DEFAULT_TIMEOUT_S
from wave_search.types import ByContent, Modality

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import pyarrow as pa
    from numpy.typing import NDArray

    from wave_search.store import Snapshot
    from wave_search.types import PartitionKey


@dataclass(frozen=True, slots=True, eq=False)
class Segment(ByContent):
    """A segment with its vector."""

    segment_id: int
    path: Path
    """Of its file; of several with the same content, the first one by path."""
    modality: Modality
    instruction: str
    """That it was embedded with; "" for the model's own prompt."""
    start_s: float | None
    """In seconds from the beginning of the file, like `stop_s`; None for texts and images."""
    stop_s: float | None
    text: str | None
    """The text of a text segment."""
    vector: NDArray[np.float32]
    """(dim,), of unit norm but for the rounding to float16."""


class ReadSegments(ABC):
    """Segments of an index, by modality and id, to iterate over. Each iteration reads them anew, in batches."""

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of segments."""

    def __iter__(self) -> Iterator[Segment]:
        for batch in self._batches():
            dim = batch.schema.field("vector").type.list_size
            vectors = batch.column("vector").flatten().to_numpy().reshape(-1, dim)
            for row, vector in zip(batch.drop_columns(["vector"]).to_pylist(), vectors, strict=True):
                known = {"path": as_path(row["path"]), "modality": Modality(row["modality"])}
                yield Segment(**{**row, **known}, vector=vector)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the segments as record batches of Arrow, with the columns of `Segment`, of at most some 10,000 rows.

        Vectors are lists of `dim` float32; bytes of a path that are not UTF-8 are replaced.
        """
        import pyarrow as pa

        for batch in self._batches():
            names = [path.decode("utf-8", "replace") for path in batch.column("path").to_pylist()]
            place = batch.schema.get_field_index("path")
            yield batch.set_column(place, "path", pa.array(names, pa.string()))

    @abstractmethod
    def _batches(self) -> Iterator[pa.RecordBatch]:
        """Yield record batches with paths as bytes."""


def read_arrow_stream(file: Any) -> Iterator[pa.RecordBatch]:
    """Read what `Segments.to_arrow_stream` yields, from an open file of bytes."""
    import pyarrow as pa

    with pa.ipc.open_stream(file) as reader:
        yield from reader


class Segments(ReadSegments):
    """Segments of one version of an index.

    Args:
        snapshot: the version.
        where: SQL condition as for `Index.search`; None for all.
        modalities: of the segments; None for all.
        where_timeout_s: seconds that the condition may take.

    Raises:
        UsageError: the condition is not valid.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        where: str | None,
        modalities: Sequence[Modality] | None,
        where_timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> None:
        check_where(where, where_timeout_s)
        self._snapshot, self._where = snapshot, where
        keys = snapshot.manifest.settings.keys
        chosen = None if where is None else snapshot.sql_filter().select(where, where_timeout_s)
        self._ids: dict[PartitionKey, NDArray[np.int64]] = {}
        for key in sorted(keys, key=lambda key: ([*Modality].index(key.modality), key.instruction)):
            if modalities is None or key.modality in modalities:
                ids = snapshot.partition(key).ids
                self._ids[key] = ids if chosen is None else np.intersect1d(ids, chosen.segment_ids)
        self._chosen = chosen

    def __len__(self) -> int:
        return sum(map(len, self._ids.values()))

    def to_arrow_stream(self) -> Iterator[bytes]:
        """Yield the segments as a stream of Arrow IPC, with paths as bytes, for `RemoteSegments`."""
        import pyarrow as pa

        written = io.BytesIO()
        with pa.ipc.new_stream(written, self._schema()) as writer:
            for batch in self._batches():
                writer.write_batch(batch)
                yield written.getvalue()
                written.seek(0)
                written.truncate()
        yield written.getvalue()

    def _schema(self) -> pa.Schema:
        import pyarrow as pa

        return pa.schema(
            [
                ("segment_id", pa.int64()),
                ("path", pa.binary()),
                ("modality", pa.string()),
                ("instruction", pa.string()),
                ("start_s", pa.float64()),
                ("stop_s", pa.float64()),
                ("text", pa.string()),
                ("vector", pa.list_(pa.float32(), self._snapshot.manifest.model.dim)),
            ]
        )

    def _batches(self) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        schema = self._schema()
        for key, ids, vectors in self._vectors():
            rows, number = self._snapshot.segment_rows(ids), len(ids)
            columns = [
                ids,
                self._paths(ids),
                [key.modality.value] * number,
                [key.instruction] * number,
                [row.start_s for row in rows],
                [row.stop_s for row in rows],
                [row.text for row in rows],
            ]
            arrays = [pa.array(values, field.type) for values, field in zip(columns, schema, strict=False)]
            arrays.append(pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1]))
            yield pa.record_batch(arrays, schema=schema)

    def _vectors(self) -> Iterator[tuple[PartitionKey, NDArray[np.int64], NDArray[np.float32]]]:
        for key, wanted in self._ids.items():
            if not len(wanted):
                continue
            for ids, batch in self._snapshot.vector_batches(key, int(wanted[0]), int(wanted[-1]) + 1):
                held = np.isin(ids, wanted)
                if held.any():
                    yield key, ids[held], batch[held].astype(np.float32)

    def _paths(self, ids: NDArray[np.int64]) -> list[bytes]:
        content_ids, _, _ = self._snapshot.spans(ids)
        places = self._snapshot.file_numbers(content_ids)
        firsts = self._snapshot.paths_at([numbers[0] for numbers in places])
        if self._chosen is None:
            return firsts
        found = []
        for segment_id, numbers, first in zip(ids.tolist(), places, firsts, strict=True):
            several = self._snapshot.paths_at(numbers) if len(numbers) > 1 else [first]
            found.append(next((path for path in several if self._chosen.holds(segment_id, path)), first))
        return found
