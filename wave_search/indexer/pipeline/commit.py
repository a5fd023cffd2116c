"""Last stage of a run: outcomes are committed to the index in batches."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wave_search.indexer.pipeline.process import Failed, Failure, Indexed, NotMedia, Outcome, Unsupported
from wave_search.store import ContentRow, FileRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from wave_search.indexer.scan import FoundFile
    from wave_search.media import MediaInfo
    from wave_search.store import NewSegment, Writer

COMMIT_EVERY_S = 30.0
COMMIT_EVERY_ROWS = 4096
"""Maximum number of files and segments per commit. Bounds the work that a crash can lose, and the vectors in memory."""


@dataclass(frozen=True, slots=True)
class Reused:
    """A file whose content is in the index, or is part of an outcome that was added before."""

    file: FoundFile
    digest: str
    damage: Failure | None = None
    """Why the content is only partly indexed."""


class Committer:
    """Collects outcomes and commits them, in the order in which they are added.

    Files that are not media, and failures that the next run retries, are not recorded in the index. A content that was
    processed for several files is stored once.

    The writer runs in a thread of its own. Ctrl-C interrupts only the main thread, so it never interrupts a commit, and
    the model keeps working during one. At most one commit is in progress.

    Args:
        writer: holds the lock.
    """

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._outcomes: list[Outcome | Reused] = []
        self._rows = 0
        self._stored: set[str] = set()
        """Digests of the contents whose segments were stored."""
        self._committed_s = time.monotonic()
        self._under_way: Future[None] | None = None
        self._thread = ThreadPoolExecutor(1, "committer")
        # An executor interrupted while it starts its thread would start a second one, and both would commit.
        self._thread.submit(int).result()

    def add(self, outcome: Outcome | Reused) -> None:
        """Add an outcome, and begin a commit when one is due.

        Raises:
            IndexStateError: the disk is full or read-only; raised at the first call after the commit that failed.
        """
        self._outcomes.append(outcome)
        self._rows += 1 + (len(outcome.segments) if isinstance(outcome, Indexed) else 0)
        if self._rows >= COMMIT_EVERY_ROWS or time.monotonic() - self._committed_s >= COMMIT_EVERY_S:
            self._begin((), (), last=False)

    def commit(self, removed: Iterable[bytes] = (), replaced: Iterable[FileRow] = ()) -> None:
        """Commit everything that was added, and drop contents that no file refers to.

        Args:
            removed: paths of files to remove from the index.
            replaced: new rows of files whose content is unchanged.

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

    def compact_if_fragmented(self) -> None:
        """Compact the tables if many commits have fragmented them.

        Raises:
            IndexCorruptError: a table is damaged.
            IndexStateError: the disk is full or read-only.
        """
        self._thread.submit(self._writer.compact_if_fragmented).result()

    def close(self) -> None:
        """Wait for the commit in progress."""
        self._thread.shutdown()

    def _commit(
        self, outcomes: list[Outcome | Reused], removed: tuple[bytes, ...], replaced: tuple[FileRow, ...], last: bool
    ) -> None:
        self._writer.remove_files(removed)
        for row in replaced:
            self._writer.put_file(row)
        for outcome in outcomes:
            self._put(outcome)
        # The old content of a replaced file may appear under another name later in the run, and then needs its vectors.
        self._writer.commit(drop_dead=last)
        if not last:  # the last commit may happen after Ctrl-C
            self._writer.compact_if_fragmented()

    def _put(self, outcome: Outcome | Reused) -> None:
        match outcome:
            case NotMedia():
                pass
            case Failed(file, failure):
                if not failure.retry:
                    self._writer.put_file(_file_row(file, None, failure))
            case Reused(file, digest, damage):
                content_id = self._writer.content_id(digest)
                assert content_id is not None  # noqa: S101 - narrows the type: only the last commit drops contents
                self._writer.put_file(_file_row(file, content_id, damage))
            case Indexed(file, info, segments, damage):
                self._writer.put_file(_file_row(file, self._put_content(info, segments), damage))
            case Unsupported(file, info):
                self._writer.put_file(_file_row(file, self._put_content(info, ()), None))

    def _put_content(self, info: MediaInfo, segments: Sequence[NewSegment]) -> int:
        content_id = self._writer.content_id(info.digest)
        if content_id is None:
            content_id = self._writer.put_content(_content_row(info), segments)
        elif info.digest not in self._stored:  # the index has it, but without these instructions
            self._writer.put_segments(content_id, segments)
        self._stored.add(info.digest)
        return content_id


def _file_row(file: FoundFile, content_id: int | None, failure: Failure | None) -> FileRow:
    return FileRow(
        path=file.path,
        root=file.root,
        size_bytes=file.size_bytes,
        mtime_ns=file.mtime_ns,
        device=file.device,
        content_id=content_id,
        status="skipped" if content_id is None else "indexed",
        cause=_encodable(failure.cause) if failure else "",
        remedy=_encodable(failure.remedy) if failure else "",
        too_long_s=failure.too_long_s if failure else None,
    )


def _encodable(text: str) -> str:
    """Escape what cannot be stored: libraries may quote names that are not UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _content_row(info: MediaInfo) -> ContentRow:
    return ContentRow(
        digest=info.digest,
        kind=info.kind,
        container=info.container,
        duration_s=info.duration_s,
        width=info.video.width if info.video else info.width,
        height=info.video.height if info.video else info.height,
        fps=info.video.fps if info.video else None,
        video_codec=info.video.codec if info.video else None,
        audio_codec=info.audio.codec if info.audio else None,
        sample_rate_hz=info.audio.sample_rate_hz if info.audio else None,
        channels=info.audio.channels if info.audio else None,
        audio_tracks=len(info.tracks),
        timecode=info.timecode,
    )
