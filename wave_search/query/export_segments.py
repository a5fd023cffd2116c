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
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    import pyarrow as pa
    from numpy.typing import NDArray

    from wave_search.store import Selection, Snapshot
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


@dataclass(frozen=True, slots=True)
class SegmentBlock:
    """Some segments of a modality and an instruction."""

    modality: Modality
    instruction: str
    ids: list[int]
    paths: list[Path]
    """Of each, like the following."""
    starts_s: list[float | None]
    stops_s: list[float | None]
    texts: list[str | None]
    vectors: NDArray[np.float16]
    """(n, dim)"""


class Segments:
    """Segments of one version of an index, by modality and id. Each iteration reads them anew, in batches.

    Args:
        number: of them.
        blocks: reads them.
    """

    def __init__(self, number: int, blocks: Callable[[], Iterator[SegmentBlock]]) -> None:
        self._number, self._blocks = number, blocks

    def blocks(self, most_rows: int) -> Iterator[SegmentBlock]:
        """Yield the segments as they are stored, at most so many at once."""
        for block in self._blocks():
            for start in range(0, len(block.ids), most_rows):
                part = slice(start, start + most_rows)
                yield SegmentBlock(
                    block.modality,
                    block.instruction,
                    block.ids[part],
                    block.paths[part],
                    block.starts_s[part],
                    block.stops_s[part],
                    block.texts[part],
                    block.vectors[part],
                )

    def __len__(self) -> int:
        return self._number

    def __repr__(self) -> str:
        return f"<Segments: {self._number:,}>"

    def __iter__(self) -> Iterator[Segment]:
        for block in self._blocks():
            vectors = block.vectors.astype(np.float32)
            each = zip(block.ids, block.paths, block.starts_s, block.stops_s, block.texts, vectors, strict=True)
            for segment_id, path, start_s, stop_s, text, vector in each:
                yield Segment(segment_id, path, block.modality, block.instruction, start_s, stop_s, text, vector)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the segments as record batches of Arrow, with the columns of `Segment`, of at most some 10,000 rows.

        Vectors are lists of `dim` float32; bytes of a path that are not UTF-8 are replaced.
        """
        import pyarrow as pa

        for block in self._blocks():
            number, vectors = len(block.ids), block.vectors.astype(np.float32)
            paths = [str(path).encode("utf-8", "replace").decode() for path in block.paths]
            yield pa.record_batch(
                {
                    "segment_id": pa.array(block.ids, pa.int64()),
                    "path": pa.array(paths, pa.string()),
                    "modality": pa.array([block.modality.value] * number, pa.string()),
                    "instruction": pa.array([block.instruction] * number, pa.string()),
                    "start_s": pa.array(block.starts_s, pa.float64()),
                    "stop_s": pa.array(block.stops_s, pa.float64()),
                    "text": pa.array(block.texts, pa.string()),
                    "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1]),
                }
            )


def stored_segments(
    snapshot: Snapshot,
    where: str | None,
    modalities: Sequence[Modality] | None,
    where_timeout_s: float = DEFAULT_TIMEOUT_S,
) -> Segments:
    """Return segments of an index.

    Args:
        snapshot: the version.
        where: SQL condition as for `Index.search`; None for all.
        modalities: of the segments; None for all.
        where_timeout_s: seconds that the condition may take.

    Raises:
        UsageError: the condition is not valid.
    """
    check_where(where, where_timeout_s)
    stored = _Stored(snapshot, None if where is None else snapshot.sql_filter().select(where, where_timeout_s))
    ids = stored.ids(modalities)
    return Segments(sum(map(len, ids.values())), lambda: stored.blocks(ids))


class _Stored:
    """The segments of a version for which a condition holds.

    Args:
        snapshot: the version.
        chosen: by the condition; None for all.
    """

    def __init__(self, snapshot: Snapshot, chosen: Selection | None) -> None:
        self._snapshot, self._chosen = snapshot, chosen

    def ids(self, modalities: Sequence[Modality] | None) -> dict[PartitionKey, NDArray[np.int64]]:
        """Return the ids of the segments of some modalities, None for all."""
        found: dict[PartitionKey, NDArray[np.int64]] = {}
        keys = self._snapshot.manifest.settings.keys
        for key in sorted(keys, key=lambda key: ([*Modality].index(key.modality), key.instruction)):
            if modalities is None or key.modality in modalities:
                ids = self._snapshot.partition(key).ids
                found[key] = ids if self._chosen is None else np.intersect1d(ids, self._chosen.segment_ids)
        return found

    def blocks(self, wanted: Mapping[PartitionKey, NDArray[np.int64]]) -> Iterator[SegmentBlock]:
        """Read segments from the disk."""
        for key, of_key in wanted.items():
            if not len(of_key):
                continue
            for ids, vectors in self._snapshot.vector_batches(key, int(of_key[0]), int(of_key[-1]) + 1):
                held = np.isin(ids, of_key)
                if held.any():
                    yield self._block(key, ids[held], vectors[held])

    def _block(self, key: PartitionKey, ids: NDArray[np.int64], vectors: NDArray[np.float16]) -> SegmentBlock:
        rows = list(self._snapshot.segment_rows(ids))
        return SegmentBlock(
            key.modality,
            key.instruction,
            ids.tolist(),
            [*map(as_path, self._paths(ids))],
            [row.start_s for row in rows],
            [row.stop_s for row in rows],
            [row.text for row in rows],
            vectors,
        )

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
