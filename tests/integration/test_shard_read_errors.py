"""What the system cannot read at the moment is an error of that run: never damage, and nothing is rebuilt for it."""

import builtins
import errno
import io
import mmap
import os
import resource
import shutil
from contextlib import contextmanager
from pathlib import Path

import faiss
import pytest

from tests.embedding_like import unit
from tests.vector_index import QUERIES, VIDEO, fill, make, optimize
from wave_search.ann import Codebook, Shard
from wave_search.errors import IndexCorruptError, IndexStateError
from wave_search.query.fusion import Query
from wave_search.query.partition import PartitionSearch
from wave_search.store import open_snapshot, verify

CODEBOOK = ("meta.json", "rotation.npy", "centroids.npy", "quantisers.npy")
SHARD = ("meta.json", "codes.faiss", "ids.npy", "vectors.f16")
FILES = [*(("codebook", name) for name in CODEBOOK), *(("shard", name) for name in SHARD)]
ERRORS = [OSError(code, os.strerror(code)) for code in (errno.EMFILE, errno.EIO, errno.ENOMEM, errno.EACCES)]
QUERY = unit(QUERIES("same", 1))


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    directory = make(tmp_path_factory.mktemp("errors") / "index")
    fill(directory, 0, 1600)
    return directory


def add_nothing(index):
    return fill(index, 1600, 1600)


def tune_again(index):
    return fill(index, 1600, 1600, recall=0.5)


def search(index):
    snapshot = open_snapshot(index)
    assert len(PartitionSearch(snapshot, VIDEO).search([Query.of_vectors(QUERY)], 10)[0].ids) == 10
    return snapshot


@contextmanager
def failing(folder, name, error):
    """Let no file of this name be opened in folders of codebooks or of shards."""

    def failing(opened):
        def failing_open(file, *args, **kwargs):
            path = Path(os.fspath(file)) if not isinstance(file, int) else Path()
            kind = "codebook" if path.parent.name.startswith("codebook") else "shard"
            if (kind, path.name) == (folder, name) and path.parent.parent.name == VIDEO.modality:
                raise error
            return opened(file, *args, **kwargs)

        return failing_open

    with pytest.MonkeyPatch.context() as patch:
        for module in (io, builtins, os):
            patch.setattr(module, "open", failing(module.open))
        yield


