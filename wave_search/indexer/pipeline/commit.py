"""From outcomes to commits: what is complete becomes part of the index in batches."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wave_search.store import ContentRow, FileRow

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wave_search.indexer.pipeline.decode import Work
    from wave_search.indexer.scan import FoundFile
    from wave_search.store import Writer

COMMIT_EVERY_S = 30.0
COMMIT_EVERY_ROWS = 4096
"""Files and segments. Bounds the work that a crash can lose, and the vectors held in memory."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """A content with all its new segments, and the files that have it."""

    work: Work


@dataclass(frozen=True, slots=True)
class Reused:
    """A file whose content is in the index; with a cause if that content is damaged."""

    file: FoundFile
    digest: str
    cause: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A file that cannot be used, and is not tried again until it changes."""

    file: FoundFile
    cause: str
    remedy: str


Outcome = Embedded | Reused | Quarantined


class Committer:
    """Collects outcomes and commits them.

    The writer is used in a thread of its own: Ctrl-C interrupts only the main thread, so it never tears a commit. And
    the model goes on meanwhile; at most one commit is under way.

    Args:
        writer: holds the lock.
    """

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._outcomes: list[Outcome] = []
        self._rows = 0
        self._committed_s = time.monotonic()
        self._under_way: Future[None] | None = None
        self._thread = ThreadPoolExecutor(1, "committer")
        # An executor that is interrupted while it starts its thread starts another one, and two would commit at once.
        self._thread.submit(int).result()

    def add(self, outcome: Outcome) -> None:
        """Keep an outcome, and begin a commit when it is time.

        Raises:
            IndexStateError: the disk is full or read-only, as an earlier commit has found.
        """
        self._outcomes.append(outcome)
        self._rows += 1 + (len(outcome.work.segments) if isinstance(outcome, Embedded) else 0)
        if self._rows >= COMMIT_EVERY_ROWS or time.monotonic() - self._committed_s >= COMMIT_EVERY_S:
            self._begin((), (), last=False)

    def commit(self, removed: Iterable[bytes] = (), replaced: Iterable[FileRow] = ()) -> None:
        """Commit what is complete, with files to forget and rows to replace, and drop contents that no file has.

        Raises:
            IndexStateError: the disk is full or read-only.
        """
        self._begin(tuple(removed), tuple(replaced), last=True)
        self._wait()

    def _begin(self, removed: tuple[bytes, ...], replaced: tuple[FileRow, ...], *, last: bool) -> None:
        self._wait()
        outcomes, self._outcomes, self._rows = self._outcomes, [], 0
        self._committed_s = time.monotonic()
        self._under_way = self._thread.submit(self._commit, outcomes, removed, replaced, last)

    def _wait(self) -> None:
        if self._under_way is not None:
            under_way, self._under_way = self._under_way, None
            under_way.result()

    def tidy(self) -> None:
        """Join what many commits have left in pieces, where it pays.

        Raises:
            IndexCorruptError: a table is damaged.
            IndexStateError: the disk is full or read-only.
        """
        self._thread.submit(self._writer.tidy).result()

    def close(self) -> None:
        """Wait for a commit that may be under way."""
        self._thread.shutdown()

    def _commit(
        self, outcomes: list[Outcome], removed: tuple[bytes, ...], replaced: tuple[FileRow, ...], last: bool
    ) -> None:
        self._writer.remove_files(removed)
        for row in replaced:
            self._writer.put_file(row)
        for outcome in outcomes:
            self._put(outcome)
        # A file that has just been replaced may come up again under another name, and needs its vectors then.
        self._writer.commit(drop_dead=last)
        if not last:  # that may be after Ctrl-C
            self._writer.tidy()

    def _put(self, outcome: Outcome) -> None:
        if isinstance(outcome, Quarantined):
            self._writer.put_file(_row(outcome.file, None, outcome.cause, outcome.remedy))
        elif isinstance(outcome, Reused):
            content_id = self._writer.content_id(outcome.digest)
            assert content_id is not None  # noqa: S101 - narrows the type: only the last commit drops contents
            self._writer.put_file(_row(outcome.file, content_id, outcome.cause, outcome.remedy))
        else:
            work = outcome.work
            content_id = self._writer.content_id(work.info.digest)
            if content_id is None:
                content_id = self._writer.put_content(_content(work), work.segments)
            else:
                self._writer.put_segments(content_id, work.segments)
            cause, remedy = (work.problem.cause, work.problem.remedy) if work.problem else ("", "")
            for file in (work.file, *work.copies):
                self._writer.put_file(_row(file, content_id, cause, remedy))
            work.segments = []


def _row(file: FoundFile, content_id: int | None, cause: str, remedy: str) -> FileRow:
    return FileRow(
        path=file.path,
        root=file.root,
        size_bytes=file.size_bytes,
        mtime_ns=file.mtime_ns,
        device=file.device,
        content_id=content_id,
        status="skipped" if content_id is None else "indexed",
        cause=cause,
        remedy=remedy,
    )


def _content(work: Work) -> ContentRow:
    info = work.info
    return ContentRow(
        digest=info.digest,
        kind=info.kind,
        container=info.container,
        duration_s=info.duration_s,
        width=info.width,
        height=info.height,
        fps=info.video.fps if info.video else None,
        video_codec=info.video.codec if info.video else None,
        audio_codec=info.audio.codec if info.audio else None,
        sample_rate_hz=info.audio.sample_rate_hz if info.audio else None,
        channels=info.audio.channels if info.audio else None,
    )
