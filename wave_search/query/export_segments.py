"""Segments of an index with their vectors and files, as rows or as record batches of Arrow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

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


class Segments:
    """Segments of one version of an index, by modality and id. Each iteration reads them from the disk, in batches.

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

    def __iter__(self) -> Iterator[Segment]:
        for key, ids, vectors in self._vectors():
            for row, path, vector in zip(self._snapshot.segment_rows(ids), self._paths(ids), vectors, strict=True):
                place = row.segment_id, as_path(path), key.modality, key.instruction
                yield Segment(*place, row.start_s, row.stop_s, row.text, vector)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the segments as record batches of Arrow, with the columns of `Segment`, of at most some 10,000 rows.

        Vectors are lists of `dim` float32; bytes of a path that are not UTF-8 are replaced.
        """
        import pyarrow as pa

        for key, ids, vectors in self._vectors():
            rows, number = self._snapshot.segment_rows(ids), len(ids)
            paths = [str(as_path(path)).encode("utf-8", "replace").decode() for path in self._paths(ids)]
            yield pa.record_batch(
                {
                    "segment_id": pa.array(ids),
                    "path": pa.array(paths, pa.string()),
                    "modality": pa.array([key.modality.value] * number, pa.string()),
                    "instruction": pa.array([key.instruction] * number, pa.string()),
                    "start_s": pa.array([row.start_s for row in rows], pa.float64()),
                    "stop_s": pa.array([row.stop_s for row in rows], pa.float64()),
                    "text": pa.array([row.text for row in rows], pa.string()),
                    "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1]),
                }
            )

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