@contextmanager
def no_free_descriptor():
    """Let the system refuse to open another file (EMFILE)."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.open(os.devnull, os.O_RDONLY)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@contextmanager
def refusal(*named):
    """Expect an error that says what is wrong and what to do."""
    with pytest.raises(IndexStateError) as caught:
        yield
    assert not isinstance(caught.value, IndexCorruptError)
    assert all(text in caught.value.message for text in named), caught.value.message
    assert "run the command again" in caught.value.remedy


@contextmanager
def unchanged(index):
    """Expect that the index stays as it was."""
    before = open_snapshot(index).manifest
    folders = sorted((index / "shards").rglob("*"))
    yield
    assert open_snapshot(index).manifest == before
    assert sorted((index / "shards").rglob("*")) == folders
    assert add_nothing(index).manifest == before, "nothing to do once it can be read again"


@contextmanager
def refused(index, *named):
    """Expect both."""
    with unchanged(index), refusal(*named):
        yield


@pytest.mark.parametrize(("folder", "name"), FILES)
def test_a_run_with_nothing_new_stops_at_a_file_that_cannot_be_read(index, folder, name):
    with unchanged(index):
        for error in ERRORS:
            with refusal(name, "cannot be read", error.strerror), failing(folder, name, error):
                add_nothing(index)


@pytest.mark.parametrize("run", [optimize, search])
@pytest.mark.parametrize(("folder", "name"), FILES)
def test_so_do_a_thorough_run_and_a_reader(index, folder, name, run):
    with refused(index, name, "cannot be read", "Too many open files"), failing(folder, name, ERRORS[0]):
        run(index)
    assert search(index).manifest == run(index).manifest


@pytest.mark.parametrize(("folder", "name"), FILES)
def test_verify_reports_it_and_what_else_is_wrong(index, folder, name):
    left_over = index / "shards" / "video" / "left-over" / "ids.npy"
    left_over.parent.mkdir()
    left_over.touch()
    with failing(folder, name, ERRORS[1]):
        problems = verify(index)
    shutil.rmtree(left_over.parent)
    found = [problem.what for problem in problems if not problem.orphan]
    assert len(found) == 1
    assert f"{name} cannot be read: Input/output error" in found[0]
    assert len(problems) == 2, "the left-over"
    assert verify(index) == ()


@pytest.mark.parametrize(("folder", "name"), FILES)
def test_a_lack_of_memory_is_no_damage(index, folder, name):
    with refused(index, name, "not enough memory"), failing(folder, name, MemoryError()):
        add_nothing(index)


@pytest.mark.parametrize("name", ["ids.npy", "vectors.f16"])
def test_a_file_that_cannot_be_mapped_is_no_damage(index, monkeypatch, name):
    mapped = mmap.mmap

    def failing_map(descriptor, *args, **kwargs):
        if Path(f"/proc/self/fd/{descriptor}").readlink().name == name:
            raise ERRORS[2]
        return mapped(descriptor, *args, **kwargs)

    with refused(index, name, "Cannot allocate memory"), monkeypatch.context() as patch:
        patch.setattr(mmap, "mmap", failing_map)
        add_nothing(index)


def test_codes_that_faiss_cannot_open_are_no_damage(index, monkeypatch):
    def starved(path, reader=faiss.FileIOReader):
        with no_free_descriptor():
            return reader(path)

    with refused(index, "codes.faiss", "Too many open files"), monkeypatch.context() as patch:
        patch.setattr(faiss, "FileIOReader", starved)
        add_nothing(index)


def test_codes_that_faiss_has_no_memory_for_are_no_damage(index, monkeypatch):
    def exhausted(reader):
        raise MemoryError("std::bad_alloc")

    with refused(index, "codes.faiss", "not enough memory"), monkeypatch.context() as patch:
        patch.setattr(faiss, "read_InvertedLists", exhausted)
        add_nothing(index)


@pytest.mark.parametrize("opened", [Codebook, Shard])
def test_a_limit_of_open_files_is_no_damage(index, monkeypatch, opened):
    def starved(*args, open_whole=opened.open):
        with no_free_descriptor():
            return open_whole(*args)

    with refused(index, "Too many open files"), monkeypatch.context() as patch:
        patch.setattr(opened, "open", starved)
        add_nothing(index)


def test_vectors_that_cannot_be_read_while_the_search_is_tuned_change_nothing(index, monkeypatch):
    batches = Shard.batches

    def failing_batches(shard, rows):
        with failing("shard", "vectors.f16", ERRORS[1]):
            yield from batches(shard, rows)

    with refused(index, "vectors.f16", "Input/output error"), monkeypatch.context() as patch:
        patch.setattr(Shard, "batches", failing_batches)
        tune_again(index)


@pytest.mark.parametrize(("folder", "name"), FILES)
def test_a_disk_that_reports_an_error_is_no_damage(index, tmp_path, monkeypatch, folder, name):
    """Reading /proc/self/mem at 0 fails with EIO, as a bad sector does."""
    snapshot = open_snapshot(index)
    ref = snapshot.codebook(VIDEO) if folder == "codebook" else snapshot.shards(VIDEO)[0]
    copy = tmp_path / "copy"
    shutil.copytree(snapshot.shard_dir(ref), copy)
    codebook = Codebook.open(snapshot.shard_dir(snapshot.codebook(VIDEO)), 64)
    opened = os.open
    in_place = {copy / name: "/proc/self/mem"}
    monkeypatch.setattr(os, "open", lambda path, *args, **kwargs: opened(in_place.get(path, path), *args, **kwargs))
    with pytest.raises(IndexStateError, match=f"{name} cannot be read") as caught:
        Codebook.open(copy, 64) if folder == "codebook" else Shard.open(copy, codebook)
    assert not isinstance(caught.value, IndexCorruptError)
