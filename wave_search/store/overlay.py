"""The changes of a writer since it read the index, in two layers: committed and pending."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from wave_search.store.file_table import ContentIds, FileTable
    from wave_search.store.rows import FileRow

K = TypeVar("K")
V = TypeVar("V")


class Overlay(Generic[K, V]):
    """A mapping with changes on top.

    Attributes:
        pending: changes that are not committed yet; None for a key that is dropped.
        committed: changes that were committed since the mapping was read.
    """

    def __init__(self, read: Mapping[K, V]) -> None:
        self._read = read
        self.pending: dict[K, V | None] = {}
        self.committed: dict[K, V | None] = {}

    def get(self, key: K) -> V | None:
        """Return the current value, None if there is none."""
        for layer in (self.pending, self.committed):
            if key in layer:
                return layer[key]
        return self._read.get(key)

    def put(self, key: K, value: V | None) -> None:
        """Set a value; None drops the key."""
        self.pending[key] = value

    def is_stored(self, key: K) -> bool:
        """Return whether a key is in the committed tables."""
        return self.committed[key] is not None if key in self.committed else key in self._read

    def mark_committed(self) -> None:
        """Mark the pending changes as committed."""
        self.committed.update(self.pending)
        self.pending = {}

    def all(self) -> dict[K, V | None]:
        """Return both layers merged."""
        return {**self.committed, **self.pending}


def dead_contents(
    files: Overlay[bytes, FileRow], contents: Overlay[str, int], known_files: FileTable, known_contents: ContentIds
) -> dict[str, int]:
    """Return digests and ids of the contents that no file refers to.

    Args:
        files: changes on top of `known_files`.
        contents: changes on top of `known_contents`.
        known_files: as they were read.
        known_contents: as they were read.
    """
    rows = files.all()
    live = np.array([row.content_id for row in rows.values() if row and row.content_id is not None], np.int64)
    live = np.concatenate([live, known_files.content_ids[_unchanged(known_files, rows)]])
    changed = contents.all()
    old = np.flatnonzero(_unchanged(known_contents, changed) & ~np.isin(known_contents.ids, live))
    dead = {known_contents.digest_at(position): int(known_contents.ids[position]) for position in old.tolist()}
    living = set(live.tolist()) if changed else set()
    new = {digest: number for digest, number in changed.items() if number is not None and number not in living}
    return {**dead, **new}


def _unchanged(
    known: FileTable | ContentIds, changed: Mapping[bytes, object] | Mapping[str, object]
) -> NDArray[np.bool_]:
    unchanged = np.ones(len(known), np.bool_)
    positions = (known.position(key) for key in changed)  # type: ignore[arg-type]
    unchanged[[position for position in positions if position is not None]] = False
    return unchanged
