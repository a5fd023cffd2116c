"""The columns that every hit needs, read once into numpy arrays, because a lookup in Lance takes longer than a search.

They take 34 bytes per segment, 17 per content, and 20 per file plus its name. Texts are not kept in memory but read
from the table by position.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from wave_search.errors import IndexCorruptError
from wave_search.store import schema
from wave_search.store.files import RESTORE, read_error
from wave_search.store.schema import CONTENTS, FILES, SEGMENTS
from wave_search.types import FileKind, Modality, PartitionKey

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from wave_search.store.tables import Tables

_BATCH_ROWS = 65_536
_COLUMNS = ("segment_id", "content_id", "start_s", "stop_s", "modality", "instruction")


@dataclass(frozen=True, slots=True)
class SegmentColumns:
    """All segments, in the order of the table."""

    ids: NDArray[np.int64]
    """(n,) ascending."""
    content_ids: NDArray[np.int64]
    """(n,)."""
    start_s: NDArray[np.float64]
    """(n,), NaN, like `stop_s`, for texts and images."""
    stop_s: NDArray[np.float64]
    codes: NDArray[np.uint16]
    """(n,) positions in `keys`."""
    keys: tuple[PartitionKey, ...]

    @classmethod
    def read(cls, tables: Tables, keys: Sequence[PartitionKey]) -> SegmentColumns:
        """Read the columns.

        Raises:
            IndexCorruptError: a table is damaged.
            IndexStateError: it cannot be read now.
        """
        count = tables.count(SEGMENTS)
        try:
            found = cls(
                ids=np.empty(count, np.int64),
                content_ids=np.empty(count, np.int64),
                start_s=np.empty(count),
                stop_s=np.empty(count),
                codes=np.empty(count, np.uint16),
                keys=tuple(keys),
            )
        except (MemoryError, ValueError) as error:
            raise read_error(tables.place, f"there is not enough memory for {count:,} segments") from error
        begin = 0
        for batch in schema.merged(tables.batches(SEGMENTS, _COLUMNS, None, _BATCH_ROWS), _BATCH_ROWS):
            rows = slice(begin, begin + batch.num_rows)
            found.ids[rows] = schema.ids(batch, "segment_id")
            found.content_ids[rows] = schema.ids(batch, "content_id")
            found.start_s[rows] = schema.floats(batch, "start_s")
            found.stop_s[rows] = schema.floats(batch, "stop_s")
            found.codes[rows] = schema.partition_codes(batch, found.keys)
            begin = rows.stop
        if begin != count or (found.ids[1:] <= found.ids[:-1]).any():
            raise IndexCorruptError(f"{tables.place} holds segments whose ids are taken or out of order", RESTORE)
        return found

    def of(self, key: PartitionKey) -> NDArray[np.bool_]:
        """Return which segments (n,) belong to a partition."""
        if key not in self.keys:
            return np.zeros(len(self.ids), np.bool_)
        belongs: NDArray[np.bool_] = self.codes == self.keys.index(key)
        return belongs

    def counts(self) -> dict[PartitionKey, int]:
        """Return the number of segments of each partition that has any."""
        counted = np.bincount(self.codes, minlength=len(self.keys)).tolist()
        return {key: count for key, count in zip(self.keys, counted, strict=False) if count}

    def positions(self, ids: NDArray[np.int64]) -> NDArray[np.intp]:
        """Return the positions of ids in the table.

        Raises:
            KeyError: there is no such id.
        """
        positions = self.ids.searchsorted(ids)
        missing = self.ids.take(positions, mode="clip") != ids if len(self.ids) else np.ones(len(ids), np.bool_)
        if missing.any():
            raise KeyError(int(ids[missing][0]))
        return positions

    def is_text(self, positions: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Return which of the segments at some positions are texts."""
        texts = [code for code, key in enumerate(self.keys) if key.modality == Modality.TEXT]
        return np.isin(self.codes[positions], texts)


@dataclass(frozen=True, slots=True)
class _Names:
    """Many byte strings in one buffer. Access to one takes a tenth of the time that Arrow takes."""

    ends: NDArray[np.int64]
    """(n + 1,) offsets: each name ends where the next one begins."""
    data: bytes

    @classmethod
    def of(cls, array: Any) -> _Names:
        """Copy an Arrow array of large binaries without nulls."""
        _, ends, data = array.buffers()
        return cls(np.frombuffer(ends, np.int64)[array.offset :][: len(array) + 1], data.to_pybytes() if data else b"")

    def at(self, positions: NDArray[np.integer]) -> list[bytes]:
        """Return the names at some positions."""
        spans = zip(self.ends[positions].tolist(), self.ends[positions + 1].tolist(), strict=True)
        return [self.data[begin:end] for begin, end in spans]


