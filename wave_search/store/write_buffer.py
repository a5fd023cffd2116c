"""Rows that wait to be written to the tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wave_search.store import schema
from wave_search.store.schema import CONTENTS, FILES, METADATA, SEGMENTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from wave_search.store.overlay import Overlay
    from wave_search.store.rows import ContentRow, FileRow, MetadataRow, NewSegment
    from wave_search.store.tables import Tables

_SPILL_SEGMENTS = 8_192
"""Maximum number of segments kept in memory: about 120 MB of vectors of 3584 dimensions."""


class WriteBuffer:
    """The rows that the next commit adds to the tables. Rows written before that are invisible to readers.

    Args:
        opened: the tables, open for writing.
        dim: of the vectors.
    """

    def __init__(self, opened: Tables, dim: int) -> None:
        self._tables = opened
        self._schemas = schema.schemas(dim)
        self._contents: dict[int, ContentRow] = {}
        self._segments: list[tuple[int, int, NewSegment]] = []
        self._metadata: tuple[MetadataRow, ...] | None = None

    @property
    def replaces_metadata(self) -> bool:
        """Whether the next commit replaces the metadata."""
        return self._metadata is not None

    @property
    def is_full(self) -> bool:
        """Whether the buffered segments should be spilled."""
        return len(self._segments) >= _SPILL_SEGMENTS

    def add_content(self, content_id: int, row: ContentRow) -> None:
        """Add a content."""
        self._contents[content_id] = row

    def add_segments(self, first_id: int, content_id: int, segments: Sequence[NewSegment]) -> None:
        """Add segments to a content, with ids starting at `first_id`."""
        self._segments += [(first_id + i, content_id, segment) for i, segment in enumerate(segments)]

    def set_metadata(self, rows: Iterable[MetadataRow]) -> None:
        """Replace all metadata."""
        self._metadata = tuple(rows)

    def spill(self) -> None:
        """Write the buffered segments."""
        if self._segments:
            vectors = np.stack([segment.vector for _, _, segment in self._segments]).astype(np.float16)
            self._tables.append(SEGMENTS, schema.segment_table(self._segments, vectors, self._schemas[SEGMENTS]))
            self._segments = []

    def write(self, files: Overlay[bytes, FileRow], dead: set[int]) -> None:
        """Write all buffered rows, and drop the contents whose ids are in `dead`."""
        self.spill()
        self._write_contents(dead)
        self._write_files(files)
        self._write_metadata()

    def _write_contents(self, dead: set[int]) -> None:
        if dead:
            self._tables.delete(SEGMENTS, "content_id", sorted(dead))
            self._tables.delete(CONTENTS, "content_id", sorted(dead))
        added = [(content_id, row) for content_id, row in self._contents.items() if content_id not in dead]
        if added:
            self._tables.append(CONTENTS, schema.content_table(added, self._schemas[CONTENTS]))

    def _write_files(self, files: Overlay[bytes, FileRow]) -> None:
        changed = sorted(files.pending.items())
        if replaced := [path for path, _ in changed if files.is_stored(path)]:
            self._tables.delete(FILES, "path_bytes", replaced)
        if rows := [row for _, row in changed if row is not None]:
            self._tables.append(FILES, schema.file_table(rows, self._schemas[FILES]))

    def _write_metadata(self) -> None:
        if self._metadata is not None:
            self._tables.clear(METADATA)
            if self._metadata:
                self._tables.append(METADATA, schema.metadata_table(self._metadata, self._schemas[METADATA]))
