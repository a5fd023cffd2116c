import errno
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from wave_search.errors import IndexLockedError, IndexStateError
from wave_search.store import LocalFiles, local_files

HOLD = """
import os, sys
from pathlib import Path
from wave_search.store import LocalFiles
with LocalFiles(Path(sys.argv[1])).lock():
    print(os.getpid(), flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path, stand_ins):
    """Another process that holds the lock of tmp_path: its id, and what waits for its end."""
    command = [stand_ins.python, "-c", HOLD, str(tmp_path), "an argument"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield int(process.stdout.readline()), process.wait
        process.kill()


def test_a_second_writer_is_told_who_writes(tmp_path, holder):
    with pytest.raises(IndexLockedError) as caught, LocalFiles(tmp_path).lock():
        pass
    message = str(caught.value)
    assert f"process {holder[0]} on {os.uname().nodename}" in message
    assert "'an argument'" in message
    assert re.search(r"since \d{4}-\d\d-\d\dT", message)


def test_the_lock_of_a_killed_writer_is_free(tmp_path, holder):
    number, wait = holder
    os.kill(number, signal.SIGKILL)
    wait()
    with LocalFiles(tmp_path).lock():
        assert f'"pid": {os.getpid()}' in (tmp_path / "lock").read_text()


def test_two_writers_in_one_process(tmp_path):
    with (
        LocalFiles(tmp_path).lock(),
        pytest.raises(IndexLockedError, match=f"process {os.getpid()}"),
        LocalFiles(tmp_path).lock(),
    ):
        pass
    with LocalFiles(tmp_path).lock():
        pass


def test_a_lock_without_an_owner_is_still_a_lock(tmp_path, monkeypatch):
    with LocalFiles(tmp_path).lock():
        (tmp_path / "lock").write_text("")
        monkeypatch.setattr(local_files, "_owner_of", lambda _: local_files._UNNAMED)
        with pytest.raises(IndexLockedError, match="another process"), LocalFiles(tmp_path).lock():
            pass


def test_a_lock_that_cannot_be_made(tmp_path):
    (tmp_path / "lock").mkdir()
    with pytest.raises(IndexStateError, match="lock cannot be written") as caught, LocalFiles(tmp_path).lock():
        pass
    assert caught.value.remedy


@pytest.fixture
def store(tmp_path):
    return LocalFiles(tmp_path / "new" / "index")


def names(store, folder=""):
    return sorted(info.name for info in store.list(folder))


def test_put_if_absent_never_overwrites_and_leaves_nothing_else(store):
    store.put_if_absent("manifest/a", b"first")
    with pytest.raises(FileExistsError):
        store.put_if_absent("manifest/a", b"second")
    assert store.get("manifest/a") == b"first"
    assert names(store) == ["manifest/a"]


def test_put_replaces_a_file_as_a_whole(store):
    store.put("a/b/c", b"first")
    store.put("a/b/c", b"second")
    assert (store.get("a/b/c"), b"".join(store.blocks("a/b/c"))) == (b"second", b"second")
    assert names(store) == ["a/b/c"]


def test_a_file_is_missing_where_a_folder_has_its_name(store):
    for _ in range(2):
        with pytest.raises(FileNotFoundError):
            store.get("a")
        with pytest.raises(FileNotFoundError):
            list(store.blocks("a"))
        store.put("a/b", b"")


def test_files_are_listed_by_folder_with_what_tells_a_changed_one(store):
    for name in ("a/1", "a/b/2", "ab", "c/3"):
        store.put(name, name.encode())
    (store.local_path("a") / "empty").mkdir()
    assert names(store) == ["a/1", "a/b/2", "ab", "c/3"]
    assert names(store, "a") == ["a/1", "a/b/2"]
    assert names(store, "a/b") == ["a/b/2"]
    assert names(store, "missing") == names(LocalFiles(store.local_path("ab"))) == []
    before = set(store.list())
    os.utime(store.local_path("a/1"), ns=(1, 1))
    store.put("c/3", b"longer than it was")
    assert {info.name for info in set(store.list()) - before} == {"a/1", "c/3"}
    assert {info.name: info.size_bytes for info in store.list("c")} == {"c/3": 18}


def test_deleted_files_are_gone_with_their_empty_folders(store):
    for name in ("shards/x/1", "shards/x/2", "shards/y/3", "shards/y/4"):
        store.put(name, b"")
    store.delete(["shards/x/1", "shards/x/2", "shards/y/3", "shards/missing/5"])
    assert names(store) == ["shards/y/4"]
    assert sorted(path.name for path in store.local_path("shards").iterdir()) == ["y"]


def test_only_flushed_files_and_the_folders_above_them_are_brought_to_the_disk(store, monkeypatch):
    for name in ("old/same", "old/changed", "new/deep/file"):
        store.put(name, b"1")
    synced = []

    def fsync(descriptor):
        synced.append(os.path.relpath(Path(f"/proc/self/fd/{descriptor}").readlink(), store.url()))

    monkeypatch.setattr("os.fsync", fsync)
    store.flush(["old/changed", "new/deep/file"])
    assert sorted(synced) == [".", "new", "new/deep", "new/deep/file", "old", "old/changed"]
    synced.clear()
    store.flush([])
    assert synced == []


@pytest.mark.parametrize("write", [LocalFiles.put, LocalFiles.put_if_absent])
def test_what_is_written_and_its_name_are_brought_to_the_disk(store, monkeypatch, write):
    synced = []
    real = os.fsync

    def fsync(descriptor):
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        real(descriptor)

    monkeypatch.setattr("os.fsync", fsync)
    write(store, "manifest/a", b"1")
    place = store.local_path("manifest")
    assert any(path.startswith(f"{place}/.a.") for path in synced), "the content, under its temporary name"
    assert str(place) == synced[-1]
    assert {str(place.parent), str(place.parent.parent)} <= {*synced}, "folders that are new"


@pytest.mark.parametrize("work", ["put", "put_if_absent", "flush", "delete"])
def test_what_cannot_be_written_is_an_error_with_a_remedy(store, work):
    store.put("file", b"")
    arguments = (["file/x"],) if work in ("flush", "delete") else ("file/x", b"")
    with pytest.raises(IndexStateError, match=r"file.* cannot be written: (Not a directory|File exists)") as caught:
        getattr(store, work)(*arguments)
    assert "Free some space" in caught.value.remedy
    assert names(store) == ["file"]


@pytest.mark.parametrize("work", ["put", "put_if_absent"])
def test_an_error_names_the_file_and_not_its_temporary_name(store, work, monkeypatch):
    def fails(*_args, **_keywords):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(store.local_path(".file.1.tmp")))

    store.put("other", b"")  # makes the folder
    monkeypatch.setattr("os.fsync", fails)
    with pytest.raises(IndexStateError) as caught:
        getattr(store, work)("file", b"")
    assert caught.value.message == f"{store.local_path('file')} cannot be written: No space left on device"
