"""SQLite files of somebody else's making in the place of the cache."""

from __future__ import annotations

import os
import sqlite3
import struct
from contextlib import closing
from typing import TYPE_CHECKING

from tests.hostile_index.edits import added_link

if TYPE_CHECKING:
    from pathlib import Path

    from tests.hostile_index.edits import Builder


def _cache(*statements: str) -> Builder:
    """Put an SQLite file of one's own making in the place of the cache."""

    def build(index: Path, _home: Path) -> None:
        (index / "cache.sqlite3").unlink(missing_ok=True)
        with closing(sqlite3.connect(index / "cache.sqlite3")) as database, database:
            for statement in statements:
                database.execute(statement)

    return build


_ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"
_TABLES = (
    "CREATE TABLE vectors (space TEXT, item TEXT, vector BLOB, checksum TEXT, PRIMARY KEY (space, item)) WITHOUT ROWID",
    "CREATE TABLE digests (path BLOB PRIMARY KEY, size_bytes INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, "
    "digest TEXT NOT NULL) WITHOUT ROWID",
)


def _hot_journal(index: Path, home: Path) -> None:
    """A journal whose end names another journal: SQLite deletes that file once it has rolled back."""
    cache = index / "cache.sqlite3"
    _cache(*_TABLES)(index, home)
    pages, page_bytes = cache.stat().st_size // 4096, 4096
    magic = bytes.fromhex("d9d505f920a163d7")
    header = struct.pack(">8sIIIII", magic, 0, 0, pages, 512, page_bytes)
    name = os.fsencode(home / ".bashrc")
    checksum = sum(byte - 256 if byte > 127 else byte for byte in name) & 0xFFFFFFFF
    lock_page = (1 << 30) // page_bytes + 1
    ending = struct.pack(">I", lock_page) + name + struct.pack(">II8s", len(name), checksum, magic)
    (index / "cache.sqlite3-journal").write_bytes(header.ljust(512, b"\0") + ending)


def _sparse(index: Path, home: Path) -> None:
    _cache(*_TABLES)(index, home)
    os.truncate(index / "cache.sqlite3", 1 << 40)


CACHES: dict[str, Builder] = {
    "a cache with a terabyte of holes": _sparse,
    "a cache with a view that never ends": _cache(
        f"CREATE VIEW vectors AS SELECT i AS space, i AS item, i AS vector, i AS checksum FROM ({_ENDLESS})",  # noqa: S608
        _TABLES[1],
    ),
    "a cache with a trigger that never ends": _cache(
        *_TABLES,
        f"CREATE TRIGGER t BEFORE INSERT ON vectors BEGIN SELECT count(*) FROM ({_ENDLESS}); END",  # noqa: S608
    ),
    "a cache with a table of another kind": _cache("CREATE TABLE vectors (something)", _TABLES[1]),
    "a cache with a journal that names another file": _hot_journal,
    "a cache with a journal that is a link": added_link("cache.sqlite3-journal", ".bashrc"),
}
