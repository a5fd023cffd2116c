import os
import re
import subprocess
import sys

import pytest

from wave_search.errors import IndexLockedError, IndexStateError
from wave_search.store import files as durable
from wave_search.store import lock

HOLD = """
import sys
from pathlib import Path
from wave_search.store import lock
with lock.hold(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock of tmp_path."""
    command = [sys.executable, "-c", HOLD, str(tmp_path), "an argument"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_writer_is_told_who_writes(tmp_path, holder):
    with pytest.raises(IndexLockedError) as caught, lock.hold(tmp_path):
        pass
    message = str(caught.value)
    assert f"process {holder.pid} on {os.uname().nodename}" in message
    assert "'an argument'" in message
    assert re.search(r"since \d{4}-\d\d-\d\dT", message)


def test_the_lock_of_a_killed_writer_is_free(tmp_path, holder):
    holder.kill()
    holder.wait()
    with lock.hold(tmp_path):
        assert f'"pid": {os.getpid()}' in (tmp_path / "lock").read_text()


def test_two_writers_in_one_process(tmp_path):
    with lock.hold(tmp_path), pytest.raises(IndexLockedError, match=f"process {os.getpid()}"), lock.hold(tmp_path):
        pass
    with lock.hold(tmp_path):
        pass


def test_a_lock_without_an_owner_is_still_a_lock(tmp_path):
    with lock.hold(tmp_path):
        (tmp_path / "lock").write_text("")
        with pytest.raises(IndexLockedError, match="another process"), lock.hold(tmp_path):
            pass


def test_a_lock_that_cannot_be_made(tmp_path):
    with pytest.raises(IndexStateError, match="lock cannot be written") as caught, lock.hold(tmp_path / "missing"):
        pass
    assert caught.value.remedy


def test_publish_never_overwrites_and_leaves_nothing_else(tmp_path):
    durable.publish(tmp_path / "a", b"first")
    with pytest.raises(IndexLockedError):
        durable.publish(tmp_path / "a", b"second")
    assert (tmp_path / "a").read_bytes() == b"first"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_only_new_and_changed_files_are_brought_to_the_disk(tmp_path, monkeypatch):
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "same").write_text("1")
    (tmp_path / "old" / "changed").write_text("1")
    before = durable.stamps(tmp_path)
    (tmp_path / "old" / "changed").write_text("22")
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "file").write_text("3")
    synced = []
    monkeypatch.setattr(durable, "sync", synced.append)
    after = durable.sync_new(tmp_path, before)
    names = sorted(str(path.relative_to(tmp_path)) for path in synced)
    assert names == [".", "new", "new/file", "old", "old/changed"]
    synced.clear()
    assert durable.sync_new(tmp_path, after) == after
    assert synced == []


def test_the_digest_of_a_folder_sees_names_sizes_and_bytes(tmp_path):
    def digest(**files):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        for name, content in files.items():
            (folder / name).write_text(content)
        return durable.folder_digest(folder)

    assert digest(a="1", b="2") == digest(b="2", a="1")
    variants = [digest(a="1", b="2"), digest(a="1", b="3"), digest(a="1", c="2"), digest(a="12", b=""), digest(a="12")]
    assert len(set(variants)) == len(variants)
