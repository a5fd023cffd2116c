"""All files and contents of a version as mappings over Arrow columns: 130 bytes per file, where objects take 900."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, ValuesView
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from wave_search.errors import IndexCorruptError
from wave_search.store import schema
from wave_search.store.files import DISTRUST
from wave_search.store.rows import FileRow

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wave_search.store.rows import Column, MetadataRow
    from wave_search.types import Value

_BATCH_ROWS = 65_536


class _KeyIndex:
    """An index of the keys in an Arrow array, of 12 bytes per key."""

    def __init__(self, keys: Any) -> None:
        hashes = np.fromiter((hash(key) for key in _plain(keys)), np.int64, len(keys))
        order = np.argsort(hashes, kind="stable")
        self._keys = keys
        self._hashes = hashes[order]
        self._order = order.astype(np.int32)

    def find(self, key: bytes | str) -> int | None:
        """Return the position of a key, None if there is no such key."""
        wanted = hash(key)
        at = int(np.searchsorted(self._hashes, wanted))
        while at < len(self._hashes) and self._hashes[at] == wanted:
            position = int(self._order[at])
            if self._keys[position].as_py() == key:
                return position
            at += 1
        return None


def _plain(array: Any) -> Iterator[Any]:
    for begin in range(0, len(array), _BATCH_ROWS):
        yield from array.slice(begin, _BATCH_ROWS).to_pylist()


class FileTable(Mapping[bytes, FileRow]):
    """The files of a version by path. Rows are created on access; use `values` to read all of them quickly.

    Args:
        table: an Arrow table with `schema.FILE_COLUMNS`.

    Attributes:
        content_ids: (n,) int64, -1 for a file without a content.
    """

    def __init__(self, table: Any) -> None:
        self._table = schema.dense_files(table)
        self._columns = self._table.columns
        self._paths = self._columns[0]
        self._index = _KeyIndex(self._paths)
        self.content_ids: NDArray[np.int64] = np.asarray(self._table.column("content_id").fill_null(-1), np.int64)
        status = self._table.column("status")
        is_indexed = np.array([value == "indexed" for value in status.dictionary.to_pylist()], np.bool_)
        if (is_indexed[np.asarray(status.indices)] != (self.content_ids >= 0)).any():
            raise IndexCorruptError(
                "the index holds files that have both a content and a cause to be skipped", DISTRUST
            )

    def distinct(self) -> int:
        """Return the number of distinct paths, which is lower than that of rows only in a damaged index."""
        return schema.distinct(self._paths)

    def position(self, path: bytes) -> int | None:
        """Return the position of a path in `content_ids`, None if there is no such path."""
        return self._index.find(path)

    def __getitem__(self, path: bytes) -> FileRow:
        position = self._index.find(path)
        if position is None:
            raise KeyError(path)
        return FileRow(*(column[position].as_py() for column in self._columns))

    def __contains__(self, path: object) -> bool:
        return isinstance(path, bytes) and self._index.find(path) is not None

    def __len__(self) -> int:
        return len(self._table)

    def __iter__(self) -> Iterator[bytes]:
        return _plain(self._paths)

    def values(self) -> ValuesView[FileRow]:
        """Return all rows, with one batch in memory at a time."""
        return _Rows(self)

    def batches(self) -> Iterator[list[FileRow]]:
        """Iterate over lists that together hold all rows; at least one."""
        for begin in range(0, max(1, len(self._table)), _BATCH_ROWS):
            yield list(schema.dense_file_rows(self._table.slice(begin, _BATCH_ROWS)))

    def batch(self, positions: NDArray[np.int64] | None = None) -> Any:
        """Return all rows, or those at some positions, as an Arrow record batch of `schema.dense_files`."""
        return self._table if positions is None else self._table.take(positions)

    def at(self, positions: NDArray[np.int64]) -> list[FileRow]:
        """Return the rows at some positions, in that order."""
        return list(schema.dense_file_rows(self._table.take(positions)))

    def by_path(self, chosen: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
        """Return positions (n,), of all rows or of some, in the order of the paths."""
        order = schema.sorted_by(self._table, "path_bytes")
        return order if chosen is None else order[np.isin(order, chosen)]


class _Rows(ValuesView[FileRow]):
    def __init__(self, files: FileTable) -> None:
        super().__init__(files)
        self._files = files

    def __iter__(self) -> Iterator[FileRow]:
        return chain.from_iterable(self._files.batches())


class ContentIds(Mapping[str, int]):
    """Ids of contents by digest.

    Args:
        table: an Arrow table with "digest" and "content_id".

    Attributes:
        ids: (n,) int64.
    """

    def __init__(self, table: Any) -> None:
        self._digests = table.column("digest").combine_chunks()
        self._index = _KeyIndex(self._digests)
        self.ids: NDArray[np.int64] = schema.ids(table, "content_id")

    def distinct(self) -> int:
        """Return the number of distinct digests, which is lower than that of rows only in a damaged index."""
        return schema.distinct(self._digests)

    def position(self, digest: str) -> int | None:
        """Return the position of a digest in `ids`, None if there is no such digest."""
        return self._index.find(digest)

    def digest_at(self, position: int) -> str:
        """Return the digest at a position."""
        return str(self._digests[position])

    def __contains__(self, digest: object) -> bool:
        return isinstance(digest, str) and self._index.find(digest) is not None

    def __getitem__(self, digest: str) -> int:
        position = self._index.find(digest)
        if position is None:
            raise KeyError(digest)
        return int(self.ids[position])

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[str]:
        return _plain(self._digests)


class Metadata:
    """The values of the user-defined columns in one version of an index.

    A row belongs to its path. A path without one has the row of its content, so that a file that was moved, renamed or
    copied keeps its values; a file that is edited in place keeps them too.

    Attributes:
        columns: in the order in which they were added.
        rows: by path, the latest last.
    """

    def __init__(self, columns: tuple[Column, ...], rows: Iterable[MetadataRow]) -> None:
        self.columns = columns
        self.rows: Mapping[bytes, MetadataRow] = {row.path: row for row in rows}
        self._by_digest = {row.digest: row for row in self.rows.values()}

    def of(self, path: bytes, digest: str) -> Mapping[str, Value]:
        """Return the values by column for a file with a content; a column without a value is left out."""
        row = self.rows.get(path) or self._by_digest.get(digest)
        return row.values if row else {}
