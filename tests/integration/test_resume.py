"""Runs that end before their time: Ctrl-C and kill -9. Nothing that was committed is lost, and the rest follows."""

from __future__ import annotations

import signal
import subprocess
import threading
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import wave_search as ws
from tests.fork_server import StandIns
from tests.libraries import LIBRARY_FILES, LIBRARY_SEGMENTS, CountingEmbedder, make_library
from wave_search.indexer import run
from wave_search.indexer.pipeline import commit

Content = dict[tuple[object, ...], NDArray[np.float16]]


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> CountingEmbedder:
    counting = CountingEmbedder()
    monkeypatch.setattr("wave_search.models.load", counting.load)
    monkeypatch.setattr("wave_search.batches.BATCH_CLIPS", 1)
    return counting


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_library(tmp_path_factory.mktemp("media"))


def content(index: ws.Index) -> Content:
    """Everything that can be found, without what depends on the order of commits: ids."""
    index.refresh()
    snapshot = index._snapshot
    files = snapshot.files_of(list(snapshot.contents()))
    found = {}
    for key in snapshot.manifest.settings.keys:
        ids = snapshot.partition(key).ids
        for row, vector in zip(snapshot.segment_rows(ids), snapshot.vectors(key, ids), strict=True):
            paths = tuple(file.path for file in files[row.content_id])
            found[paths, key, row.start_s, row.stop_s, row.text] = vector
    return found


@pytest.fixture(scope="module")
def undisturbed(media: Path, tmp_path_factory: pytest.TempPathFactory) -> Content:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("wave_search.models.load", CountingEmbedder().load)
        with ws.create(tmp_path_factory.mktemp("index"), workers=1) as index:
            index.add([media])
            everything = content(index)
    assert len(everything) == sum(LIBRARY_SEGMENTS.values())
    return everything


def close_enough(one: Content, other: Content) -> bool:
    """Vectors may differ in the last bit with the batch that they were in."""
    return one.keys() == other.keys() and all(np.allclose(one[key], other[key], atol=2e-3) for key in one)


@pytest.mark.parametrize("calls", [0, 1, 5, 12])
def test_ctrl_c_keeps_what_is_complete(
    media: Path, tmp_path: Path, counted: CountingEmbedder, undisturbed: Content, calls: int
) -> None:
    threads = threading.active_count()

    def interrupt(clips: object) -> None:
        if len(counted.clips) == calls:
            raise KeyboardInterrupt

    counted.before = interrupt
    stages: list[ws.Progress] = []
    with ws.create(tmp_path / "index", workers=2) as index:
        with pytest.raises(KeyboardInterrupt) as caught:
            index.add([media], progress=stages.append)
        assert stages[-1].stage == "done", "a display ends"
        assert isinstance(caught.value, ws.Interrupted)
        report = caught.value.report
        assert report.interrupted
        assert index.info().files == report.indexed < LIBRARY_FILES
        assert threading.active_count() <= threads
        kept = content(index)
        assert close_enough(kept, {key: undisturbed[key] for key in kept})
        counted.clips = []
        counted.before = lambda clips: None
        rest = index.add([media])
        assert rest.indexed == LIBRARY_FILES - report.indexed
        assert rest.unchanged == report.indexed
        assert close_enough(content(index), undisturbed)
        assert sum(rest.segments.values()) == sum(LIBRARY_SEGMENTS.values()) - len(kept)


