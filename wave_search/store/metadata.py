"""The user's own columns: what they say of each file."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from wave_search.store.rows import Column, MetadataRow
    from wave_search.types import Value


class Metadata:
    """What the user's own columns say in one version of an index.

    A row belongs to its path. A path that has none takes the row of its content, so that a file that was moved, renamed
    or copied keeps what was said of it; a file that is edited in place keeps it too.

    Attributes:
        columns: in the order in which they were added.
        rows: by path, the latest last.
    """

    def __init__(self, columns: tuple[Column, ...], rows: Iterable[MetadataRow]) -> None:
        self.columns = columns
        self.rows: Mapping[bytes, MetadataRow] = {row.path: row for row in rows}
        self._by_digest = {row.digest: row for row in self.rows.values()}

    def of(self, path: bytes, digest: str) -> Mapping[str, Value]:
        """Values by column for a file with a content; nothing for what is not said."""
        row = self.rows.get(path) or self._by_digest.get(digest)
        return row.values if row else {}
