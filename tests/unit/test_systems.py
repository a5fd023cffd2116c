"""What systems other than Linux lack, and what is done there instead: each fallback is forced."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
import types
from pathlib import Path

import pytest

from wave_search import descriptors, processes, system
from wave_search.descriptors import Folder
from wave_search.errors import IndexLockedError
from wave_search.files import IrregularFileError, as_name, open_regular, read_bounded, write_atomic
from wave_search.media.source import IndependentReader
from wave_search.store.files import FileInfo
from wave_search.store.local_files import LocalFiles


def no_link(*_: object, **__: object) -> None:
    raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))


def locking(descriptor: int, mode: int, size_bytes: int) -> None:
    """The function of msvcrt: ranges of bytes, and other numbers of errors."""
    assert os.lseek(descriptor, 0, os.SEEK_CUR) > 1 << 20, "nobody could read who has the lock"
    assert size_bytes == 1
    try:
        fcntl.flock(descriptor, {0: fcntl.LOCK_UN, 1: fcntl.LOCK_EX, 2: fcntl.LOCK_EX | fcntl.LOCK_NB}[mode])
    except BlockingIOError as error:
        raise OSError(errno.EACCES, "Permission denied") from error


MSVCRT = types.SimpleNamespace(LK_UNLCK=0, LK_LOCK=1, LK_NBLCK=2, locking=locking)


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A system with nothing but what all of them have, and the locks of Windows."""
    monkeypatch.setattr(descriptors, "fcntl", None)
    monkeypatch.setitem(sys.modules, "msvcrt", MSVCRT)
    monkeypatch.setattr(system, "resource", None)
    monkeypatch.setattr(system, "_data_limit_bytes", None)
    monkeypatch.setattr(Folder, "BY_DESCRIPTOR", False)
    monkeypatch.setattr(processes, "PROC", Path("/nothing"))
    for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "pread", "pwrite", "sched_getaffinity", "sysconf", "link"):
        monkeypatch.delattr(os, name)
    monkeypatch.setattr(os, "link", no_link, raising=False)
    monkeypatch.delattr(os, "setpriority")
    monkeypatch.delattr(os, "SEEK_HOLE")
    return monkeypatch


def test_an_index_is_written_listed_and_locked_without_descriptors(bare: pytest.MonkeyPatch, tmp_path: Path) -> None:
    files, other = LocalFiles(tmp_path / "index"), LocalFiles(tmp_path / "index")
    files.put("manifest/1.json", b"one")
    files.put("manifest/1.json", b"two")
    files.put_if_absent("manifest/2.json", b"three")
    with pytest.raises(FileExistsError):
        files.put_if_absent("manifest/2.json", b"four")
    assert [files.get(f"manifest/{number}.json") for number in (1, 2)] == [b"two", b"three"]
    assert {found.name for found in files.list()} == {"manifest/1.json", "manifest/2.json"}
    with files.lock():
        assert (other.writer() or "").startswith(f"process {os.getpid()} ")
        with pytest.raises(IndexLockedError, match=f"process {os.getpid()} "), other.lock():
            pass
    assert other.writer() is None
    with other.lock():
        pass
    files.flush(["manifest/2.json"])
    files.delete(["manifest/1.json", "manifest/2.json"])
    assert [found.name for found in files.list()] == ["lock"]


def test_links_are_refused_without_the_help_of_the_system(bare: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "file").write_bytes(b"secret")
    index = tmp_path / "index"
    index.mkdir()
    (index / "manifest").symlink_to(tmp_path / "secret")
    (index / "lock").symlink_to(tmp_path / "secret" / "file")
    files = LocalFiles(index)
    for attempt in (
        lambda: files.get("manifest/file"),
        lambda: files.put("manifest/file", b""),
        lambda: files.delete(["manifest/file"]),
        lambda: files.get("lock"),
        lambda: files.lock().__enter__(),
    ):
        with pytest.raises(Exception, match="symbolic link"):
            attempt()
    with pytest.raises(IrregularFileError):
        open_regular(index / "lock")
    assert (tmp_path / "secret" / "file").read_bytes() == b"secret"


def test_a_junction_is_a_link(bare: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "junction").mkdir()
    bare.setattr(os.path, "isjunction", lambda path: Path(path).name == "junction", raising=False)
    with Folder(tmp_path) as folder, pytest.raises(OSError, match="symbolic links") as refusal:
        Folder(tmp_path / "junction", folder)
    assert refusal.value.errno == errno.ELOOP