def test_ctrl_c_in_a_commit_does_not_tear_it(
    media: Path, tmp_path: Path, counted: CountingEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commit, "COMMIT_EVERY_ROWS", 4)
    real = commit.Committer._commit
    main = threading.main_thread().ident
    assert main is not None

    def interrupted(self: commit.Committer, *arguments: object) -> None:
        if arguments[0]:
            signal.pthread_kill(main, signal.SIGINT)
        real(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(commit.Committer, "_commit", interrupted)
    with ws.create(tmp_path / "index") as index:
        with pytest.raises(KeyboardInterrupt):
            index.add([media])
        monkeypatch.undo()
        monkeypatch.setattr("wave_search.models.load", counted.load)
        done = index.info().files
        assert done > 0
        assert ws.verify(tmp_path / "index") == ()
        assert index.add([media]).unchanged == done
        assert index.info().files == LIBRARY_FILES


def test_a_run_of_many_commits_leaves_few_fragments(
    media: Path, tmp_path: Path, counted: CountingEmbedder, undisturbed: Content, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commit, "COMMIT_EVERY_ROWS", 1)
    monkeypatch.setattr("wave_search.store.tiers.FAN", 2)
    monkeypatch.setattr("wave_search.store.tiers.LIMITS", (2, 4, 8, 16, 32))
    most = 0
    real = commit.Committer._commit

    def watched(self: commit.Committer, *arguments: object) -> None:
        nonlocal most
        real(self, *arguments)  # type: ignore[arg-type]
        most = max(most, *self._writer._tables.fragments().values())

    monkeypatch.setattr(commit.Committer, "_commit", watched)
    with ws.create(tmp_path / "index") as index:
        assert index.add([media]).indexed == LIBRARY_FILES
        assert close_enough(content(index), undisturbed)
        assert ws.verify(tmp_path / "index") == ()
        versions = index._snapshot.manifest.version
    assert versions > LIBRARY_FILES
    assert 2 <= most <= 4


def test_a_fault_of_the_model_ends_the_run_and_its_threads(
    media: Path, tmp_path: Path, counted: CountingEmbedder
) -> None:
    threads = threading.active_count()

    def fail(clips: object) -> None:
        raise MemoryError

    counted.before = fail
    stages: list[ws.Progress] = []
    with ws.create(tmp_path / "index") as index:
        with pytest.raises(MemoryError):
            index.add([media], progress=stages.append)
        assert stages[-1].stage == "done", "a display ends"
        assert threading.active_count() <= threads


KILLED = """
import sys, os, signal
from pathlib import Path
import wave_search as ws
from wave_search import batches
from wave_search.indexer.pipeline import commit, embed
batches.BATCH_CLIPS = 1
commit.COMMIT_EVERY_ROWS = 3
calls = int(sys.argv[3])
seen = 0
real = embed.embed_segments
def dying(*arguments):
    global seen
    seen += 1
    if seen > calls:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*arguments)
embed.embed_segments = dying
ws.open(sys.argv[1], workers=1).add([sys.argv[2]])
"""


@pytest.mark.usefixtures("counted")
@pytest.mark.parametrize("calls", [4, 11])
def test_kill_9_keeps_what_was_committed(
    media: Path, tmp_path: Path, undisturbed: Content, stand_ins: StandIns, calls: int
) -> None:
    ws.create(tmp_path / "index").close()
    killed = subprocess.run([stand_ins.python, "-c", KILLED, tmp_path / "index", media, str(calls)], check=False)
    assert killed.returncode == -signal.SIGKILL
    with ws.open(tmp_path / "index") as index:
        kept = index.info().files
        assert 0 < kept < LIBRARY_FILES
        assert index.add([media]).unchanged == kept
        assert close_enough(content(index), undisturbed)
    assert [problem for problem in ws.verify(tmp_path / "index") if not problem.orphan] == []


def test_the_next_run_measures_what_an_interrupted_one_did_not(
    media: Path, tmp_path: Path, counted: CountingEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with ws.create(tmp_path / "index", workers=1) as index:
        with monkeypatch.context() as patch:
            patch.setattr(run, "score_stats", interrupt)
            with pytest.raises(KeyboardInterrupt):
                index.add([media])
        embedded = len(counted.clips)
        index.add([media])
        assert len(counted.clips) == embedded
        index.refresh()
        keys = {spread.key for spread in index._snapshot.manifest.score_stats}
        assert keys == {*index._snapshot.manifest.settings.keys}
