"""The store when things go wrong: kill -9, a full disk, damage."""

import inspect
import os
import re
import shutil
import signal
import subprocess
from dataclasses import replace

import lance
import numpy as np
import pytest

from tests.conftest import CHECKOUT
from wave_search.ann import Codebook, Shard, build_shard
from wave_search.errors import IndexCorruptError, IndexNotFoundError, IndexStateError
from wave_search.models import ModelSpec
from wave_search.models.wave.clips import SAMPLING
from wave_search.store import (
    ContentRow,
    FileRow,
    NewSegment,
    Settings,
    Writer,
    create,
    exists,
    open_snapshot,
    schema,
    verify,
)
from wave_search.store.shards import write_meta
from wave_search.types import Modality, PartitionKey

DIM = 8
SPEC = ModelSpec("m", "r", DIM, tuple(Modality), SAMPLING, {})
SETTINGS = Settings("10", (Modality.AUDIO,))
AUDIO = PartitionKey(Modality.AUDIO)

# What a child process runs before it changes or creates an index; `directory` is its index.
PRELUDE = """
import os, signal, sys
from pathlib import Path
import numpy as np
from wave_search.errors import IndexStateError
from wave_search.store import ContentRow, FileRow, NewSegment, Settings, Writer, create, tables
from wave_search.models import ModelSpec
from wave_search.models.wave.clips import SAMPLING
from wave_search.types import Modality

directory = Path(sys.argv[1])
DIM = 8

def kill_at(owner, name, call, after=False):
    real, calls = getattr(owner, name), []
    def step(*args, **kwargs):
        calls.append(1)
        if len(calls) < call:
            return real(*args, **kwargs)
        if after:
            real(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGKILL)
    setattr(owner, name, step)
"""
CREATE = 'create(directory, ModelSpec("m", "r", DIM, tuple(Modality), SAMPLING, {}), Settings("10", (Modality.AUDIO,)))'
BEFORE, AFTER = {b"/a": 1, b"/b": 2}, {b"/b": 3, b"/c": 4}


def put(writer, path, seed):
    segment = NewSegment(Modality.AUDIO, 0.0, 1.0, None, np.eye(DIM, dtype=np.float32)[seed])
    content_id = writer.put_content(ContentRow(str(seed), "audio", "wav"), [segment])
    writer.put_file(FileRow(path, b"/", seed, seed, 1, content_id))


def change(directory):
    """From BEFORE to AFTER: a is deleted, b changed, c new."""
    with Writer(directory) as writer:
        writer.remove_files([b"/a"])
        put(writer, b"/b", 3)
        put(writer, b"/c", 4)
        writer.set_roots(["/long" * 1000])
        writer.commit()


CHANGE = f"{inspect.getsource(put)}\n{inspect.getsource(change)}"