def test_a_disk_without_links_replaces_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "link", no_link)
    write_atomic(tmp_path / "new", b"first", overwrite=False)
    with pytest.raises(FileExistsError):
        write_atomic(tmp_path / "new", b"second", overwrite=False)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("new", b"first")]


def test_readers_of_one_file_have_positions_of_their_own(bare: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abcdef")
    with (tmp_path / "file").open("rb", buffering=0) as file:
        left, right = IndependentReader(file), IndependentReader(file, 3)
        assert (left.read(2), right.read(2), file.read(1), left.read(2)) == (b"ab", b"de", b"a", b"cd")


def test_files_have_paths_without_proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "-file").write_bytes(b"x")
    (tmp_path / "link").symlink_to("folder")
    monkeypatch.setattr(descriptors, "_OPENED", Path("/nothing"))
    monkeypatch.chdir(tmp_path / "folder")
    with open_regular(Path("-file")) as file:
        assert descriptors.descriptor_path(file) == str(tmp_path / "folder" / "-file")
        assert descriptors.is_opened_at(file, tmp_path / "folder" / "-file")
        assert not descriptors.is_opened_at(file, tmp_path / "link" / "-file")
        (tmp_path / "other").write_bytes(b"y")
        assert not descriptors.is_opened_at(file, tmp_path / "other")


def test_the_machine_is_described_by_what_there_is(bare: pytest.MonkeyPatch) -> None:
    assert system.cores() == os.cpu_count()
    assert system.physical_bytes() == 4 << 30
    assert system.peak_bytes() == 0
    assert system.data_limit_bytes() is None
    system.limit_memory(300 << 20)
    assert system.data_limit_bytes() == 300 << 20
    system.be_nice(10)


def test_holes_are_not_looked_for_where_the_system_shows_none(bare: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    os.truncate(tmp_path / "file", 2 << 30)
    assert descriptors.occupies_bytes((tmp_path / "file").stat()) == 2 << 30
    with pytest.raises(IrregularFileError, match="more than the 10 allowed"):
        read_bounded(tmp_path / "file", 10)


def test_without_proc_nothing_is_timed_or_paused(bare: pytest.MonkeyPatch) -> None:
    assert not processes.can_watch()
    assert processes.cpu_s(os.getpid()) is None
    assert processes.peak_bytes(os.getpid()) == 0
    processes.resume(os.getpid())


def test_an_index_has_slashes_on_all_systems(monkeypatch: pytest.MonkeyPatch) -> None:
    assert as_name(Path("/a\\b/c")) == b"/a\\b/c"
    monkeypatch.setattr(os, "sep", "\\")
    assert as_name("C:\\media\\dog.wav") == b"C:/media/dog.wav"


def test_only_constants_that_there_are() -> None:
    assert system.constants(signal, "SIGINT", "SIGNOTHING") == {signal.SIGINT}


def ended(code: str, **options: object) -> subprocess.Popen[bytes]:
    """A process with this code, without the signals of timers and of the death of parents."""
    setup = "import os, signal, time; del signal.setitimer, signal.SIGALRM; from wave_search import processes, system"
    setup += "; system.HAS_DEATH_SIGNAL = False"
    return subprocess.Popen([sys.executable, "-c", f"{setup}\n{code}"], **options)  # type: ignore[call-overload,no-any-return]


def test_a_thread_ends_what_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    code = ended("system.accept_alarm(); system.end_after(9); system.end_after(1e-3)\nwhile True: pass").wait()
    monkeypatch.delattr(signal, "SIGALRM")
    assert system.was_ended_after(code)
    # The limit is long enough that a busy machine comes to lift it, and the process outlives it.
    assert ended("system.end_after(1.0); system.end_after(0.0); time.sleep(1.2)").wait() == 0


def test_a_process_ends_with_its_parent_by_its_stdin() -> None:
    process = ended(
        "processes.end_with_parent(0); print(flush=True)\nwhile True: pass",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None and process.stdin is not None  # noqa: PT018
    assert process.stdout.read(1) == b"\n"
    process.stdin.close()
    assert process.wait(30) == 0
    process.stdout.close()


def test_names_in_a_listing_are_those_of_the_index(bare: pytest.MonkeyPatch, tmp_path: Path) -> None:
    files = LocalFiles(tmp_path)
    files.put("shards/a/b.bin", b"12")
    assert [(found.name, found.size_bytes) for found in files.list("shards")] == [("shards/a/b.bin", 2)]
    assert isinstance(next(files.list("shards")), FileInfo)