@dataclass(frozen=True, slots=True)
class FilePaths:
    """The paths of all indexed files, ordered by content."""

    content_ids: NDArray[np.int64]
    """(n,) ascending; files of the same content by path."""
    folder_codes: NDArray[np.int32]
    """(n,) positions in `folders`."""
    folders: _Names
    """Distinct."""
    names: _Names
    """n names of files."""

    @classmethod
    def read(cls, tables: Tables) -> FilePaths:
        """Read the columns. Raises like `SegmentColumns.read`."""
        table = tables.read(FILES, ("content_id", "path_bytes"), "content_id IS NOT NULL")
        content_ids = schema.ids(table, "content_id")
        order = np.argsort(content_ids, kind="stable")
        shared = _repeated(content_ids[order])
        if shared.any():
            rows = order[shared]
            order[shared] = rows[schema.sorted_by(table.take(rows), "content_id", "path_bytes")]
        folders, names = schema.split_paths(table.column("path_bytes"))
        folder_codes = np.asarray(folders.indices, np.int32)
        kept_names = _Names.of(folders.dictionary), _Names.of(names.take(_arrow(order)))
        del table, folders, names
        schema.release_unused()
        return cls(content_ids[order], folder_codes[order], *kept_names)

    def of(self, content_ids: Sequence[int] | NDArray[np.int64]) -> list[range]:
        """Return the positions of the files of each content, which ascend with the paths."""
        wanted = np.asarray(content_ids, np.int64)
        begins, ends = (self.content_ids.searchsorted(wanted, side).tolist() for side in ("left", "right"))
        return [range(begin, end) for begin, end in zip(begins, ends, strict=True)]

    def at(self, positions: Sequence[int]) -> list[bytes]:
        """Return the paths at some positions."""
        wanted = np.array(positions, np.intp)
        folders, names = self.folders.at(self.folder_codes[wanted]), self.names.at(wanted)
        return [folder + b"/" + name for folder, name in zip(folders, names, strict=True)]


@dataclass(frozen=True, slots=True)
class ContentColumns:
    """The duration and the kind of each content."""

    content_ids: NDArray[np.int64]
    """(n,) ascending."""
    seconds: NDArray[np.float64]
    """(n,), NaN for texts and images."""
    kind_codes: NDArray[np.uint8]
    """(n,) positions in `kinds`."""
    kinds: tuple[FileKind, ...]

    @classmethod
    def read(cls, tables: Tables) -> ContentColumns:
        """Read the columns. Raises like `SegmentColumns.read`."""
        table = tables.read(CONTENTS, ("content_id", "duration_s", "kind"))
        content_ids = schema.ids(table, "content_id")
        order = np.argsort(content_ids, kind="stable")
        coded = table.column("kind").fill_null("").combine_chunks().dictionary_encode()
        kinds = coded.dictionary.to_pylist()
        if not set(kinds) <= set(get_args(FileKind)):
            raise IndexCorruptError(f"{tables.place} holds contents of an unknown kind", RESTORE)
        codes = np.asarray(coded.indices, np.uint8)
        return cls(content_ids[order], schema.floats(table, "duration_s")[order], codes[order], tuple(kinds))

    def of(self, content_ids: NDArray[np.int64]) -> list[tuple[float | None, FileKind]]:
        """Return the duration and the kind of each of some known contents."""
        places = self.content_ids.searchsorted(content_ids)
        kinds = [self.kinds[code] for code in self.kind_codes[places].tolist()]
        return list(zip(or_none(self.seconds[places]), kinds, strict=True))


def _arrow(positions: NDArray[np.int64]) -> Any:
    """Return positions as an Arrow array. To convert an array of numpy, pyarrow would import numpy.ma."""
    import pyarrow as pa

    return pa.Array.from_buffers(pa.int64(), len(positions), [None, pa.py_buffer(positions)])


def _repeated(ascending: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which values occur more than once."""
    same = ascending[1:] == ascending[:-1]
    repeated: NDArray[np.bool_] = np.append(same, False) | np.append(False, same)
    return repeated


def or_none(values: NDArray[np.float64]) -> list[float | None]:
    """Return numbers as Python objects, None for NaN."""
    return [None if value != value else value for value in values.tolist()]  # noqa: PLR0124 - only NaN differs from itself