@pytest.fixture
def run(stand_ins):
    def run(directory, *parts):
        command = [stand_ins.python, "-c", "\n".join((PRELUDE, *parts)), str(directory)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    return run


def state(directory):
    """Path -> which vector its content has; checks on the way that nothing else is there."""
    snapshot = open_snapshot(directory)
    partition = snapshot.partition(AUDIO)
    vectors = snapshot.vectors(AUDIO, partition.ids)
    by_content = dict(zip(partition.content_ids.tolist(), vectors.argmax(axis=1).tolist(), strict=True))
    found = {row.path: by_content[row.content_id] for row in snapshot.files().values()}
    assert set(found.values()) == set(by_content.values())
    assert len(snapshot.contents()) == len(by_content)
    return found


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    directory = tmp_path_factory.mktemp("made") / "index"
    create(directory, SPEC, SETTINGS)
    with Writer(directory) as writer:
        put(writer, b"/a", 1)
        put(writer, b"/b", 2)
        writer.commit()
    return directory


@pytest.fixture
def index(made, tmp_path):
    return shutil.copytree(made, tmp_path / "index")


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        pytest.param('kill_at(tables.Tables, "append", 1, after=True)', BEFORE, id="segments appended"),
        pytest.param('kill_at(tables.Tables, "delete", 1, after=True)', BEFORE, id="dead segments deleted"),
        pytest.param('kill_at(tables.Tables, "append", 3, after=True)', BEFORE, id="all tables written"),
        pytest.param('kill_at(os, "fsync", 1)', BEFORE, id="nothing synced"),
        pytest.param('kill_at(os, "fsync", 9)', BEFORE, id="half synced"),
        pytest.param('kill_at(os, "link", 1)', BEFORE, id="manifest written"),
        pytest.param('kill_at(os, "link", 1, after=True)', AFTER, id="manifest published"),
    ],
)
def test_a_killed_commit_is_whole_or_not_there(index, run, step, expected):
    killed = run(index, CHANGE, step, "change(directory)")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert state(index) == expected
    assert all(problem.orphan for problem in verify(index))
    change(index)
    assert state(index) == AFTER
    with Writer(index) as writer:
        put(writer, b"/d", 5)
        writer.commit()
    assert state(index) == {**AFTER, b"/d": 5}
    assert all(problem.orphan for problem in verify(index))


@pytest.mark.parametrize("step", ['kill_at(os, "fsync", 1)', 'kill_at(os, "link", 1)'])
def test_a_killed_creation_is_no_index_and_can_be_repeated(tmp_path, run, step):
    directory = tmp_path / "index"
    assert run(directory, step, CREATE).returncode == -signal.SIGKILL
    assert not exists(directory)
    with pytest.raises(IndexNotFoundError):
        open_snapshot(directory)
    create(directory, SPEC, SETTINGS)
    assert state(directory) == {}


GUARDED = """
resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, resource.RLIM_INFINITY))
try:
    change(directory)
except IndexStateError as error:
    print(type(error).__name__, error, sep="|")
"""


FILL = """
def change(directory):
    with Writer(directory) as writer:
        for number in range(8):
            put(writer, b"/file %d" % number, number)
        writer.commit()
"""


def test_the_end_of_a_table_file_that_was_not_written_is_noticed_before_the_commit(index, run):
    """Lance takes 2,000 bytes for the whole file."""
    failed = run(index, inspect.getsource(put), FILL, "import resource; limit_bytes = 2000", GUARDED)
    kind, _, message = failed.stdout.partition("|")
    assert kind == "IndexStateError", (failed.stdout, failed.stderr)
    assert re.search(r"\.lance cannot be written: 2,000 of \d,\d{3} bytes were written; is the disk full", message)
    assert "Free some space" in message
    assert state(index) == BEFORE
    change(index)
    assert state(index) == AFTER


@pytest.mark.parametrize(("limit_bytes", "what"), [(1000, "lance"), (4000, "manifest")])
def test_a_full_disk_is_an_error_with_a_remedy_and_loses_nothing(index, run, limit_bytes, what):
    # A limit on the size of a file, at which writing fails as on a full disk.
    failed = run(index, CHANGE, f"import resource; limit_bytes = {limit_bytes}", GUARDED)
    assert failed.returncode == 0, failed.stderr
    kind, _, message = failed.stdout.partition("|")
    assert kind == "IndexStateError", failed.stdout
    assert str(index / what) in message
    assert "cannot be written" in message
    assert "Free some space" in message
    assert state(index) == BEFORE
    change(index)
    assert state(index) == AFTER


OTHERS = """
from wave_search import indexer
def remove(directory): indexer.remove(directory, ["/a"])
def optimize(directory): indexer.optimize(directory, keep_versions_for_s=0, min_shard_rows=1)
"""


