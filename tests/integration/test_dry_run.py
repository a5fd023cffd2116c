"""`--dry-run`: what would be done is printed, and nothing is written."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import wave_search as ws

if TYPE_CHECKING:
    from tests.conftest import Called
    from tests.libraries import CountingEmbedder


def content(folder: Path) -> dict[str, tuple[bytes, int]]:
    """All files below a folder, with their bytes and times."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


@pytest.fixture
def place(tmp_path: Path, counted: CountingEmbedder) -> Path:
    """A folder with `media` and an `index` that is not up to date with it."""
    media = tmp_path / "media"
    media.mkdir()
    for name in ("same", "changed", "deleted", "moved", "left-out"):
        (media / f"{name}.txt").write_text(f"the words of {name}")
    with ws.create(tmp_path / "index", "wave-tiny") as index:
        index.add([media])
        index.add([media])
    (media / "changed.txt").write_text("other words")
    (media / "deleted.txt").unlink()
    (media / "moved.txt").rename(media / "new-name.txt")
    (media / "new.txt").write_text("words that are new")
    (media / "table.csv").write_text("1,2")
    return tmp_path


def test_index_prints_what_it_would_do(called: Called, place: Path, counted: CountingEmbedder) -> None:
    before, loads = content(place), counted.loads
    given = ["index", "media", "--index", "index", "--exclude", "left-*", "--dry-run"]
    run = called(*given, cwd=place)
    assert (run.returncode, content(place), counted.loads) == (0, before, loads)
    assert {tuple(line.split("\t")) for line in run.stdout.splitlines()} == {
        *(("new", str(place / "media" / name)) for name in ("new.txt", "new-name.txt")),
        ("changed", str(place / "media" / "changed.txt")),
        *(("removed", str(place / "media" / f"{name}.txt")) for name in ("deleted", "left-out", "moved")),
    }
    assert run.stderr == (
        "dry run, nothing was changed: 2 new, 1 to be read again, 1 unchanged, 3 to be removed "
        "(1 new file probably moved from there), 1 not media\n"
    )
    plan = json.loads(called(*given, "--json", cwd=place).stdout)
    assert {name: len(plan[name]) for name in ("new", "changed", "removed")} == {"new": 2, "changed": 1, "removed": 3}
    assert (plan["moved"], plan["unchanged"], plan["not_media"], plan["skipped"]) == (1, 1, {".csv": 1}, [])

    real = called("index", "media", "--index", "index", "--exclude", "left-*", "--json", "--workers", "1", cwd=place)
    report = json.loads(real.stdout)
    assert (report["indexed"], report["reused"], report["removed"], report["unchanged"]) == (2, 1, 3, 1)


def test_a_new_index_is_not_created(called: Called, place: Path) -> None:
    before = content(place)
    run = called("index", "media", "--index", "other", "--dry-run", cwd=place)
    assert (run.returncode, len(run.stdout.splitlines()), content(place)) == (0, 5, before)
    assert not (place / "other").exists()
    for wrong in (["--segment", "soon"], ["--modalities", "smell"], ["--audio-track", "?"], ["--recall", "2"]):
        assert called("index", "media", "--index", "other", "--dry-run", *wrong, cwd=place).returncode == 2
    assert called("index", "media", "--index", "index", "--dry-run", "--segment", "5", cwd=place).returncode == 2


def test_remove_and_optimize_print_what_they_would_do(called: Called, place: Path) -> None:
    data = next((place / "index" / "lance" / "segments.lance" / "data").iterdir())
    shutil.copy(data, data.with_stem(data.stem[::-1]))  # as a crash leaves one
    before = content(place)
    removed = called("remove", "media/same.txt", "media/moved.txt", "--index", "index", "--dry-run", cwd=place)
    assert (removed.returncode, removed.stderr) == (
        0,
        "dry run, nothing was changed: 2 files to be removed from the index\n",
    )
    assert removed.stdout.splitlines() == [str(place / "media" / name) for name in ("moved.txt", "same.txt")]
    assert called("remove", "nowhere", "--index", "index", "--dry-run", cwd=place).returncode == 1

    given = ["optimize", "--index", "index", "--keep-versions-for", "0", "--json"]
    planned = called(*given, "--dry-run", cwd=place)
    assert (planned.returncode, content(place)) == (0, before)
    plan = json.loads(planned.stdout)
    versions = len(list((place / "index" / "manifest").glob("*.json")))
    assert (plan["versions"], plan["rebuild"], plan["unused_files"]) == (versions - 1, [], 1)
    assert plan["unused_bytes"] == data.stat().st_size
    assert called(*given, cwd=place).returncode == 0
    assert len(list((place / "index" / "manifest").glob("*.json"))) == 1
    after = json.loads(called(*given, "--dry-run", cwd=place).stdout)
    assert (after["versions"], after["compact"], after["unused_files"]) == (0, [], 0)
