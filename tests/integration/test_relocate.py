"""`relocate`: a folder of media that was moved keeps what is indexed, and what is gone comes last in results."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import wave_search as ws
from wave_search.errors import UsageError
from wave_search.indexer import MetadataEdit

if TYPE_CHECKING:
    from tests.conftest import Called
    from tests.libraries import CountingEmbedder

TEXTS = {"a.txt": "a dog barks", "b.txt": "rain on a roof", "sub/c.txt": "two people talk", "d.md": "left out"}


@pytest.fixture
def moved(tmp_path: Path, counted: CountingEmbedder) -> Path:
    """A folder with an `index`, and with `new`, which was indexed as `old`."""
    for name, text in TEXTS.items():
        (tmp_path / "old" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "old" / name).write_text(text)
    with ws.create(tmp_path / "index", "wave-tiny") as index:
        index.add([tmp_path / "old"], exclude=["*.md"])
        index.edit_metadata([MetadataEdit([tmp_path / "old" / "a.txt"], set={"place": "Berlin"})])
    (tmp_path / "old").rename(tmp_path / "new")
    return tmp_path


def listed(index: ws.Index) -> list[Path]:
    return [file.path for file in index.files()]


def test_all_that_belongs_to_a_folder_moves_with_it(moved: Path, counted: CountingEmbedder) -> None:
    with ws.open(moved / "index") as index:
        version, embedded = index.version, counted.clips
        report = index.relocate(moved / "old", moved / "new")
        assert (report.moved, report.unread, report.left, index.version) == (3, 0, (), version + 1)
        assert listed(index) == [moved / "new" / name for name in ("a.txt", "b.txt", "sub/c.txt")]
        assert (index.info().roots, index.info().folders[0].folder) == ((moved / "new",), str(moved / "new"))
        assert [file.columns for file in index.files("place = 'Berlin'", columns=["place"])] == [{"place": "Berlin"}]
        report_of_add = index.add([moved / "new"])
        assert (report_of_add.unchanged, report_of_add.removed, counted.clips) == (3, 0, embedded)


def test_a_part_of_a_folder_and_a_single_file_move(moved: Path) -> None:
    with ws.open(moved / "index") as index:
        (moved / "new").rename(moved / "old")
        (moved / "old" / "sub").rename(moved / "elsewhere")
        assert index.relocate(moved / "old" / "sub", moved / "elsewhere").moved == 1
        assert index.info().roots == (moved / "elsewhere", moved / "old")
        (moved / "old" / "a.txt").rename(moved / "old" / "z.txt")
        assert index.relocate(moved / "old" / "a.txt", moved / "old" / "z.txt").moved == 1
        assert [path.name for path in listed(index)] == ["c.txt", "b.txt", "z.txt"]
        assert index.add([moved / "elsewhere", moved / "old"]).unchanged == 3


def test_the_old_place_may_be_a_link_to_the_new_one_or_have_composed_letters(moved: Path) -> None:
    (moved / "old").symlink_to(moved / "new")
    with ws.open(moved / "index") as index:
        assert index.relocate(moved / "old", moved / "new").moved == 3
        (moved / "new").rename(moved / "caf\u00e9")
        index.relocate(moved / "new", moved / "caf\u00e9")
        (moved / "caf\u00e9").rename(moved / "new")
        assert index.relocate(moved / "cafe\u0301", moved / "new").moved == 3
        assert index.info().roots == (moved / "new",)


def test_files_with_another_time_are_compared_by_content(moved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wave_search.indexer.relocation._SAMPLE", 1)
    for name in TEXTS:
        os.utime(moved / "new" / name, (1, 1))
    with ws.open(moved / "index") as index:
        report = index.relocate(moved / "old", moved / "new")
        assert (report.moved, report.unread) == (3, 2)
        (moved / "new" / "sub" / "c.txt").write_text("two peoples tal")  # of the same size
        after = index.add([moved / "new"])
        assert (after.unchanged, after.reused, after.indexed) == (1, 1, 1), "what was not compared is read"


def test_what_is_not_at_the_new_place_keeps_its_path(called: Called, moved: Path) -> None:
    (moved / "new" / "a.txt").write_text("longer than before")
    (moved / "new" / "b.txt").unlink()
    run = called("relocate", "old", "new", "--index", "index", "--json", cwd=moved)
    assert run.returncode == 3
    assert "moved 1 file\nwarning: 2 files left at the old place:\n" in run.stderr
    record = json.loads(run.stdout)
    assert [(Path(one["path"]).name, one["cause"]) for one in record["left"]] == [
        ("a.txt", f"{moved / 'new' / 'a.txt'} is another file, of another size"),
        ("b.txt", f"{moved / 'new' / 'b.txt'}: No such file or directory"),
    ]
    with ws.open(moved / "index") as index:
        assert listed(index) == [moved / "new" / "sub" / "c.txt", moved / "old" / "a.txt", moved / "old" / "b.txt"]
        assert index.info().roots == (moved / "new", moved / "old")


def test_a_wrong_place_changes_nothing(moved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(moved)
    (moved / "old").mkdir()
    (moved / "other").mkdir()
    for name, text in TEXTS.items():  # of the same size and another time, which the digest tells apart
        (moved / "other" / name).parent.mkdir(exist_ok=True)
        (moved / "other" / name).write_bytes(b"x" * len(text))
        os.utime(moved / "other" / name, (1, 1))
    with ws.open("index") as index:
        version = index.version
        for old, new, message in (
            ("old", "missing", "missing: No such file or directory"),
            ("other", "new", "no file of the index is in other"),
            ("old", "other", "none of the 3 files of the index is in other, such as a.txt"),
            ("old", "old", "old and old are the same place"),
        ):
            with pytest.raises(UsageError, match=message):
                index.relocate(old, new)
        assert (index.version, len(listed(index))) == (version, 3)


def test_files_that_are_gone_come_last(called: Called, moved: Path) -> None:
    shutil.copytree(moved / "new", moved / "there")
    (moved / "there" / "b.txt").unlink()
    with ws.open(moved / "index") as index:
        index.add([moved / "there"])
        for options in ({}, {"moments": False, "k": 1}, {"dedupe": 0.99}):
            hits = index.search(text=TEXTS["b.txt"], **options)
            there = [moved / "old" not in hit.path.parents for hit in hits]
            assert there[0], "although another one is the query itself"
            assert there == sorted(there, reverse=True)
            assert [hit.rank for hit in hits] == list(range(1, len(hits) + 1))
    run = called("query", "--text", "rain on a roof", "--index", "index", cwd=moved)
    old = moved / "old"
    assert run.stderr.endswith(
        f"note: 1 matching file is gone. If {old} was moved, run `wave-search relocate {old} NEW --index index`; "
        f"if it was deleted, `wave-search remove {old} --index index`\n"
    )
    run = called("query", "--text", TEXTS["b.txt"], "--index", "index", "-n", "1", cwd=moved)
    assert "note: 1 matching file is gone (raise the limit for it). If " in run.stderr
    assert "b.txt" not in run.stdout
