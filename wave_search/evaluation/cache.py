"""Embeddings on disk, so that a run that was interrupted goes on where it was, and the next one starts there."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from contextlib import contextmanager
from dataclasses import asdict
from threading import Lock
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from wave_search.errors import CacheError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from wave_search.models import ModelSpec
    from wave_search.types import Modality

FILE = "embeddings.sqlite3"
_TABLES = """
CREATE TABLE IF NOT EXISTS vectors (
    space TEXT, item TEXT, vector BLOB NOT NULL, PRIMARY KEY (space, item)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS digests (
    path BLOB PRIMARY KEY, size_bytes INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, digest TEXT NOT NULL
) WITHOUT ROWID;
"""


def space_of(spec: ModelSpec, dtype: str, modality: Modality, prompt: str | None) -> str:
    """Name all that a vector depends on besides the content: model, revision, precision, sampling, prompt."""
    asked = spec.prompts.get(modality, "") if prompt is None else prompt
    loaded = [spec.revision, spec.quantization, dtype, spec.dim, asdict(spec.sampling), dict(spec.options)]
    parts = [*loaded, modality.value, asked]
    return hashlib.blake2b(json.dumps(parts, sort_keys=True).encode(), digest_size=16).hexdigest()


class EmbeddingCache:
    """A file of vectors. What `put` returned from outlives a crash. Thread-safe; a context manager.

    Args:
        folder: where the file is; made if need be.

    Raises:
        CacheError: it cannot be opened, here and in the methods.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._lock = Lock()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_keep(self._path, error.strerror or str(error)) from error
        with self._faults():
            self._connection = sqlite3.connect(self._path, check_same_thread=False, timeout=60)
            # Without a log beside it, the file would be locked against a second run while this one writes.
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.executescript(_TABLES)

    def get(self, key: str, item: str) -> NDArray[np.float32] | None:
        """Give a vector (dim,), or None."""
        found = self._one("SELECT vector FROM vectors WHERE space = ? AND item = ?", (key, item))
        return None if found is None else np.frombuffer(found, np.float32)

    def put(self, key: str, vectors: Iterable[tuple[str, NDArray[np.float32]]]) -> None:
        """Keep vectors, all of them or none."""
        rows = [(key, item, vector.astype(np.float32).tobytes()) for item, vector in vectors]
        with self._lock, self._faults(), self._connection:
            self._connection.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", rows)

    def digest(self, path: bytes, size_bytes: int, mtime_ns: int) -> str | None:
        """Give the digest of a file that has not changed since it was noted, or None."""
        found = self._one(
            "SELECT digest FROM digests WHERE path = ? AND size_bytes = ? AND mtime_ns = ?",
            (path, size_bytes, mtime_ns),
        )
        return None if found is None else str(found)

    def note_digest(self, path: bytes, size_bytes: int, mtime_ns: int, digest: str) -> None:
        """Note the digest of a file."""
        with self._lock, self._faults(), self._connection:
            self._connection.execute(
                "INSERT OR REPLACE INTO digests VALUES (?, ?, ?, ?)", (path, size_bytes, mtime_ns, digest)
            )

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _one(self, query: str, values: tuple[str | bytes | int, ...]) -> Any:
        with self._lock, self._faults():
            row = self._connection.execute(query, values).fetchone()
        return None if row is None else row[0]

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise cannot_keep(self._path, str(error)) from error


def cannot_keep(path: Path, cause: str) -> CacheError:
    """Say that what an evaluation wants to keep cannot be kept at `path`, and why."""
    return CacheError(
        f"{path}: embeddings and media cannot be kept there ({cause})",
        "Free some space, remove the file, or choose another folder with --cache DIR.",
    )
