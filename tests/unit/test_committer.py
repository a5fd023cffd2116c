"""Commits run while the main thread works."""

from __future__ import annotations

from threading import Event
from typing import TYPE_CHECKING

import pytest

from wave_search.errors import IndexStateError
from wave_search.indexer.pipeline import commit as module
from wave_search.indexer.pipeline.commit import Committer
from wave_search.indexer.pipeline.process import Failed, Failure
from wave_search.indexer.scan import FoundFile

if TYPE_CHECKING:
    from wave_search.store import FileRow


class SlowWriter:
    """Takes as long for a commit as the test wants."""

    def __init__(self) -> None:
        self.may_end = Event()
        self.rows: list[bytes] = []
        self.commits: list[int] = []
        self.compacted: list[int] = []
        self.error: Exception | None = None

    def remove_files(self, paths: tuple[bytes, ...]) -> None:
        pass

    def put_file(self, row: FileRow) -> None:
        self.rows.append(row.path)

    def commit(self, *, drop_dead: bool) -> None:
        assert self.may_end.wait(30)
        if self.error is not None:
            raise self.error
        self.commits.append(len(self.rows))

    def compact_if_fragmented(self) -> None:
        self.compacted.append(len(self.rows))


def outcome(number: int) -> Failed:
    file = FoundFile(b"/media/%d" % number, b"/media", 1, 1, device=1)
    return Failed(file, Failure("damaged", "Replace it."))


@pytest.fixture
def writer(monkeypatch: pytest.MonkeyPatch) -> SlowWriter:
    monkeypatch.setattr(module, "COMMIT_EVERY_ROWS", 3)
    return SlowWriter()


def test_outcomes_added_during_a_commit_belong_to_the_next(writer: SlowWriter) -> None:
    committer = Committer(writer)  # type: ignore[arg-type]
    for number in range(5):  # the third begins a commit, which cannot end yet
        committer.add(outcome(number))
    assert writer.commits == []
    writer.may_end.set()
    committer.commit()
    committer.close()
    assert writer.commits == [3, 5]
    assert writer.compacted == [3], "not after the last, which may be that of Ctrl-C"
    assert writer.rows == [b"/media/%d" % number for number in range(5)]


def test_a_failed_commit_raises_before_the_next_begins(writer: SlowWriter) -> None:
    committer = Committer(writer)  # type: ignore[arg-type]
    writer.error = IndexStateError("the disk is full", "Make room.")
    writer.may_end.set()
    for number in range(5):
        committer.add(outcome(number))
    with pytest.raises(IndexStateError, match="the disk is full"):
        committer.add(outcome(5))
    committer.close()
    assert writer.commits == []
