"""Index folders as a stranger may send them: each builder changes a copy of an intact index, which has a shard.

A builder gets the index and a decoy of a user's home folder beside it, which no command may change.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import struct
import zlib
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wave_search.ann.rebuild import refresh_shards
from wave_search.files import digest
from wave_search.models import ModelSpec
from wave_search.models.wave.clips import SAMPLING
from wave_search.store import ContentRow, FileRow, NewSegment, Settings, Writer, create, manifest
from wave_search.types import Modality, PartitionKey

if TYPE_CHECKING:
    from collections.abc import Callable

    Builder = Callable[[Path, Path], None]

DIM = 16
AUDIO = PartitionKey(Modality.AUDIO)
SEGMENTS = 40


def make_index(directory: Path) -> Path:
    """Create an intact index of vectors, with a shard and several versions."""
    spec = ModelSpec("m", "r", DIM, (Modality.AUDIO,), SAMPLING, {})
    create(directory, spec, Settings("10", (Modality.AUDIO,)))
    vectors = np.random.default_rng(0).normal(size=(SEGMENTS, DIM)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    with Writer(directory) as writer:
        for number, part in enumerate(np.split(vectors, 4)):
            rows = [NewSegment(Modality.AUDIO, 10.0 * n, 10.0 * n + 10, None, vector) for n, vector in enumerate(part)]
            content_id = writer.put_content(ContentRow(f"{number:032x}", "audio", "wav", 100.0), rows)
            writer.put_file(FileRow(f"/media/{number}.wav".encode(), b"/media", 1, 1, 1, content_id))
            writer.commit()
        refresh_shards(writer, AUDIO, 1)
    return directory


def make_home(folder: Path) -> Path:
    """Create a decoy of a home folder: names that clean-up code may take for its own, and others."""
    folder.mkdir()
    (folder / ".bashrc").write_text("export PS1='$ '\n")
    (folder / "other.db").write_bytes(b"")
    with closing(sqlite3.connect(folder / "letters.db")) as database, database:
        database.execute("CREATE TABLE letters (text TEXT)")
        database.execute("INSERT INTO letters VALUES ('dear')")
    for name in ("audio/holiday/1.wav", "data/thesis.lance", "_versions/1.manifest", "000000000001.json", "notes.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"the content of {name}")
    (folder / "empty").mkdir()
    return folder


def state_of(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Return the mode, the modification time in ns, and the content of all that is in a folder."""
    return {
        str(path.relative_to(folder)): (
            path.lstat().st_mode,
            path.lstat().st_mtime_ns,
            path.read_bytes() if path.is_file() and not path.is_symlink() else b"",
        )
        for path in (folder, *sorted(folder.rglob("*")))
    }


def newest_manifest(index: Path) -> Path:
    """Return the file of the newest version."""
    return max((index / "manifest").glob("*.json"))


