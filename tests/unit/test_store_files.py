"""The store over files that are in no folder: what it needs of them is `FileStore`, and no more."""

from __future__ import annotations

import itertools
import os
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.test_store_manifest import STATE
from wave_search.errors import IndexCorruptError, IndexLockedError, IndexNotFoundError, IndexStateError
from wave_search.files import digest
from wave_search.store import (
    ChecksumsRef,
    CodebookRef,
    LocalFiles,
    Manifest,
    ShardRef,
    checksums,
    manifest,
    table_checks,
)
from wave_search.store.cleanup import cleanup, foreign_files, unreferenced_files, unused_shards
from wave_search.store.files import FileInfo, FileStore, read_error, size_bytes
from wave_search.store.schema import NAMES
from wave_search.types import Modality, PartitionKey

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

AUDIO = PartitionKey(Modality.AUDIO)


class MemoryFiles:
    """A `FileStore` in memory.

    Attributes:
        unreadable: names of files that cannot be read at the moment.
    """

    def __init__(self) -> None:
        self._files: dict[str, tuple[bytes, int]] = {}
        self._clock = itertools.count()
        self._locked = False
        self.unreadable: set[str] = set()

    def url(self, name: str = "") -> str:
        return f"memory://index/{name}"

    def local_path(self, name: str) -> Path:
        raise NotImplementedError

    def get(self, name: str) -> bytes:
        if name in self.unreadable:
            raise read_error(self.url(name), "Too many open files")
        if name not in self._files:
            raise FileNotFoundError(name)
        return self._files[name][0]

    def blocks(self, name: str) -> Iterator[bytes]:
        yield self.get(name)

    def list(self, folder: str = "") -> Iterator[FileInfo]:
        for name, (data, written) in list(self._files.items()):
            if not folder or name.startswith(f"{folder}/"):
                yield FileInfo(name, len(data), written)

    def names(self, folder: str = "") -> Iterator[str]:
        return (info.name for info in self.list(folder))

    def info(self, name: str) -> FileInfo:
        data, written = self._files[name]
        return FileInfo(name, len(data), written)

    def put(self, name: str, data: bytes) -> None:
        self._files[name] = data, next(self._clock)

    def put_if_absent(self, name: str, data: bytes) -> None:
        if name in self._files:
            raise FileExistsError(name)
        self.put(name, data)

    def make_folder(self, name: str) -> Path:
        raise NotImplementedError

    def delete(self, names: Iterable[str]) -> None:
        for name in [*names]:
            self._files.pop(name, None)

    def flush(self, names: Iterable[str]) -> None:
        pass

    def free_bytes(self) -> int:
        return 2**60

    @contextmanager
    def lock(self) -> Iterator[None]:
        if self._locked:
            raise IndexLockedError("locked")
        self._locked = True
        yield
        self._locked = False

    def writer(self) -> str | None:
        return "a test" if self._locked else None


class TablesSpy:
    """Stands for the Lance tables in a clean-up: what they are asked to keep."""

    kept: Mapping[str, Collection[int]] | None = None

    def drop_versions(self, kept: Mapping[str, Collection[int]]) -> None:
        self.kept = kept


