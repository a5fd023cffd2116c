"""A cache of vectors in an SQLite file. Deleting it costs only the time to embed again.

Reranking keeps its vectors in a cache beside the index, and an evaluation in a cache of its own. Access needs no index
lock, because SQLite has its own.

The file may come with an index from someone else. It is refused if its schema is not ours to the letter, because a view
or a trigger would run their code, or if it or its journal is a link.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from contextlib import closing, contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from wave_search.errors import CacheError
from wave_search.files import IrregularFileError, digest, open_regular

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from wave_search.models import ModelSpec
    from wave_search.types import Modality, Role

_Mode = Literal["ro", "rw", "rwc"]
NAME = "cache.sqlite3"
"""Name of the file beside an index."""
_JOURNAL, *_FOREIGN = _SUFFIXES = ("-journal", "-wal", "-shm")
"""Suffixes of the files that SQLite keeps beside a database; a cache never has the latter two."""
FILES = (NAME, *(NAME + suffix for suffix in _SUFFIXES))
_TABLES = {
    "digests": """CREATE TABLE digests (
    path BLOB PRIMARY KEY, size_bytes INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, digest TEXT NOT NULL
) WITHOUT ROWID""",
    "vectors": """CREATE TABLE vectors (
    space TEXT, item TEXT, vector BLOB, checksum TEXT, PRIMARY KEY (space, item)
) WITHOUT ROWID""",
}
_MAX_VALUE_BYTES = 16 << 20
"""Far above the size of a vector."""
_MAX_PAGE_STEPS = 100_000
_MAX_TRANSACTION_S = 120.0
"""More than SQLite needs to check a gigabyte of vectors; a damaged file may have it run in circles."""
_SUPER_JOURNAL = bytes.fromhex("d9d505f920a163d7")
"""How a journal ends that names another file (https://www.sqlite.org/fileformat2.html#the_rollback_journal). SQLite
deletes that file after it has rolled back. It is there only for transactions on several databases, unlike ours."""


class CacheKey(NamedTuple):
    """Everything that a vector depends on."""

    space: str
    """From `vector_space`: everything but the content."""
    item: str
    """The content, for example the digest of a file and a range."""


def vector_space(spec: ModelSpec, dtype: str, modality: Modality, prompt: str | None, role: Role = "document") -> str:
    """Return a name for everything that a vector depends on besides the content.

    Args:
        spec: identity of the model: its revision, sampling and so on.
        dtype: requested precision of the computation.
        modality: what the content is embedded as.
        prompt: replaces the model's own; None for that.
        role: of the content, for a model that has roles.
    """
    own = spec.prompts.get(modality, "") if prompt is None else prompt
    parts = [spec.revision, spec.quantization, dtype, spec.dim, asdict(spec.sampling), dict(spec.options)]
    as_query = ["query"] if role == "query" else []
    return digest(json.dumps([*parts, modality.value, own, *as_query], sort_keys=True).encode())


class EmbeddingCache:
    """A file of vectors. Safe to use from several threads and processes; vectors survive a crash once `put` returns.

    A row whose checksum does not match counts as missing: SQLite would not notice a flipped bit. All methods raise
    CacheError if the file is damaged, of another format, or locked for too long.

    Args:
        path: the file, which may be missing.
        dtype: of the stored vectors.
        wait_s: seconds to wait for another process that writes.
    """

    def __init__(self, path: Path, dtype: type[np.floating] = np.float32, wait_s: float = 60.0) -> None:
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
            _create_tables(database)

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
            _create_tables(database)
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
        except OSError as error:
            raise cannot_keep(self._path, error.strerror or str(error)) from error
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
        return path.lstat().st_size
    except FileNotFoundError:
        return 0


def damage(path: Path) -> str | None:
    """Describe what is wrong with a cache; None if there is none or it is intact."""
    if not os.path.lexists(path):
        return None
    try:
        with closing(_connect(path, "ro", 1.0)) as database:
            result = str(database.execute("PRAGMA quick_check(1)").fetchone()[0])
    except (sqlite3.Error, OSError) as error:
        return str(error.strerror or error) if isinstance(error, OSError) else str(error)
    return None if result == "ok" else result


def _connect(path: Path, mode: _Mode, wait_s: float) -> sqlite3.Connection:
    """Connect to a file with no schema but ours.

    Raises:
        OSError: the file or its journal is not a regular file of our own.
        sqlite3.Error: it cannot be opened, or has another schema.
    """
    _check_files(path)
    database = sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", timeout=wait_s, uri=True)
    try:
        database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MAX_VALUE_BYTES)
        stop_s = time.monotonic() + wait_s + _MAX_TRANSACTION_S
        database.set_progress_handler(lambda: time.monotonic() > stop_s, _MAX_PAGE_STEPS)
        database.execute("PRAGMA trusted_schema = OFF")
        database.execute("PRAGMA cell_size_check = ON")
        schema = database.execute("SELECT name, sql FROM sqlite_schema LIMIT ?", (len(_TABLES) + 1,))
        if strange := [name for name, sql in schema if _TABLES.get(name) != sql]:
            raise sqlite3.DatabaseError(f"it is not a cache of embeddings: it has {strange[0]!r}")
    except BaseException:
        database.close()
        raise
    return database


def _check_files(path: Path) -> None:
    for suffix in ("", *_SUFFIXES):
        name = path.with_name(path.name + suffix)
        try:
            file = open_regular(name)
        except (FileNotFoundError, NotADirectoryError):
            continue  # there is none, or SQLite creates it
        with file:
            status = os.fstat(file.fileno())
            if status.st_nlink > 1 and (suffix or not status.st_size):  # it would be written without being read
                raise IrregularFileError(name, f"{name.name} is a hard link, which has another name elsewhere")
            if suffix in _FOREIGN:
                raise IrregularFileError(name, f"{name.name} was made by another program")
            if suffix == _JOURNAL and status.st_size >= len(_SUPER_JOURNAL):
                file.seek(-len(_SUPER_JOURNAL), os.SEEK_END)
                if file.read() == _SUPER_JOURNAL:
                    raise IrregularFileError(name, f"{name.name} names another file")


def _create_tables(database: sqlite3.Connection) -> None:
    there = {name for (name,) in database.execute("SELECT name FROM sqlite_schema")}
    if not there >= _TABLES.keys():  # another process may create them at the same time
        for sql in _TABLES.values():
            database.execute(sql.replace("CREATE TABLE", "CREATE TABLE IF NOT EXISTS"))