def edit_manifest(index: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the content of the newest manifest and sign it again, as anyone can."""
    path = newest_manifest(index)
    content = json.loads(path.read_bytes())
    del content["digest"]
    change(content)
    path.write_bytes(manifest.signed(content))


def _with(**entries: Any) -> Builder:
    return lambda index, _home: edit_manifest(index, lambda content: content.update(entries))


def _link(name: str, target: str = "") -> Builder:
    """Replace a file or folder of the index by a symbolic link to something in the home folder."""

    def build(index: Path, home: Path) -> None:
        path = _found(index, name)
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(home / target)

    return build


def _moved(name: str) -> Builder:
    """Move a file or folder of the index to another disk, with a link in its place."""

    def build(index: Path, home: Path) -> None:
        path = _found(index, name)
        elsewhere = home.parent / f"moved-{path.name}"
        path.rename(elsewhere)
        path.symlink_to(elsewhere)

    return build


def _added_link(name: str, target: str = "") -> Builder:
    def build(index: Path, home: Path) -> None:
        (index / name).parent.mkdir(parents=True, exist_ok=True)
        (index / name).symlink_to(home / target)

    return build


def _hard_link(name: str, target: str) -> Builder:
    def build(index: Path, home: Path) -> None:
        (index / name).unlink(missing_ok=True)
        (index / name).hardlink_to(home / target)

    return build


def _fifo(name: str) -> Builder:
    def build(index: Path, _home: Path) -> None:
        path = _found(index, name)
        path.unlink(missing_ok=True)
        os.mkfifo(path)

    return build


def _content(name: str, data: bytes) -> Builder:
    return lambda index, _home: _found(index, name).write_bytes(data) and None


def _found(index: Path, pattern: str) -> Path:
    """Return the last match of a pattern, or the path itself."""
    return max(index.glob(pattern), default=index / pattern)


def _meta(**changes: Any) -> Builder:
    """Change meta.json of the shard, and sign the manifest again."""

    def build(index: Path, _home: Path) -> None:
        path = _found(index, "shards/audio/0*/meta.json")
        content = json.loads(path.read_bytes())
        for name, value in changes.items():
            content[name] = {**content[name], **value} if isinstance(value, dict) else value
        path.write_text(json.dumps(content))
        signature = digest(path.read_bytes())
        edit_manifest(index, lambda state: state["shards"][0].update(digest=signature))

    return build


def _signed(folder: str, name: str, change: Callable[[bytes], bytes]) -> Builder:
    """Change a file of the shard or codebook, and all checksums above it."""

    def build(index: Path, _home: Path) -> None:
        path = _found(index, f"shards/audio/{folder}/{name}")
        path.write_bytes(change(path.read_bytes()))
        meta = path.with_name("meta.json")
        content = json.loads(meta.read_bytes())
        content["checksums"][name] = zlib.crc32(path.read_bytes())
        meta.write_text(json.dumps(content))
        signature = digest(meta.read_bytes())
        kind = "codebooks" if folder.startswith("codebook") else "shards"
        edit_manifest(index, lambda state: state[kind][0].update(digest=signature))

    return build


def _at(offset: int, kind: str, *values: float) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        changed = bytearray(data)
        struct.pack_into(kind, changed, offset, *values)
        return bytes(changed)

    return change


def _checksums(**files: str) -> Builder:
    """Add names to the newest list of checksums, and sign the manifest again."""

    def build(index: Path, _home: Path) -> None:
        path = max((index / "checksums").glob("*.json"))
        content = json.loads(path.read_bytes())
        content["files"].update({name.replace("__", "/"): value for name, value in files.items()})
        path.write_text(json.dumps(content))
        signature = digest(path.read_bytes())
        edit_manifest(index, lambda state: state["table_checksums"].update(digest=signature))

    return build


def _shard(**entries: Any) -> Builder:
    return lambda index, _home: edit_manifest(index, lambda state: state["shards"][0].update(entries))


def _model(**entries: Any) -> Builder:
    return lambda index, _home: edit_manifest(index, lambda state: state["model"].update(entries))


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


LINKS: dict[str, Builder] = {
    "shards is a link to a home folder": _link("shards"),
    "a partition's shards are a link": _link("shards/audio", "audio"),
    "a shard is a link": _link("shards/audio/0*", "audio/holiday"),
    "an unused shard is a link": _added_link("shards/audio/000000000000-000000000001-00000000"),
    "a temporary shard is a link": _added_link("shards/audio/.00000000.tmp", "audio"),
    "a file of a shard is a link": _link("shards/audio/0*/ids.npy", "notes.txt"),
    "lance is a link to a home folder": _link("lance"),
    "lance was moved": _moved("lance"),
    "a table was moved": _moved("lance/segments.lance"),
    "the data of a table were moved": _moved("lance/segments.lance/data"),
    "the data of a table are a link": _link("lance/files.lance/data", "data"),
    "the versions of a table are a link": _link("lance/files.lance/_versions", "_versions"),
    "a data file is a link": _link("lance/files.lance/data/*.lance", "data/thesis.lance"),
    "a folder of a table is added as a link": _added_link("lance/files.lance/_indices"),
    "manifest is a link to a home folder": _link("manifest"),
    "manifest was moved": _moved("manifest"),
    "the newest manifest is a link": _link("manifest/*.json", "000000000001.json"),
    "an unpublished manifest is a link": _added_link("manifest/.000000000099.json.1.00000000.tmp", "notes.txt"),
    "checksums is a link to a home folder": _link("checksums"),
    "checksums was moved": _moved("checksums"),
    "a list of checksums is a link": _added_link("checksums/000000000099.json", "notes.txt"),
    "lock is a link": _link("lock", ".bashrc"),
    "lock is a dangling link": _link("lock", "new-file"),
    "lock is a hard link": _hard_link("lock", ".bashrc"),
    "the cache is a link": _link("cache.sqlite3", "other.db"),
    "the cache is a dangling link": _link("cache.sqlite3", "new.db"),
    "the cache is a hard link": _hard_link("cache.sqlite3", "letters.db"),
    "the last hits are a link": _link("last-hits.json", "notes.txt"),
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
        "last-hits.json",
    )
}
"""Indexes with something that no read of comes back from."""

_DEEP = b"[" * 200_000 + b"]" * 200_000
_FAR = "../../../../home/"

ABSURD: dict[str, Builder] = {
    "a deeply nested manifest": _content("manifest/*.json", _DEEP),
    "a manifest that is deep further down": _content("manifest/*.json", b'{"format_version": ' + _DEEP + b"}"),
    "a number of 5,000 digits": _content("manifest/*.json", b'{"format_version": ' + b"9" * 5000 + b"}"),
    "a sparse manifest of a terabyte": lambda index, _home: os.truncate(newest_manifest(index), 1 << 40),
    "a version of 13 digits": lambda index, _home: (
        shutil.copy(newest_manifest(index), index / "manifest" / "1000000000000.json") and None
    ),
    "the last possible version": lambda index, _home: _renumbered(index, 999_999_999_999),
    "no table versions": _with(table_versions={}),
    "a table version that is too large": _with(
        table_versions=dict.fromkeys(("files", "contents", "segments", "metadata"), 2**80)
    ),
    "a negative table version": _with(table_versions=dict.fromkeys(("files", "contents", "segments", "metadata"), -1)),
    "ids that are too large": _with(next_segment_id=2**80),
    "a time that is none": _with(created="yesterday"),
    "a time in the year 1": _with(created="0001-01-01T00:00:00+14:00"),
    "a root with a null character": _with(roots=["/media\0"]),
    "a segmentation that is none": lambda index, _home: edit_manifest(
        index, lambda state: state["settings"].update(segmentation="1e-300")
    ),
    "statistics that are not finite": _with(
        score_stats=[{"key": {"modality": "audio", "instruction": ""}, "query": "audio", "mean": 1e308, "std": 1e-308}]
    ),
    "statistics that are NaN": lambda index, home: edit_manifest(
        index,
        lambda state: state.update(
            score_stats=[
                {
                    "key": {"modality": "audio", "instruction": ""},
                    "query": "audio",
                    "mean": float("nan"),
                    "std": float("inf"),
                }
            ]
        ),
    ),
    "search parameters that are too large": lambda index, _home: edit_manifest(
        index, lambda state: [one.update(nprobe=2**70, refine_k=2**70) for one in state["tunings"]]
    ),
    "vectors of a billion dimensions": _model(dim=1_000_000_000),
    "vectors of no dimensions": _model(dim=0),
    "sampling of no interval": _model(
        sampling={"policy": "uniform", "numbers": {**SAMPLING.numbers, "frame_interval_s": 0}, "sample_rate_hz": 16000}
    ),
    "sampling of 10^12 frames": _model(
        sampling={"policy": "uniform", "numbers": {**SAMPLING.numbers, "max_frames": 10**12}, "sample_rate_hz": 16000}
    ),
    "sampling at 1e308": _model(
        sampling={
            "policy": "uniform",
            "numbers": {**SAMPLING.numbers, "max_pixels": 1e308, "min_pixels": 1e308},
            "sample_rate_hz": 2**62,
        }
    ),
    "a notice that moves the cursor": _model(notice="\x1b[2J\x1b]0;owned\x07 hello"),
    "a shard with .. in its name": _shard(name=_FAR + "audio/holiday"),
    "a shard with an absolute name": _shard(name="/etc"),
    "a shard with a backslash in its name": _shard(name="..\\..\\home"),
    "a shard with a null character in its name": _shard(name="a\0b"),
    "a shard of 10^18 vectors": _meta(facts={"count": 10**18}),
    "a shard of a negative number of vectors": _meta(facts={"count": -5}),
    "a shard whose numbers are texts": _meta(facts={"count": "many", "dim": None}),
    "a shard with checksums of files elsewhere": _meta(checksums={_FAR + "notes.txt": 1}),
    "a shard of an absurd meta.json": _content("shards/audio/0*/meta.json", _DEEP),
    "a list of codes that has no end": _signed("0*", "codes.faiss", _at(36, "<Q", 2**60)),
    "codes of 2^40 lists": _signed("0*", "codes.faiss", _at(4, "<Q", 2**40)),
    "codes of a position far outside": _signed("0*", "codes.faiss", _at(44, "<q", 2**50)),
    "codes of a negative position": _signed("0*", "codes.faiss", _at(44, "<q", -7)),
    "codes that are cut": _signed("0*", "codes.faiss", lambda data: data[:100]),
    "codes that are empty": _signed("0*", "codes.faiss", lambda _: b""),
    "ids that do not ascend": _signed("0*", "ids.npy", _at(128, "<q", 2**60)),
    "ids of a header that never ends": _signed("0*", "ids.npy", _at(8, "<H", 65535)),
    "vectors that are not numbers": _signed("0*", "vectors.f16", lambda data: b"\xff" * len(data)),
    "a rotation that is not a number": _signed("codebook-*", "rotation.npy", _at(128, "<f", float("nan"))),
    "a rotation of one dimension": _signed(
        "codebook-*", "rotation.npy", lambda data: data.replace(b"(16, 16)", b"(256,)  ")
    ),
    "a rotation of 10^16 rows": _signed(
        "codebook-*",
        "rotation.npy",
        lambda data: data.replace(b"(16, 16), }" + b" " * 15, b"(10000000000000000, 16), }"),
    ),
    "a rotation of no header": _signed("codebook-*", "rotation.npy", lambda data: data.replace(b"}", b"(")),
    "centroids of another size": _signed(
        "codebook-*", "centroids.npy", lambda data: data.replace(b"(1, 16)", b"(16, 1)")
    ),
    "quantisers of objects": _signed("codebook-*", "quantisers.npy", lambda data: data.replace(b"'<f4'", b"'|O' ")),
    "checksums of files elsewhere": _checksums(**{f"{_FAR}notes.txt": "0" * 32}),
    "checksums of an absolute name": _checksums(**{"/etc/passwd": "0" * 32}),
    "checksums that are nested deeply": _content("checksums/*.json", _DEEP),
    "last hits that are nested deeply": _content("last-hits.json", b'{"segment_ids": ' + _DEEP + b"}"),
    "last hits that are too large": _content("last-hits.json", b'{"segment_ids": [1e308, ' + b"9" * 400 + b"]}"),
    "last hits that are not finite": _content("last-hits.json", b'{"segment_ids": [Infinity, NaN]}'),
    "a lock of absurd content": _content("lock", _DEEP),
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
    "a cache with a journal that is a link": _added_link("cache.sqlite3-journal", ".bashrc"),
}
"""Indexes with a number, a name or a structure that cannot be meant."""


def _renumbered(index: Path, version: int) -> None:
    edit_manifest(index, lambda state: state.update(version=version))
    newest_manifest(index).rename(index / "manifest" / f"{version:012d}.json")


HOSTILE: dict[str, Builder] = {**LINKS, **FOREIGN, **SPECIAL_FILES, **ABSURD}


def build(name: str, intact: Path, folder: Path) -> tuple[Path, Path]:
    """Copy an intact index into a folder, make it hostile, and return it with the decoy beside it."""
    home = make_home(folder / "home")
    index = folder / "index"
    shutil.copytree(intact, index)
    HOSTILE[name](index, home)
    return index, home
