"""Vectors that queries made, kept for the next one. No part of the truth, and no loss if it is gone.

It needs no lock of the index: SQLite has its own. What cannot be read or written is as if it were not there.
"""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from wave_search.store.rows import SegmentRow

NAME = "cache.sqlite3"
_TABLE = """CREATE TABLE IF NOT EXISTS vectors (
    segment_id INTEGER, instruction TEXT, vector BLOB, checksum BLOB, PRIMARY KEY (segment_id, instruction)
) WITHOUT ROWID"""
_WAIT_S = 1.0
"""For another process that writes. A query had better go on without."""


@dataclass(frozen=True, slots=True)
class Origin:
    """What a cached vector was made from."""

    segment: SegmentRow
    digest: str
    """Of the segment's content."""

    def checksum(self, instruction: str, vector: bytes) -> bytes:
        """Of a vector and all that it depends on.

        SQLite would not notice a flipped bit. And ids come back, for other segments, where somebody goes back to an
        earlier manifest.
        """
        row = self.segment
        made_of = f"{self.digest}\0{row.modality.value}\0{row.start_s}\0{row.stop_s}\0{instruction}\0"
        return hashlib.blake2b(made_of.encode() + vector, digest_size=16).digest()


class VectorCache:
    """Segments of an index that were embedded again, with instructions.

    Args:
        directory: the index. All that it holds is of one model, so vectors are too.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / NAME

    def get(self, origins: Iterable[Origin], instruction: str) -> dict[int, NDArray[np.float16]]:
        """The vectors (dim,) that there are, by segment id."""
        found: dict[int, NDArray[np.float16]] = {}
        with suppress(sqlite3.Error), closing(_connect(self._path, "ro")) as database:
            for origin in origins:
                key = (origin.segment.segment_id, instruction)
                row = database.execute(
                    "SELECT vector, checksum FROM vectors WHERE segment_id = ? AND instruction = ?", key
                ).fetchone()
                if row is not None and origin.checksum(instruction, row[0]) == row[1]:
                    found[key[0]] = np.frombuffer(row[0], np.float16)
        return found

    def put(self, vectors: Iterable[tuple[Origin, NDArray[np.float16]]], instruction: str) -> None:
        """Keep vectors (dim,), if that is possible."""
        rows = []
        for origin, vector in vectors:
            data = vector.tobytes()
            rows.append((origin.segment.segment_id, instruction, data, origin.checksum(instruction, data)))
        with suppress(sqlite3.Error), closing(_connect(self._path, "rwc")) as database, database:
            database.execute(_TABLE)
            database.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?, ?)", rows)


def size_bytes(directory: Path) -> int:
    """Bytes of the cache of an index, 0 if there is none."""
    path = directory / NAME
    return path.stat().st_size if path.exists() else 0


def damage(directory: Path) -> str | None:
    """What is wrong with the cache of an index, None if there is none or it can be used."""
    if not (directory / NAME).exists():
        return None
    try:
        with closing(_connect(directory / NAME, "ro")) as database:
            result = str(database.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.Error as error:
        return str(error)
    return None if result == "ok" else result


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.as_uri()}?mode={mode}", timeout=_WAIT_S, uri=True)
