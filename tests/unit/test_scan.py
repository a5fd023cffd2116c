from __future__ import annotations

import errno
import os
import socket
from contextlib import nullcontext
from pathlib import Path

import pytest

from wave_search.errors import UsageError
from wave_search.files import as_path, is_under
from wave_search.indexer import scan as module
from wave_search.indexer.choices import Rules, remember
from wave_search.indexer.run import targets
from wave_search.indexer.scan import (
    Area,
    Scan,
    join_roots,
    outermost,
    resolve,
    scan,
)


def scanned(folder: Path, *paths: Path, exclude: tuple[str, ...] = ()) -> Scan:
    index_dir = folder / ".wave-search"
    areas = resolve(paths or [folder], index_dir)
    roots = join_roots([], areas)
    choices = remember((), [area.path for area in areas if area.is_folder], exclude, None)
    return scan(areas, roots, Rules(os.fsencode(index_dir.resolve()), choices, roots), exclude)


def names(seen: Scan, folder: Path) -> list[str]:
    return [os.fsdecode(os.path.relpath(path, os.fsencode(folder.resolve()))) for path in seen.files]


def make(folder: Path, *files: str) -> None:
    for name in files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def test_files_come_in_byte_order_and_before_folders(tmp_path: Path) -> None:
    make(tmp_path, "b/2", "b/1", "a/z/3", "a/4", "c", "B")
    assert names(scanned(tmp_path), tmp_path) == ["B", "c", "a/4", "a/z/3", "b/1", "b/2"]


def test_hidden_files_and_the_index_are_passed_over(tmp_path: Path) -> None:
    make(tmp_path, ".hidden", ".git/config", ".wave-search/lance/x", "seen")
    assert names(scanned(tmp_path), tmp_path) == ["seen"]


def test_an_index_without_a_dot_is_passed_over_too(tmp_path: Path) -> None:
    make(tmp_path, "idx/lance/x", "idx2/y")
    areas = resolve([tmp_path], tmp_path / "idx")
    roots = join_roots([], areas)
    seen = scan(areas, roots, Rules(os.fsencode(tmp_path / "idx"), (), roots))
    assert names(seen, tmp_path) == ["idx2/y"]


def test_a_hidden_file_that_is_named_itself_is_taken(tmp_path: Path) -> None:
    make(tmp_path, ".hidden/.a")
    seen = scanned(tmp_path, tmp_path / ".hidden" / ".a")
    assert names(seen, tmp_path) == [".hidden/.a"]
    assert next(iter(seen.files.values())).named


def test_a_file_named_and_found_in_a_folder_comes_once_and_counts_as_named(tmp_path: Path) -> None:
    make(tmp_path, "a", "b")
    for paths in ([tmp_path, tmp_path / "a"], [tmp_path / "a", tmp_path]):
        seen = scanned(tmp_path, *paths)
        assert sorted(names(seen, tmp_path)) == ["a", "b"]
        assert seen.files[os.fsencode(tmp_path.resolve() / "a")].named


def test_names_that_are_no_text(tmp_path: Path) -> None:
    for name in (b"new\nline.wav", b"latin-\xe9\xff.wav", b"-leading.wav", b"concat:a|b.wav", b"a" * 255):
        (tmp_path / os.fsdecode(name)).write_bytes(b"x")
    assert {path.rpartition(b"/")[2] for path in scanned(tmp_path).files} == {
        b"new\nline.wav", b"latin-\xe9\xff.wav", b"-leading.wav", b"concat:a|b.wav", b"a" * 255,
    }  # fmt: skip