@pytest.fixture(params=["memory", "folder"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    return MemoryFiles() if request.param == "memory" else LocalFiles(tmp_path / "index")


@pytest.fixture
def memory() -> MemoryFiles:
    return MemoryFiles()


def names(store: FileStore, folder: str = "") -> list[str]:
    found = sorted(store.list(folder))
    assert [store.info(info.name) for info in found] == found
    assert sorted(store.names(folder)) == [info.name for info in found]
    return [info.name for info in found]


def ago(**time: float) -> str:
    return (datetime.now(UTC) - timedelta(**time)).isoformat(timespec="seconds")


def shard(number: int) -> str:
    return f"000000000000-000000000001-{number:08x}"


def commit(store: FileStore, version: int, created: str, before: Manifest | None = None, **changes: Any) -> Manifest:
    """Commit a version that adds a file to a table and a shard of its own."""
    made = f"lance/files.lance/data/{version}.lance"
    store.put(made, f"rows {version}".encode())
    store.put(f"shards/audio/{shard(version)}/ids.npy", b"")
    ref = checksums.add(store, version, [made], before and before.table_checksums)
    shards = (ShardRef(AUDIO, shard(version), 0, 1, 1, "digest"),)
    state = replace(STATE, version=version, created=created, table_checksums=ref, shards=shards)
    state = replace(state, table_versions=dict.fromkeys(NAMES, version), **changes)
    manifest.publish(store, state)
    return state


def chain(store: FileStore, *created: str) -> list[Manifest]:
    states: list[Manifest] = []
    for version, time in enumerate(created, 1):
        states.append(commit(store, version, time, states[-1] if states else None))
    return states


def test_both_keep_to_the_contract(store: FileStore) -> None:
    assert names(store) == []
    store.put("a/b", b"1")
    store.put_if_absent("a/c/d", b"22")
    first = {info.name: info for info in store.list("a")}
    store.put("a/b", b"333")
    assert store.get("a/b") == b"".join(store.blocks("a/b")) == b"333"
    with pytest.raises(FileExistsError):
        store.put_if_absent("a/c/d", b"4")
    assert {info.name: info.size_bytes for info in store.list()} == {"a/b": 3, "a/c/d": 2}
    assert {info.name for info in {*store.list()} - {*first.values()}} == {"a/b"}
    assert (size_bytes(store, "a"), size_bytes(store, "a/c"), size_bytes(store, "c")) == (5, 2, 0)
    store.flush(names(store))
    store.delete(["a/b", "missing"])
    assert names(store) == ["a/c/d"]
    with pytest.raises(FileNotFoundError):
        store.get("a/b")
    assert store.free_bytes() > 0
    with store.lock(), pytest.raises(IndexLockedError), store.lock():
        pass
    with store.lock():
        pass


def test_a_lock_is_free_although_a_child_that_is_being_started_has_a_copy(tmp_path: Path) -> None:
    store = LocalFiles(tmp_path)
    with store.lock():
        links = [link for link in Path("/proc/self/fd").iterdir() if link.exists()]
        (held,) = (int(link.name) for link in links if link.samefile(store.local_path("lock")))
        copied = os.dup(held)
    try:
        with store.lock():
            pass
    finally:
        os.close(copied)


def test_manifests_are_published_once_and_the_newest_counts(memory: MemoryFiles) -> None:
    with pytest.raises(IndexNotFoundError, match="memory://index/"):
        manifest.newest(memory)
    first, second = chain(memory, ago(hours=2), ago(hours=1))
    assert manifest.versions(memory) == [1, 2]
    assert manifest.newest(memory) == second
    assert manifest.read(memory, 1) == first
    with pytest.raises(IndexLockedError, match=r"memory://index/manifest/000000000002\.json was written by another"):
        manifest.publish(memory, second)


def test_a_manifest_that_cannot_be_read_now_is_no_damage(memory: MemoryFiles) -> None:
    _, second = chain(memory, ago(hours=2), ago(hours=1))
    memory.unreadable.add(manifest.name_of(2))
    with pytest.raises(IndexStateError, match=r"000000000002\.json cannot be read: Too many open files") as caught:
        manifest.newest(memory)
    assert not isinstance(caught.value, IndexCorruptError | IndexNotFoundError)
    assert "nothing was changed" in caught.value.remedy
    memory.unreadable.clear()
    assert manifest.newest(memory) == second


def test_a_version_that_is_replaced_while_it_is_read_is_read_again(memory: MemoryFiles) -> None:
    first = commit(memory, 1, ago(hours=1))

    class Replacing(MemoryFiles):
        def get(self, name: str) -> bytes:
            if name == manifest.name_of(1):
                self.delete([name])
                commit(self, 2, ago(hours=0), first)
            return super().get(name)

    replacing = Replacing()
    replacing._files = memory._files
    assert manifest.newest(replacing).version == 2
    with pytest.raises(IndexStateError, match=r"000000000001\.json cannot be read: it has been removed"):
        manifest.read(memory, 1)


def test_lists_of_checksums_form_a_chain(memory: MemoryFiles) -> None:
    states = chain(memory, ago(hours=3), ago(hours=2), ago(hours=1))
    newest = states[-1].table_checksums
    listing = checksums.read(memory, newest)
    assert listing.versions == (3, 2, 1)
    assert sorted(listing.files) == names(memory, "lance")
    assert list(checksums.faults(memory, listing.files)) == []
    assert checksums.compare(memory, newest) == listing
    part = checksums.compare(memory, newest, ["lance/files.lance/data/2.lance"])
    assert (part.versions, part.before) == ((3, 2), states[0].table_checksums)
    assert part.files.keys() == listing.files.keys() - {"lance/files.lance/data/1.lance"}
    memory.delete(["lance/files.lance/data/2.lance"])
    assert sorted(checksums.compare(memory, newest).files) == names(memory, "lance")
    memory.put("lance/files.lance/data/1.lance", b"changed")
    (fault,) = checksums.faults(memory, listing.files)
    assert isinstance(fault, IndexCorruptError)
    assert fault.message.startswith("memory://index/lance/files.lance/data/1.lance is damaged")
    with pytest.raises(IndexCorruptError, match=r"data/1\.lance is damaged"):
        checksums.compare(memory, newest)


def test_the_newest_list_that_names_a_file_counts(memory: MemoryFiles) -> None:
    name = "lance/files.lance/data/a.lance"
    memory.put(name, b"old")
    first = checksums.add(memory, 1, [name])
    memory.put(name, b"new")
    second = checksums.add(memory, 2, [name], first)
    assert list(checksums.faults(memory, checksums.read(memory, second).files)) == []
    assert len(list(checksums.faults(memory, checksums.read(memory, first).files))) == 1


def test_a_chain_that_begins_anew_takes_over_what_is_known(memory: MemoryFiles) -> None:
    (state,) = chain(memory, ago(hours=1))
    known = checksums.read(memory, state.table_checksums).files
    memory.put("lance/files.lance/data/fe.lance", b"new")
    memory.put("lance/files.lance/latest_version_hint.json", b"changes")
    ref = checksums.add(memory, 2, names(memory, "lance")[1:], None, known)
    listing = checksums.read(memory, ref)
    assert listing.versions == (2,)
    assert sorted(listing.files) == [f"lance/files.lance/data/{name}.lance" for name in ("1", "fe")]


def test_a_list_that_was_changed_is_damage_and_one_that_is_missing_can_be_accepted(memory: MemoryFiles) -> None:
    states = chain(memory, ago(hours=2), ago(hours=1))
    newest = states[-1].table_checksums
    good = memory.get(checksums.name_of(1))
    memory.put(checksums.name_of(1), good.replace(b"rows", b"r0ws") + b" ")
    for work in (checksums.read, checksums.compare):
        with pytest.raises(IndexCorruptError, match=r"checksums/000000000001\.json is damaged.*delete it and run"):
            work(memory, newest)
    memory.delete([checksums.name_of(1)])
    with pytest.raises(IndexCorruptError, match=r"checksums/000000000001\.json is missing.*or run"):
        checksums.read(memory, newest)
    assert checksums.compare(memory, newest) == checksums.Listing({}, ())
    with pytest.raises(IndexCorruptError, match="damaged"):
        checksums.read(memory, ChecksumsRef(2, "another digest"))
    nested = b'{"x": ' + b"[" * 100_000
    memory.put(checksums.name_of(3), nested)
    with pytest.raises(IndexCorruptError, match=r"checksums/000000000003\.json is damaged"):
        checksums.read(memory, ChecksumsRef(3, digest(nested)))


def test_files_after_one_that_is_missing_are_compared_too(memory: MemoryFiles) -> None:
    *_, state = chain(memory, ago(hours=2), ago(hours=1))
    memory.delete(["lance/files.lance/data/1.lance"])
    memory.put("lance/files.lance/data/2.lance", b"other rows")
    with pytest.raises(IndexCorruptError, match=r"data/2\.lance is damaged: its checksum does not match"):
        checksums.compare(memory, state.table_checksums)


@pytest.mark.parametrize("name", ["checksums/000000000001.json", "lance/files.lance/data/1.lance"])
def test_what_cannot_be_read_now_is_never_taken_for_damage(memory: MemoryFiles, name: str) -> None:
    states = chain(memory, ago(hours=2), ago(hours=1))
    memory.unreadable.add(name)
    with pytest.raises(IndexStateError, match=f"{name} cannot be read: Too many open files") as caught:
        checksums.compare(memory, states[-1].table_checksums)
    assert not isinstance(caught.value, IndexCorruptError)


def test_files_of_no_version_are_unreferenced(memory: MemoryFiles) -> None:
    first, second = chain(memory, ago(hours=2), ago(hours=1))
    memory.put("lance/files.lance/data/dead.lance", b"")
    memory.put("lance/files.lance/latest_version_hint.json", b"")
    memory.put("checksums/.000000000003.json.1.0123abcd.tmp", b"")
    torn, book = "shards/audio/.0123abcd.tmp", "codebook-0123abcd"
    memory.put(f"{torn}/ids.npy", b"")
    memory.put(f"{torn}/codes.faiss", b"")
    codebook = replace(second, codebooks=(CodebookRef(AUDIO, book, 1, "digest"),))
    memory.put(f"shards/audio/{book}/rotation.npy", b"")
    foreign = [f"{torn}/deep/er", "shards/audio/mine/ids.npy", "shards/mine", "lance/mine.lance", "checksums/1.json"]
    for name in foreign:
        memory.put(name, b"")
    listing = checksums.read(memory, second.table_checksums)
    assert unreferenced_files(memory, listing) == [
        "lance/files.lance/data/dead.lance",
        "checksums/.000000000003.json.1.0123abcd.tmp",
    ]
    assert unused_shards(memory, [first, codebook]) == {torn: [f"{torn}/codes.faiss", f"{torn}/ids.npy"]}
    assert {*unused_shards(memory, [second])} == {torn, f"shards/audio/{shard(1)}", f"shards/audio/{book}"}
    assert foreign_files(memory, [first, second]) == sorted(foreign)


def kept(memory: MemoryFiles, newest: Manifest, keep_versions_for_s: float) -> list[int]:
    """The versions that a clean-up leaves; everything else must agree with them."""
    spy = TablesSpy()
    cleanup(memory, spy, newest, keep_versions_for_s)  # type: ignore[arg-type]
    versions = manifest.versions(memory)
    assert spy.kept == {name: {*versions} for name in NAMES}
    assert {name.split("/")[2] for name in names(memory, "shards")} == {*map(shard, versions)}
    return versions


def test_a_version_is_kept_by_the_time_of_its_replacement(memory: MemoryFiles) -> None:
    """The first one is five hours old, and was the newest one until ten minutes ago."""
    states = chain(memory, ago(hours=5), ago(minutes=10), ago(minutes=5))
    assert kept(memory, states[-1], 3600.0) == [1, 2, 3]
    assert kept(memory, states[-1], 400.0) == [2, 3]
    assert kept(memory, states[-1], 0.0) == [3]


def test_a_version_that_was_replaced_long_ago_goes_however_young_its_successors_are(memory: MemoryFiles) -> None:
    states = chain(memory, ago(hours=5), ago(hours=2), ago(minutes=1))
    assert kept(memory, states[-1], 3600.0) == [2, 3]


def test_a_clock_that_was_put_back_keeps_versions_unless_none_is_to_be_kept(memory: MemoryFiles) -> None:
    states = chain(memory, ago(hours=5), ago(hours=-5), ago(hours=-4))
    assert kept(memory, states[-1], 1.0) == [1, 2, 3]
    assert kept(memory, states[-1], 0.0) == [3]


def test_cleaning_up_leaves_the_chain_whole_and_nothing_torn(memory: MemoryFiles) -> None:
    states = chain(memory, ago(hours=5), ago(hours=2), ago(minutes=1))
    for torn in (
        "manifest/.000000000004.json.1.0123abcd.tmp",
        "lance/files.lance/data/dead.lance",
        "checksums/.a.1.0123abcd.tmp",
    ):
        memory.put(torn, b"")
    cleanup(memory, TablesSpy(), states[-1], 0.0)  # type: ignore[arg-type]
    assert names(memory, "manifest") == [manifest.name_of(3)]
    assert names(memory, "checksums") == [checksums.name_of(version) for version in (1, 2, 3)]
    assert checksums.compare(memory, states[-1].table_checksums).versions == (3, 2, 1)


def test_a_damaged_older_version_is_removed(memory: MemoryFiles) -> None:
    states = chain(memory, ago(hours=5), ago(minutes=2), ago(minutes=1))
    memory.put(manifest.name_of(2), memory.get(manifest.name_of(2))[:-5])
    assert kept(memory, states[-1], 3600.0) == [1, 3]


def test_older_versions_go_when_their_own_list_of_checksums_is_lost(memory: MemoryFiles) -> None:
    first = commit(memory, 1, ago(hours=1))
    second = commit(memory, 2, ago(minutes=1))  # begins a chain of its own
    memory.delete([checksums.name_of(1)])
    assert first.table_checksums.version == 1
    assert kept(memory, second, 3600.0) == [2]
    memory.delete([checksums.name_of(2)])
    with pytest.raises(IndexCorruptError, match=r"000000000002\.json is missing"):
        kept(memory, second, 3600.0)


@pytest.mark.parametrize("name", [manifest.name_of(1), checksums.name_of(1), checksums.name_of(2)])
def test_what_cannot_be_read_now_is_never_removed(memory: MemoryFiles, name: str) -> None:
    states = chain(memory, ago(hours=5), ago(minutes=2), ago(minutes=1))
    before = names(memory)
    memory.unreadable.add(name)
    spy = TablesSpy()
    with pytest.raises(IndexStateError, match=f"{name} cannot be read: Too many open files") as caught:
        cleanup(memory, spy, states[-1], 3600.0)  # type: ignore[arg-type]
    assert not isinstance(caught.value, IndexCorruptError)
    assert names(memory) == before
    assert spy.kept is None


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("lance/files.lance/data/01ab-2.lance", True),
        ("lance/files.lance/data/.tmpJSTG2Z", True),
        ("lance/files.lance/_versions/18446744073709551613.manifest#1", True),
        ("lance/files.lance/_versions/latest_version_hint.json#2", True),
        ("lance/files.lance/data/thesis.txt", False),
        ("lance/files.lance/data/.tmp", False),
        ("lance/other.lance/data/01ab-2.lance", False),
        ("lance/files.lance/01ab-2.lance", False),
    ],
)
def test_names_that_lance_gives(name: str, made: bool) -> None:
    assert table_checks.is_made(name) is made
