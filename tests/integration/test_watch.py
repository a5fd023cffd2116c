"""`wave-search watch`: an index that follows changes in folders."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import wave_search as ws
from tests.media_factory import write_sound
from wave_search.alerts import Target, set_alert
from wave_search.errors import UsageError, WaveSearchError
from wave_search.indexer.choices import Rules
from wave_search.indexer.watching import Settling, watch_folders
from wave_search.store import FolderChoices, Writer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Called, CommandLine
    from tests.libraries import CountingEmbedder


def test_an_index_follows_a_folder_until_sigterm(
    cli: CommandLine, counted: CountingEmbedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index, media = tmp_path / "index", tmp_path / "media"
    media.mkdir()
    (media / "one.txt").write_text("the first text")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with ws.create(index, "wave-tiny") as made:
        made.save_search("all", ws.SearchRequest.build(text="x", min_z=-1000))
        set_alert(made, "all", Target(command=("/bin/true",)))
    program = [cli.program, "watch", media, "--index", index, "--settle", "0.1", "--json", "--workers", "1"]
    environment = {**cli.environment, "XDG_STATE_HOME": str(tmp_path / "state")}
    with Writer(index):
        process = subprocess.Popen(
            program, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8"
        )
        assert process.stdout is not None
        events = map(json.loads, process.stdout)
        waiting = next(events)
        assert (waiting["event"], f"process {os.getpid()} " in waiting["message"]) == ("waiting", True)

    def report() -> dict[str, Any]:
        return next(event for event in events if event["event"] == "report")

    first = report()
    assert (first["indexed"], first["alerts"][0]["delivered"]) == (1, 1)
    watching = next(events)
    assert (watching["event"], watching["folders"]) == ("watching", [str(media)])

    (media / "new").mkdir()
    (media / "new" / "two.txt").write_text("the second text")
    second = report()
    assert (second["indexed"], second["unchanged"], second["alerts"][0]["delivered"]) == (1, 1, 1)
    (media / "one.txt").unlink()
    assert report()["removed"] == 1
    process.send_signal(signal.SIGTERM)
    assert list(events) == []
    assert process.stderr is not None
    lines = process.stderr.read().splitlines()
    assert process.wait() == 0, lines
    assert lines[-1] == "stopped; what is complete is in the index"
    assert any(line.endswith("  1 removed: one.txt") for line in lines)
    with ws.open(index) as opened:
        assert [file.path.name for file in opened.files()] == ["two.txt"]


def test_a_file_settles_when_it_has_stopped_growing(tmp_path: Path) -> None:
    now_s, growing, deleted = [0.0], tmp_path / "growing.wav", os.fsencode(tmp_path / "deleted.wav")
    path = os.fsencode(growing)
    growing.write_bytes(b"a")
    settling = Settling(2.0, lambda: now_s[0])
    settling.note(path)
    settling.note(deleted)
    now_s[0] = 1.5
    growing.write_bytes(b"ab")  # of which no event is reported
    assert settling.settled() == []
    now_s[0] = 2.0
    assert (settling.settled(), settling.unfinished) == ([deleted], [path])
    now_s[0] = 3.5
    assert (settling.settled(), settling.unfinished) == ([path], [])


def test_unfinished_files_are_left_as_they_are(tmp_path: Path, counted: CountingEmbedder) -> None:
    media, changing, new = tmp_path / "media", tmp_path / "media" / "changing.txt", tmp_path / "media" / "new.txt"
    media.mkdir()
    changing.write_text("the first form")
    with ws.create(tmp_path / "index", "wave-tiny") as index:
        index.add([media])
        changing.write_text("half of the second")
        new.write_text("half of a new one")
        report = index.add([media], unfinished=[changing, new])
        assert (report.indexed, report.removed, report.skipped) == (0, 0, ())
        assert [(file.path, file.size_bytes) for file in index.files()] == [(changing, len("the first form"))]
        assert index.add([media]).indexed == 2


def test_changes_of_what_a_scan_leaves_out_are_not_reported(tmp_path: Path) -> None:
    """Nor does a name that is not UTF-8, which cannot be reported, end it."""
    media, gone = tmp_path / "media", tmp_path / "gone"
    (media / "kept").mkdir(parents=True)  # events in a new folder may be lost until the next comparison
    gone.mkdir()
    folders = [os.fsencode(media), os.fsencode(gone)]
    chosen = FolderChoices(str(media), exclude=("*.tmp", "drafts/*"))
    rules = Rules(os.fsencode(media / "index"), [chosen], folders)
    changes = watch_folders(folders, rules.leave_out, settle_s=0.02)
    first = next(change for change in changes if change.folders)
    assert (first.folders, first.paths, first.missing) == (tuple(folders), (), ())
    (media / ".waveignore").write_text("*.bak.wav\n")
    for name in ("index/lance/data", "x.bak.wav", ".hidden/a.wav", "a.tmp", "drafts/b.wav", "kept/c.wav"):
        (media / name).parent.mkdir(parents=True, exist_ok=True)
        write_sound(media / name, 0.1)
    seen: set[bytes] = set()
    while os.fsencode(media / "kept" / "c.wav") not in seen:
        seen.update(next(changes).paths)
    assert {Path(os.fsdecode(path)).relative_to(media).parts[0] for path in seen} <= {"kept", "drafts", ".waveignore"}
    assert os.fsencode(media / "drafts" / "b.wav") not in seen

    Path(os.fsdecode(os.fsencode(media) + b"/\xe9.wav")).write_bytes(b"")
    assert next(change for change in changes if change.folders).folders == tuple(folders)
    gone.rmdir()
    assert next(change for change in changes if change.missing).missing == (os.fsencode(gone),)
    gone.mkdir()
    assert os.fsencode(gone) in next(change for change in changes if change.folders and not change.missing).folders


def test_files_are_compared_where_there_are_no_events(tmp_path: Path) -> None:
    changes = watch_folders([os.fsencode(tmp_path)], lambda path: False, settle_s=0.02, poll_s=0.02)
    next(change for change in changes if change.folders)
    (tmp_path / "a.txt").write_text("a text")
    assert os.fsencode(tmp_path / "a.txt") in next(change for change in changes if change.paths).paths


def test_a_limit_of_the_system_is_an_error_with_a_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> Iterator[object]:
        raise RuntimeError("OS file watch limit reached")
        yield

    monkeypatch.setattr("watchfiles.watch", refused)
    with pytest.raises(WaveSearchError, match=r"cannot be watched \(OS file watch limit reached\).*max_user_watches"):
        next(watch_folders([os.fsencode(tmp_path)], lambda path: False, settle_s=1))
    with pytest.raises(UsageError, match="its name is not UTF-8"):
        next(watch_folders([b"/media/\xe9"], lambda path: False, settle_s=1))


def test_only_folders_are_watched(called: Called, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a text")
    run = called("watch", "a.txt", "--index", "index", cwd=tmp_path)
    assert run.returncode == 2
    assert run.stderr == "error: a.txt is a file, and only folders are watched. Name the folder that contains it.\n"
    assert not (tmp_path / "index").exists()