def test_links_in_folders_are_not_followed(tmp_path: Path) -> None:
    library, elsewhere = tmp_path / "library", tmp_path / "elsewhere"
    make(library, "real.wav", "sub/x.wav")
    make(elsewhere, "song.wav", "notes.xyz", "folder/y.wav")
    links = {
        "loop": "..",
        "self.mp4": "self.mp4",
        "dangling.mp4": "/no/such",
        "zero.wav": "/dev/zero",
        "inside.wav": "../real.wav",
        "song.wav": str(elsewhere / "song.wav"),
        "notes": str(elsewhere / "notes.xyz"),
        "folder": str(elsewhere / "folder"),
    }
    for name, target in links.items():
        (library / "sub" / name).symlink_to(target)
    seen = scanned(tmp_path, library)
    assert names(seen, library) == ["real.wav", "sub/x.wav"]
    told = {as_path(path).name: one.why for path, one in seen.unusable.items()}
    causes = {name: why.cause.partition(";")[0] for name, why in told.items()}
    elsewhere_cause, nowhere_cause = "a symbolic link to another place", "a link to a file that does not exist"
    assert causes == {
        "song.wav": elsewhere_cause,
        "folder": elsewhere_cause,
        "dangling.mp4": nowhere_cause,
        "self.mp4": nowhere_cause,
        "zero.wav": "a symbolic link to a device, not to a file",
    }
    assert str(elsewhere / "song.wav") in told["song.wav"].remedy
    assert [as_path(path).name for path in seen.not_media] == ["notes"]


def test_a_link_that_is_named_itself_stands_for_its_target(tmp_path: Path) -> None:
    make(tmp_path, "real/a.wav")
    (tmp_path / "link").symlink_to("real")
    assert names(scanned(tmp_path, tmp_path / "link", tmp_path / "real"), tmp_path) == ["real/a.wav"]


def test_pipes_sockets_and_devices_are_reported_and_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "fifo.wav")
    monkeypatch.chdir(tmp_path)  # a socket's name is short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.wav")
        seen = scanned(tmp_path, tmp_path, Path("/dev/zero"))
    assert not seen.files
    assert {(one.why.path.name, one.why.cause) for one in seen.unusable.values()} == {
        ("fifo.wav", "a named pipe, not a file"),
        ("socket.wav", "a socket, not a file"),
        ("zero", "a device, not a file"),
    }


@pytest.mark.parametrize(
    ("pattern", "left"),
    [
        ("*.tmp.wav", ["keep/a.wav", "drop/b.wav", "drop/deep/c.wav"]),
        ("drop", ["keep/a.wav", "keep/x.tmp.wav"]),
        ("drop/", ["keep/a.wav", "keep/x.tmp.wav"]),
        ("drop/deep", ["keep/a.wav", "keep/x.tmp.wav", "drop/b.wav"]),
        ("*/deep/*", ["keep/a.wav", "keep/x.tmp.wav", "drop/b.wav"]),
        ("?.wav", ["keep/x.tmp.wav"]),
    ],
)
def test_exclude(tmp_path: Path, pattern: str, left: list[str]) -> None:
    make(tmp_path, "keep/a.wav", "keep/x.tmp.wav", "drop/b.wav", "drop/deep/c.wav")
    assert sorted(names(scanned(tmp_path, exclude=(pattern,)), tmp_path)) == sorted(left)


def test_exclude_holds_for_named_files(tmp_path: Path) -> None:
    make(tmp_path, "a.wav", "b.wav")
    assert names(scanned(tmp_path, tmp_path / "a.wav", tmp_path / "b.wav", exclude=("a.*",)), tmp_path) == ["b.wav"]


def test_a_folder_that_cannot_be_listed_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "open/a", "locked/b")
    locked, real_scandir = os.fsencode(tmp_path.resolve() / "locked"), os.scandir

    def refusing(path: bytes) -> object:  # tests may run as root, for whom nothing is locked
        if path == locked:
            raise PermissionError(13, "Permission denied", path)
        return real_scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    seen = scanned(tmp_path)
    assert names(seen, tmp_path) == ["open/a"]
    assert seen.unreadable == [locked]
    assert seen.skipped[0].cause == "the folder cannot be listed (Permission denied)"


