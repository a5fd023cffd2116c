"""All segments of one modality in one version of an index: their vectors and what is known of their files."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from wave_search.arguments import check_type
from wave_search.files import digest
from wave_search.query.request import check_where
from wave_search.store import OF_FILES, find_columns
from wave_search.types import PartitionKey

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from wave_search.store import Snapshot
    from wave_search.types import Modality, Value

_COMPARED = 64
"""Vectors that belong to the fingerprint."""


class SegmentSet:
    """The segments of one modality, embedded with the model's own prompt. Later versions of the index do not change it.

    Args:
        snapshot: the version.
        modality: which segments.

    Attributes:
        modality: the same.
        version: number of the version.
        ids: (n,) int64, ascending.
    """

    def __init__(self, snapshot: Snapshot, modality: Modality) -> None:
        self._snapshot, self.modality = snapshot, modality
        self.version = snapshot.manifest.version
        part = snapshot.partition(PartitionKey(modality))
        self.ids, self._content_ids = part.ids, part.content_ids

    def __len__(self) -> int:
        return len(self.ids)

    def vectors(self) -> Iterator[NDArray[np.float16]]:
        """Stream the vectors, in the order of `ids`: arrays (b, dim). Each call reads them from the disk."""
        if len(self):
            for ids, batch in self._snapshot.vector_batches(
                PartitionKey(self.modality), int(self.ids[0]), int(self.ids[-1]) + 1
            ):
                yield batch[np.isin(ids, self.ids)]

    @cached_property
    def fingerprint(self) -> str:
        """Digest of the ids, and of some vectors: the same in all versions that hold the same segments."""
        some = self.ids[np.linspace(0, len(self) - 1, min(len(self), _COMPARED)).astype(np.int64)]
        vectors = self._snapshot.vectors(PartitionKey(self.modality), some)
        return digest(b"\0".join((self.modality.encode(), self.ids.tobytes(), vectors.tobytes())))

    def file_values(self, column: str) -> list[Value | None]:
        """Return the value of a column of files, built-in or your own, for the file of each segment.

        Of several files with the same content it is the first one by path.

        Raises:
            UsageError: there is no such column.
        """
        check_type(column, str, "the name of a column")
        snapshot = self._snapshot
        known = (*OF_FILES, *(own.name for own in snapshot.manifest.columns))
        (name,) = find_columns((column,), known)
        contents, numbers = np.unique(self._content_ids, return_inverse=True)
        positions = np.array([snapshot.files().position(path) for path in self._paths(contents)], np.int64)
        values = snapshot.file_columns().values(name, positions)
        return [values[number] for number in numbers.tolist()]

    def matching(self, where: str, timeout_s: float) -> NDArray[np.bool_]:
        """Return which segments (n,) satisfy an SQL condition.

        Args:
            where: as for `Index.search`.
            timeout_s: seconds that it may take.

        Raises:
            UsageError: it is not a condition, names an unknown column, or takes too much time or memory.
        """
        check_type(where, str, "where", "Write an SQL condition.")
        check_where(where, timeout_s)
        return np.isin(self.ids, self._snapshot.sql_filter().select(where, timeout_s).segment_ids)

    def _paths(self, content_ids: NDArray[np.int64]) -> list[bytes]:
        places = self._snapshot.file_numbers(content_ids)
        return self._snapshot.paths_at([numbers[0] for numbers in places])
