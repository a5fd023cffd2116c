"""A cache of vectors in an SQLite file. Deleting it costs only the time to embed again.

Reranking keeps its vectors in a cache beside the index, and an evaluation in a cache of its own. Access needs no index
lock, because SQLite has its own.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing, contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from wave_search.errors import CacheError
from wave_search.files import digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from numpy.typing import DTypeLike, NDArray

    from wave_search.models import ModelSpec
    from wave_search.types import Modality

_Mode = Literal["ro", "rw", "rwc"]
NAME = "cache.sqlite3"
"""Name of the file beside an index."""
_TABLES = """
CREATE TABLE IF NOT EXISTS vectors (
    space TEXT, item TEXT, vector BLOB, checksum TEXT, PRIMARY KEY (space, item)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS digests (
    path BLOB PRIMARY KEY, size_bytes INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, digest TEXT NOT NULL
) WITHOUT ROWID;
"""


class CacheKey(NamedTuple):
    """Everything that a vector depends on."""

    space: str
    """From `vector_space`: everything but the content."""
    item: str
    """The content, for example the digest of a file and a range."""


def vector_space(spec: ModelSpec, dtype: str, modality: Modality, prompt: str | None) -> str:
    """Return a name for everything that a vector depends on besides the content.

    Args:
        spec: identity of the model: its revision, sampling and so on.
        dtype: requested precision of the computation.
        modality: what the content is embedded as.
        prompt: replaces the model's own; None for that.
    """
    own = spec.prompts.get(modality, "") if prompt is None else prompt
    parts = [spec.revision, spec.quantization, dtype, spec.dim, asdict(spec.sampling), dict(spec.options)]
    return digest(json.dumps([*parts, modality.value, own], sort_keys=True).encode())


class EmbeddingCache:
    """A file of vectors. Safe to use from several threads and processes; vectors survive a crash once `put` returns.

    A row whose checksum does not match counts as missing: SQLite would not notice a flipped bit. All methods raise
    CacheError if the file is damaged, of another format, or locked for too long.

    Args:
        path: the file, which may be missing.
        dtype: of the stored vectors.
        wait_s: seconds to wait for another process that writes.
    """

    def __init__(self, path: Path, dtype: DTypeLike = np.float32, wait_s: float = 60.0) -> None:
        self._path = path
        self._dtype = np.dtype(dtype)
        self._wait_s = wait_s

    def create(self) -> None:
        """Create the file and its directory if missing, so that a run that cannot store vectors fails early."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_keep(self._path, error.strerror or str(error)) from error
        with self._connected("rwc") as database:
            database.executescript(_TABLES)

    def get(self, keys: Iterable[CacheKey]) -> dict[CacheKey, NDArray[np.floating]]:
        """Return those vectors (dim,) that the cache has."""
        found: dict[CacheKey, NDArray[np.floating]] = {}
        with self._connected("ro") as database:
            for key in keys:
                query = "SELECT vector, checksum FROM vectors WHERE space = ? AND item = ?"
                row = database.execute(query, key).fetchone()
                if row is not None and row[1] == self._checksum(key, row[0]):
                    found[key] = np.frombuffer(row[0], self._dtype)
        return found

    def put(self, vectors: Iterable[tuple[CacheKey, NDArray[np.floating]]]) -> None:
        """Store vectors (dim,), all or none."""
        blobs = [(key, vector.astype(self._dtype).tobytes()) for key, vector in vectors]
        rows = [(*key, blob, self._checksum(key, blob)) for key, blob in blobs]
        with self._connected("rwc") as database:
            database.executescript(_TABLES)
            database.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?, ?)", rows)

    def file_digest(self, path: bytes, size_bytes: int, mtime_ns: int) -> str | None:
        """Return the digest of a file that has not changed since it was noted, or None."""
        with self._connected("ro") as database:
            query = "SELECT digest FROM digests WHERE path = ? AND size_bytes = ? AND mtime_ns = ?"
            row = database.execute(query, (path, size_bytes, mtime_ns)).fetchone()
        return None if row is None else str(row[0])

    def note_file_digest(self, path: bytes, size_bytes: int, mtime_ns: int, digest: str) -> None:
        """Note the digest of a file."""
        with self._connected("rwc") as database:
            values = (path, size_bytes, mtime_ns, digest)
            database.execute("INSERT OR REPLACE INTO digests VALUES (?, ?, ?, ?)", values)

    def _checksum(self, key: CacheKey, blob: bytes) -> str:
        return digest(f"{key.space}\0{key.item}\0{self._dtype.name}\0".encode() + blob)

    @contextmanager
    def _connected(self, mode: _Mode) -> Iterator[sqlite3.Connection]:
        """Connect for one transaction, so that the file may be deleted at any time."""
        try:
            with closing(_connect(self._path, mode, self._wait_s)) as database, database:
                yield database
        except (sqlite3.Error, TypeError, ValueError) as error:  # the last two: a column has another type
            raise cannot_keep(self._path, str(error)) from error


def cannot_keep(path: Path, cause: str) -> CacheError:
    """Return the error for embeddings, or media of an evaluation, that cannot be stored at `path`."""
    return CacheError(
        f"{path}: embeddings and media cannot be kept there ({cause})",
        "Free some space, remove the file, or choose another folder with --cache DIR.",
    )


def size_bytes(path: Path) -> int:
    """Return the size of a cache in bytes, 0 if there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def damage(path: Path) -> str | None:
    """Describe what is wrong with a cache; None if there is none or it is intact."""
    if not path.exists():
        return None
    try:
        with closing(_connect(path, "ro", 1.0)) as database:
            result = str(database.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.Error as error:
        return str(error)
    return None if result == "ok" else result


def _connect(path: Path, mode: _Mode, wait_s: float) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", timeout=wait_s, uri=True)