def test_an_entry_that_cannot_be_examined_is_reported_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "a", "b")
    bad, real_scandir = os.fsencode(tmp_path.resolve() / "a"), os.scandir

    class FailingEntry:
        name, path = b"a", bad

        def is_symlink(self) -> bool:
            return False

        def is_dir(self, *, follow_symlinks: bool) -> bool:
            return False

        def stat(self, *, follow_symlinks: bool) -> os.stat_result:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    def failing(path: bytes) -> object:
        with real_scandir(path) as entries:
            return nullcontext([FailingEntry() if entry.path == bad else entry for entry in entries])

    monkeypatch.setattr(os, "scandir", failing)
    seen = scanned(tmp_path)
    assert names(seen, tmp_path) == ["b"]
    assert seen.unreadable == [bad]
    assert [skipped.cause for skipped in seen.skipped] == ["cannot be read (Input/output error)"]


@pytest.mark.parametrize("name", ["missing", "missing/deeper", "loop", "dangling", "nul\0byte"])
def test_an_argument_that_does_not_exist_is_a_mistake(tmp_path: Path, name: str) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "dangling").symlink_to("nowhere")
    with pytest.raises(UsageError, match=name.replace("\0", ".")):
        resolve([tmp_path, tmp_path / name], tmp_path / "index")


def test_an_argument_that_is_missing_but_indexed_counts_as_an_empty_folder(tmp_path: Path) -> None:
    gone = tmp_path.resolve() / "gone"
    known = [os.fsencode(gone / "a.wav")]
    assert resolve([gone], tmp_path / "index", known) == [Area(os.fsencode(gone), is_folder=True)]
    assert resolve([gone / "a.wav"], tmp_path / "index", known) == [Area(known[0], is_folder=True)]
    with pytest.raises(UsageError, match="No such file"):
        resolve([tmp_path / "other"], tmp_path / "index", known)


def test_the_index_itself_and_nothing_at_all_are_mistakes(tmp_path: Path) -> None:
    (tmp_path / "index" / "lance").mkdir(parents=True)
    with pytest.raises(UsageError, match="is the index itself"):
        resolve([tmp_path / "index" / "lance"], tmp_path / "index")
    with pytest.raises(UsageError, match="no folder or file"):
        resolve([], tmp_path / "index")


def test_is_under() -> None:
    assert is_under(b"/a/b", b"/a")
    assert is_under(b"/a", b"/a")
    assert is_under(b"/a", b"/")
    assert not is_under(b"/ab", b"/a")
    assert not is_under(b"/", b"/a")


def test_outermost() -> None:
    assert outermost([b"/a/b", b"/a-b", b"/a", b"/a/b/c", b"/c/d", b"/a"]) == [b"/a", b"/a-b", b"/c/d"]
    assert outermost([b"/x", b"/"]) == [b"/"]


def test_roots_are_joined() -> None:
    areas = [Area(b"/m/sub", True), Area(b"/n/file.wav", False), Area(b"/o", True)]
    assert join_roots([b"/m", b"/o/inner"], areas) == [b"/m", b"/n", b"/o"]


def test_folders_that_many_files_share_are_looked_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is missing and what is removed costs one pass over the files of the index, and not one for each argument."""
    looked, parent = [], module.parent
    monkeypatch.setattr(module, "parent", lambda path: looked.append(path) or parent(path))
    real = os.fsencode(tmp_path.resolve())
    files = [real + b"/gone/%d/%d" % (i % 10, i) for i in range(1000)]
    assert len(resolve([tmp_path / "gone" / str(i) for i in range(10)], tmp_path / "index", files)) == 10
    assert len(looked) < 1000 + 10 + 20
    looked.clear()
    is_target = targets([tmp_path / "gone" / "3", tmp_path / "gone" / "4" / "24", tmp_path / "elsewhere"], files)
    assert sum(map(is_target, files)) == 101
    assert len(looked) < 1000 + 10 + 20
