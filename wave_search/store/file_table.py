"""All files and contents of a version as mappings over Arrow columns: some 130 bytes a file, where objects take 900."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, ValuesView
from typing import TYPE_CHECKING, Any

import numpy as np

from wave_search.store import schema
from wave_search.store.rows import FileRow

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BATCH_ROWS = 65_536


class _Places:
    """Finds keys in an Arrow array, with 12 bytes a key."""

    def __init__(self, keys: Any) -> None:
        hashes = np.fromiter((hash(key) for key in _plain(keys)), np.int64, len(keys))
        order = np.argsort(hashes, kind="stable")
        self._keys = keys
        self._hashes = hashes[order]
        self._order = order.astype(np.int32)

    def find(self, key: bytes | str) -> int | None:
        """The position of a key, None if it is not there."""
        wanted = hash(key)
        at = int(np.searchsorted(self._hashes, wanted))
        while at < len(self._hashes) and self._hashes[at] == wanted:
            place = int(self._order[at])
            if self._keys[place].as_py() == key:
                return place
            at += 1
        return None


def _plain(array: Any) -> Iterator[Any]:
    for begin in range(0, len(array), _BATCH_ROWS):
        yield from array.slice(begin, _BATCH_ROWS).to_pylist()


class FileTable(Mapping[bytes, FileRow]):
    """The files of a version by path. Rows are made when they are asked for; the quickest way to all is `values`.

    Args:
        table: with `arrow.FILE_COLUMNS`.

    Attributes:
        content_ids: (n,) int64, -1 for a file without a content.
    """

    def __init__(self, table: Any) -> None:
        self._table = schema.dense_files(table)
        self._columns = self._table.columns
        self._paths = self._columns[0]
        self._places = _Places(self._paths)
        self.content_ids: NDArray[np.int64] = np.asarray(self._table.column("content_id").fill_null(-1), np.int64)

    def distinct(self) -> int:
        """How many different paths there are; fewer than rows only in an index that is damaged."""
        return schema.distinct(self._paths)

    def place(self, path: bytes) -> int | None:
        """The position of a path in `content_ids`."""
        return self._places.find(path)

    def __getitem__(self, path: bytes) -> FileRow:
        place = self._places.find(path)
        if place is None:
            raise KeyError(path)
        return FileRow(*(column[place].as_py() for column in self._columns))

    def __contains__(self, path: object) -> bool:
        return isinstance(path, bytes) and self._places.find(path) is not None

    def __len__(self) -> int:
        return len(self._table)

    def __iter__(self) -> Iterator[bytes]:
        return _plain(self._paths)

    def values(self) -> ValuesView[FileRow]:
        """All rows, a batch of which is there at a time."""
        return _Rows(self)

    def rows(self) -> Iterator[FileRow]:
        """The same, once."""
        for begin in range(0, len(self._table), _BATCH_ROWS):
            yield from schema.dense_file_rows(self._table.slice(begin, _BATCH_ROWS))


class _Rows(ValuesView[FileRow]):
    def __init__(self, files: FileTable) -> None:
        super().__init__(files)
        self._files = files

    def __iter__(self) -> Iterator[FileRow]:
        return self._files.rows()


class ContentIds(Mapping[str, int]):
    """Ids of contents by digest.

    Args:
        table: with "digest" and "content_id".

    Attributes:
        ids: (n,) int64.
    """

    def __init__(self, table: Any) -> None:
        self._digests = table.column("digest").combine_chunks()
        self._places = _Places(self._digests)
        self.ids: NDArray[np.int64] = schema.ids(table, "content_id")

    def distinct(self) -> int:
        """How many different digests there are; fewer than rows only in an index that is damaged."""
        return schema.distinct(self._digests)

    def place(self, digest: str) -> int | None:
        """The position of a digest in `ids`."""
        return self._places.find(digest)

    def digest_at(self, place: int) -> str:
        """The digest at a position."""
        return str(self._digests[place])

    def __contains__(self, digest: object) -> bool:
        return isinstance(digest, str) and self._places.find(digest) is not None

    def __getitem__(self, digest: str) -> int:
        place = self._places.find(digest)
        if place is None:
            raise KeyError(digest)
        return int(self.ids[place])

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[str]:
        return _plain(self._digests)