@pytest.mark.parametrize("work", ["remove", "optimize"])
def test_a_disk_that_is_full_for_other_commands_loses_nothing_either(index, run, work):
    limited = GUARDED.replace("change(", f"{work}(")
    failed = run(index, OTHERS, "import resource; limit_bytes = 300", limited)
    assert failed.returncode == 0, failed.stderr
    assert "cannot be written" in failed.stdout
    assert "Free some space" in failed.stdout
    assert state(index) == BEFORE
    assert all(problem.orphan for problem in verify(index))
    done = run(index, OTHERS, f"{work}(directory)")
    assert done.returncode == 0, done.stderr
    assert state(index) == ({b"/b": 2} if work == "remove" else BEFORE)


# Root may write anywhere, unless it gives that right up.
READ_ONLY = f"""
sys.path.append({str(CHECKOUT)!r})
from tests.hostile.sandbox import heed_permissions
heed_permissions()
from wave_search.store import open_snapshot, verify
print(sorted(open_snapshot(directory).files()), verify(directory))
for work in (change, optimize):
    try:
        work(directory)
    except IndexStateError as error:
        print(type(error).__name__, error, sep="|")
"""


def test_a_read_only_index_can_be_read_and_not_changed(index, run):
    for path in (*index.rglob("*"), index):
        path.chmod(0o555 if path.is_dir() else 0o444)
    done = run(index, CHANGE, OTHERS, READ_ONLY)
    for path in (index, *index.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    assert done.returncode == 0, done.stderr
    read, *refused = done.stdout.splitlines()
    assert read == "[b'/a', b'/b'] ()"
    assert len(refused) == 2
    for line in refused:
        assert line.startswith("IndexStateError|")
        assert "lock cannot be written: Permission denied" in line
        assert "make the place writable" in line
    assert state(index) == BEFORE


def test_after_a_failed_commit_the_writer_refuses_to_go_on(index, monkeypatch):
    def full(*_args, **_options):
        raise OSError(28, "No space left on device", "somewhere")

    with Writer(index) as writer:
        put(writer, b"/c", 3)
        with monkeypatch.context() as patch:
            patch.setattr("os.link", full)
            with pytest.raises(IndexStateError, match=r"manifest/\d+\.json cannot be written: No space left on device"):
                writer.commit()
        with pytest.raises(IndexStateError, match="earlier write"):
            writer.commit()
    with Writer(index) as writer:
        put(writer, b"/c", 3)
        writer.commit()
    assert state(index) == {**BEFORE, b"/c": 3}


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(IndexStateError, match="cannot be written") as caught:
        create(tmp_path / "file" / "index", SPEC, SETTINGS)
    assert caught.value.remedy


def corrupt(path, how):
    data = path.read_bytes()
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes({"empty": b"", "short": data[: len(data) // 2]}[how])


@pytest.mark.parametrize("how", ["gone", "empty", "short"])
@pytest.mark.parametrize("table", ["files", "contents", "segments"])
def test_damaged_tables_are_found(index, table, how):
    for path in (index / "lance" / f"{table}.lance" / "data").iterdir():
        corrupt(path, how)
    problems = verify(index)
    assert problems
    assert ("is missing" if how == "gone" else "is damaged") in problems[0].what
    assert problems[0].remedy
    assert not problems[0].orphan


def test_bad_vectors_are_found(tmp_path):
    create(tmp_path, SPEC, SETTINGS)
    with Writer(tmp_path) as writer:
        bad = [NewSegment(Modality.AUDIO, 0.0, 1.0, None, np.eye(DIM)[0] * length) for length in (1, 0.5, 1e6)]
        with np.errstate(over="ignore"):
            writer.put_file(FileRow(b"/a", b"/", 1, 1, 1, writer.put_content(ContentRow("1", "audio", "wav"), bad)))
            writer.commit()
    (problem,) = verify(tmp_path)
    assert problem.what == "2 segments have a vector that is not finite or not of unit length"


@pytest.mark.parametrize("table", ["files", "contents"])
def test_what_is_recorded_twice_or_is_not_there_is_found(index, table):
    with Writer(index) as writer:
        rows = list(writer.snapshot.files().values())
        contents = list(writer.snapshot.contents().items())
        twice = schema.file_table(rows[:1], schema.schemas(DIM)[table]) if table == "files" else None
        twice = twice or schema.content_table(contents[:1], schema.schemas(DIM)[table])
        writer._tables.append(table, twice)
        writer.put_file(replace(rows[0], path=b"/c", content_id=1 + max(row.content_id for row in rows)))
        writer.commit(drop_dead=False)
    first, second = verify(index)[:2]
    assert ("file" if table == "files" else "content") in first.what
    assert "recorded twice" in first.what
    assert second.what == "1 files refer to a content that does not exist, for example 2"


def test_a_damaged_manifest_is_a_problem_and_not_a_traceback(index):
    newest = max((index / "manifest").iterdir())
    newest.write_bytes(newest.read_bytes().replace(b"uniform", b"Uniform"))
    (problem,) = verify(index)
    assert str(newest) in problem.what
    assert "go back to version 1" in problem.remedy
    newest.unlink()
    assert all(problem.orphan for problem in verify(index))
    assert state(index) == {}


def shard(writer, ids, name="s"):
    folder = writer.shard_parent(AUDIO) / name
    folder.mkdir()
    np.save(folder / "ids.npy", np.array(ids, np.int64))
    write_meta(folder)
    return folder


def test_shards_without_a_codebook_are_found(index):
    with Writer(index) as writer:
        shard(writer, [0, 1])
        writer.add_shard(AUDIO, "s", 0, 2, 2)
        writer.commit()
    (problem,) = verify(index)
    assert problem.what == f"the shards in {index / 'shards' / 'audio'} have no codebook"
    assert "optimize" in problem.remedy


def test_damaged_missing_and_incomplete_shards_are_found(index):
    with Writer(index) as writer:
        (writer.shard_parent(AUDIO) / "codebook").mkdir()
        write_meta(writer.shard_parent(AUDIO) / "codebook")
        writer.set_codebook(AUDIO, "codebook", 2)
        folder = shard(writer, [0, 1])
        writer.add_shard(AUDIO, "s", 0, 2, 2)
        writer.commit()
        assert verify(index) == ()
        data = bytearray((folder / "ids.npy").read_bytes())
        data[-1] ^= 1
        (folder / "ids.npy").write_bytes(data)
        (problem,) = verify(index)
        assert str(folder) in problem.what
        assert "the checksum of ids.npy does not match" in problem.what
        assert "optimize" in problem.remedy
        shutil.rmtree(folder)
        (problem,) = verify(index)
        assert "missing" in problem.what
        shard(writer, [0], "t")
        writer.add_shard(AUDIO, "t", 0, 2, 1)
        writer.commit()
    (problem,) = verify(index)
    assert "lacks segments" in problem.what


def test_unreferenced_files_are_listed(index):
    with Writer(index) as writer:
        folder = shard(writer, [0, 1])
        folder = folder.rename(folder.with_name(".0123abcd.tmp"))
        (index / "manifest" / ".000000000009.json.1.0123abcd.tmp").write_text("{}")
    problems = verify(index)
    assert [problem.orphan for problem in problems] == [True, True]
    assert str(folder) in problems[0].what
    assert ".000000000009.json.1.0123abcd.tmp" in problems[1].what


def test_a_real_shard_is_covered_and_any_flipped_byte_of_it_is_found(index):
    with Writer(index) as writer:
        batches = list(writer.snapshot.vector_batches(AUDIO, 0, 2))
        codebook = Codebook.train(np.concatenate([vectors for _, vectors in batches]), 2)
        writer.set_codebook(AUDIO, codebook.write(writer.shard_parent(AUDIO)), 2)
        built = build_shard(codebook, batches, writer.shard_parent(AUDIO))
        writer.add_shard(AUDIO, built.name, built.first_id, built.stop_id, built.count)
        snapshot = writer.commit()
    assert verify(index) == ()
    (ref,) = snapshot.shards(AUDIO)
    for path in snapshot.shard_dir(ref).iterdir():
        good = path.read_bytes()
        path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
        (problem,) = verify(index)
        assert f"of {path.name} does not match" in problem.what
        path.write_bytes(good)
    added = snapshot.shard_dir(ref) / "added"
    added.touch()
    (problem,) = verify(index)
    assert "added does not belong to it" in problem.what
    added.unlink()
    opened = Shard.open(snapshot.shard_dir(ref), codebook)
    assert np.array_equal(opened.vectors, snapshot.vectors(AUDIO, opened.ids))


SCARCE = """
import resource
from wave_search.store import open_snapshot
opened = open_snapshot(directory)
_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
read = lambda: list(opened.segment_batches())
work = {"open": lambda: open_snapshot(directory), "read": read, "commit": lambda: change(directory)}[work]
refused = 0
for limit in range(3, 200):
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, most))
    try:
        work()
        break
    except IndexStateError as error:
        refused += 1
        assert type(error) is IndexStateError, repr(error)
        assert "Too many open files" in str(error), error
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, most))
    assert [*open_snapshot(directory).files()] == [b'/a', b'/b'], limit
print(refused > 0)
"""


@pytest.mark.parametrize("work", ["open", "read", "commit"])
def test_too_few_files_to_open_are_an_error_of_that_moment_and_no_damage(index, run, work):
    done = run(index, CHANGE, f"work = {work!r}", SCARCE)
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr
    assert state(index) == (AFTER if work == "commit" else BEFORE)
    assert all(problem.orphan for problem in verify(index))


def raising(error):
    def call(*arguments, **named):
        raise error

    return call


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (RuntimeError("lance error: LanceError(IO): Unable to open file /a: broken (os error 24), /b/c.rs:1:2"), 24),
        (OSError("LanceError(IO): Generic LocalFileSystem error: broken (os error 5)"), 5),
        (OSError(13, "broken"), 13),
        (ValueError("broken (os error 12)"), 12),
        (MemoryError(), 12),
    ],
)
def test_an_error_of_the_system_that_lance_reports_is_no_damage(index, error, cause, monkeypatch):
    snapshot = open_snapshot(index)
    before = sorted(index.rglob("*"))
    monkeypatch.setattr(lance, "dataset", raising(error))
    monkeypatch.setattr(lance.LanceDataset, "to_table", raising(error))
    for work in (lambda: open_snapshot(index), lambda: Writer(index).__enter__(), snapshot.files):
        with pytest.raises(IndexStateError, match=f"lance cannot be read: {os.strerror(cause)}") as caught:
            work()
        assert type(caught.value) is IndexStateError
        assert "nothing was changed" in caught.value.remedy
        assert ".rs:" not in str(caught.value)
    assert sorted(index.rglob("*")) == before


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("lance error: Not found: /a/b.lance"),
        OSError("LanceError(IO): Object at location /a not found: No such file or directory (os error 2)"),
        FileNotFoundError(2, "No such file or directory"),
        ValueError("Invalid user input: not a Lance file"),
    ],
)
def test_a_missing_or_undecodable_file_that_lance_reports_is_damage(index, error, monkeypatch):
    monkeypatch.setattr(lance, "dataset", raising(error))
    with pytest.raises(
        IndexCorruptError, match=r"(/a/b\.lance is missing|lance cannot be read: .*)\. Restore the index"
    ):
        open_snapshot(index)


def test_a_partial_commit_is_not_dropped_when_the_tables_cannot_be_read_now(index, monkeypatch):
    with Writer(index) as writer:
        put(writer, b"/c", 3)
        writer._rows.spill()
    before = sorted(index.rglob("*"))
    with monkeypatch.context() as patch:
        patch.setattr(lance, "dataset", raising(OSError(24, "broken")))
        with pytest.raises(IndexStateError, match="lance cannot be read"), Writer(index):
            pass
    assert sorted(index.rglob("*")) == before
    assert state(index) == BEFORE
