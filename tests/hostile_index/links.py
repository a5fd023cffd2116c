"""Links, files of somebody else, and what is no file, in the folders of an index."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from tests.hostile_index.edits import added_link, found

if TYPE_CHECKING:
    from pathlib import Path

    from tests.hostile_index.edits import Builder


def _link(name: str, target: str = "") -> Builder:
    """Replace a file or folder of the index by a symbolic link to something in the home folder."""

    def build(index: Path, home: Path) -> None:
        path = found(index, name)
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(home / target)

    return build


def _moved(name: str) -> Builder:
    """Move a file or folder of the index to another disk, with a link in its place."""

    def build(index: Path, home: Path) -> None:
        path = found(index, name)
        elsewhere = home.parent / f"moved-{path.name}"
        path.rename(elsewhere)
        path.symlink_to(elsewhere)

    return build


def _hard_link(name: str, target: str) -> Builder:
    def build(index: Path, home: Path) -> None:
        (index / name).unlink(missing_ok=True)
        (index / name).hardlink_to(home / target)

    return build


def _fifo(name: str) -> Builder:
    def build(index: Path, _home: Path) -> None:
        path = found(index, name)
        path.unlink(missing_ok=True)
        os.mkfifo(path)

    return build


LINKS: dict[str, Builder] = {
    "shards is a link to a home folder": _link("shards"),
    "a partition's shards are a link": _link("shards/audio", "audio"),
    "a shard is a link": _link("shards/audio/0*", "audio/holiday"),
    "an unused shard is a link": added_link("shards/audio/000000000000-000000000001-00000000"),
    "a temporary shard is a link": added_link("shards/audio/.00000000.tmp", "audio"),
    "a file of a shard is a link": _link("shards/audio/0*/ids.npy", "notes.txt"),
    "lance is a link to a home folder": _link("lance"),
    "lance was moved": _moved("lance"),
    "a table was moved": _moved("lance/segments.lance"),
    "the data of a table were moved": _moved("lance/segments.lance/data"),
    "the data of a table are a link": _link("lance/files.lance/data", "data"),
    "the versions of a table are a link": _link("lance/files.lance/_versions", "_versions"),
    "a data file is a link": _link("lance/files.lance/data/*.lance", "data/thesis.lance"),
    "a folder of a table is added as a link": added_link("lance/files.lance/_indices"),
    "manifest is a link to a home folder": _link("manifest"),
    "manifest was moved": _moved("manifest"),
    "the newest manifest is a link": _link("manifest/*.json", "000000000001.json"),
    "an unpublished manifest is a link": added_link("manifest/.000000000099.json.1.00000000.tmp", "notes.txt"),
    "checksums is a link to a home folder": _link("checksums"),
    "checksums was moved": _moved("checksums"),
    "a list of checksums is a link": added_link("checksums/000000000099.json", "notes.txt"),
    "lock is a link": _link("lock", ".bashrc"),
    "lock is a dangling link": _link("lock", "new-file"),
    "lock is a hard link": _hard_link("lock", ".bashrc"),
    "the cache is a link": _link("cache.sqlite3", "other.db"),
    "the cache is a dangling link": _link("cache.sqlite3", "new.db"),
    "the cache is a hard link": _hard_link("cache.sqlite3", "letters.db"),
}
"""Indexes with links, by which a careless write or delete would leave the index."""

FOREIGN: dict[str, Builder] = {
    "files of a user in shards": lambda index, home: (
        shutil.copytree(home, index / "shards" / "audio" / "home") and None
    ),
    "files of a user in lance": lambda index, home: shutil.copytree(home, index / "lance" / "home") and None,
    "files of a user in a table": lambda index, home: (
        shutil.copytree(home, index / "lance" / "files.lance" / "home") and None
    ),
    "files of a user in checksums": lambda index, home: shutil.copytree(home, index / "checksums" / "home") and None,
    "files of a user in manifest": lambda index, home: shutil.copytree(home, index / "manifest" / "home") and None,
}
"""Indexes with folders that no index has made: they must stay."""

SPECIAL_FILES: dict[str, Builder] = {
    f"a FIFO in place of {name}": _fifo(name)
    for name in (
        "manifest/*.json",
        "checksums/*.json",
        "lance/files.lance/data/*.lance",
        "lance/segments.lance/_versions/*.manifest",
        "shards/audio/0*/ids.npy",
        "shards/audio/0*/codes.faiss",
        "shards/audio/0*/vectors.f16",
        "shards/audio/0*/meta.json",
        "shards/audio/codebook-*/rotation.npy",
        "lock",
        "cache.sqlite3",
    )
}
"""Indexes with something that no read of comes back from."""
