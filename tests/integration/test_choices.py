"""Choices for folders: remembered by the index, shown, used again, and forgotten; and `.waveignore` files."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

import wave_search as ws
from wave_search.indexer.choices import Rules
from wave_search.indexer.scan import Area, scan

if TYPE_CHECKING:
    from tests.conftest import Called
    from tests.libraries import CountingEmbedder

GIT_LEAVES = [
    *("a.wav", "build/a/kept.wav", "deep/odd name .wav", "deep/raw/z.wav", "deep/sub/only.wav", "deep/top/y.wav"),
    "keep.md",
]
"""What `git ls-files --others --exclude-per-directory=.waveignore` leaves of the same files."""


def make(folder: Path, *files: str) -> Path:
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"the text of {name}")
    return folder


def names(index: ws.Index) -> list[str]:
    return [file.path.name for file in index.files() if file.status == "indexed"]


def test_choices_hold_for_later_runs_until_they_are_replaced(
    called: Called, counted: CountingEmbedder, tmp_path: Path
) -> None:
    media = make(tmp_path / "media", "a.txt", "b.md", "sub/c.txt", "sub/d.md", "sub/e.tmp.txt")
    folder, given = tmp_path / "index", ["--index", "index", "--model", "wave-tiny"]
    run = called("index", "media", *given, "--exclude", "*.md", "--max-duration", "1:00", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    with ws.open(folder) as index:
        assert index.add([media]).unchanged == 3
        index.add([media / "sub"], exclude=["*.tmp.*"])
        assert (names(index), index.add([media]).unchanged) == (["a.txt", "c.txt"], 2), "both hold in the inner folder"
        index.add([media / "sub"], exclude=[])
        assert names(index) == ["a.txt", "c.txt", "e.tmp.txt"], "the outer one is kept"
    shown = called("info", "--index", "index", cwd=tmp_path)
    assert f"left out\t{media}: *.md, longer than 1:00.0\n" in shown.stdout
    described = json.loads(called("info", "--index", "index", "--json", cwd=tmp_path).stdout)
    assert described["folders"] == [{"folder": str(media), "exclude": ["*.md"], "max_duration_s": 60}]
    assert called("index", "media", *given, "--exclude", "", "--max-duration", "none", cwd=tmp_path).returncode == 0
    with ws.open(folder) as index:
        assert (len(names(index)), index.info().folders) == (5, ())


def test_a_removed_folder_has_no_choices(counted: CountingEmbedder, tmp_path: Path) -> None:
    media = make(tmp_path / "media", "a.txt", "b.md")
    with ws.create(tmp_path / "index", "wave-tiny") as index:
        index.add([media], exclude=["*.md"], max_duration_s=5)
        assert index.add([media], max_duration_s=math.inf).removed == 0
        assert [(one.exclude, one.max_duration_s) for one in index.info().folders] == [(("*.md",), None)]
        index.remove([media])
        assert index.info().folders == ()


def test_waveignore_is_read_as_git_reads_it(tmp_path: Path) -> None:
    make(tmp_path, "a.wav", "b.md", "keep.md", "raw/x.wav", "top/y.wav", "deep/top/y.wav", "deep/b.md", "deep/keep.md")
    make(tmp_path, "deep/raw/z.wav", "deep/odd name .wav", "deep/#hash.wav", "deep/sub/only.wav", "deep/sub/else.wav")
    make(tmp_path, "build/a/b/c.wav", "build/c.wav", "build/a/kept.wav")
    (tmp_path / ".waveignore").write_bytes(
        b"\xef\xbb\xbf# a comment\r\n*.md\r\n!keep.md\n/top/\nraw\nbuild/**/c.wav\n\\#hash.wav\n!\n"
    )
    (tmp_path / "deep" / ".waveignore").write_text("keep.md\n!raw/\nsub/*\n!sub/only.wav\n")
    root = os.fsencode(tmp_path)
    rules = Rules(root + b"/index", (), [root])

    def found(folder: bytes) -> list[str]:
        seen = scan([Area(folder, is_folder=True)], [root], rules)
        assert not seen.skipped
        return sorted(os.fsdecode(os.path.relpath(path, root)) for path in seen.files)

    assert found(root) == GIT_LEAVES
    assert found(root + b"/deep/sub") == ["deep/sub/only.wav"], "the files around a folder hold for it"
    left_out = [path for path in tmp_path.rglob("*.*") if rules.leave_out(os.fsencode(path))]
    assert {path.name for path in left_out} == {"b.md", "x.wav", "y.wav", "keep.md", "#hash.wav", "else.wav", "c.wav"}
    assert tmp_path / "keep.md" not in left_out


def test_a_folder_whose_waveignore_cannot_be_read_is_left_as_it_is(counted: CountingEmbedder, tmp_path: Path) -> None:
    media = make(tmp_path / "media", "a.txt", "sub/b.txt")
    with ws.create(tmp_path / "index", "wave-tiny") as index:
        index.add([media])
        (media / "sub" / ".waveignore").symlink_to(media / "a.txt")
        make(media, "sub/new.txt")
        report = index.add([media])
        assert (report.indexed, report.removed, names(index)) == (0, 0, ["a.txt", "b.txt"])
        (skipped,) = report.skipped
        assert skipped.path == media / "sub"
        assert skipped.cause == f"{media / 'sub' / '.waveignore'} cannot be read (it is a symbolic link)"
