"""Between embedding and committing: outcomes are counted, and copies share the outcome of the file that was read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wave_search.files import as_path
from wave_search.indexer.pipeline.commit import Reused
from wave_search.indexer.pipeline.process import CHANGED, Failed, Failure, Indexed, NotMedia, Outcome, Unsupported
from wave_search.reports import Skipped

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from wave_search.indexer.pipeline.commit import Committer
    from wave_search.indexer.pipeline.decode import Copy
    from wave_search.indexer.run_stats import RunStats
    from wave_search.indexer.scan import FoundFile


class Collector:
    """Receives the outcome of every file of a run, in any order, and forwards what is to be stored. Used by one thread.

    Args:
        committer: stores outcomes.
        stats: counts files.
        known: digests of the contents that were in the index before the run.
        damage: why some of them are only partly indexed, by digest.

    Attributes:
        not_media: paths of files that are not media.
    """

    def __init__(
        self, committer: Committer, stats: RunStats, known: Container[str], damage: Mapping[str, Failure]
    ) -> None:
        self.not_media: list[bytes] = []
        self._committer = committer
        self._stats = stats
        self._known = known
        self._damage = dict(damage)
        self._settled: dict[str, Failed | None] = {}
        """Contents that this run has processed, by digest."""
        self._copies: dict[str, list[FoundFile]] = {}
        """Files whose content is still being processed, by digest."""

    def add(self, outcome: Outcome) -> None:
        """Receive the outcome of a file."""
        path = as_path(outcome.file.path)
        match outcome:
            case NotMedia(file):
                self.not_media.append(file.path)
                self._stats.add_not_media(path)
                self._stats.count("not_media", current=path)
            case Failed(file, failure, digest):
                self._fail(file, outcome)
                if failure != CHANGED:
                    self._settle(digest, outcome)
            case Unsupported(_, info):
                self._stats.count("ignored", current=path)
                self._committer.add(outcome)
                self._settle(info.digest, None)
            case Indexed(_, info, _, damage):
                if damage is not None:
                    self._damage[info.digest] = damage
                    self._stats.note(Skipped(path, damage.cause, damage.remedy))
                self._stats.count("indexed", current=path)
                self._stats.several_tracks += len(info.tracks) > 1
                self._committer.add(outcome)
                self._settle(info.digest, None)

    def add_copy(self, copy: Copy) -> None:
        """Receive a file whose content is in the index, or is being processed for another file."""
        if copy.claimed and copy.digest not in self._settled:
            self._copies.setdefault(copy.digest, []).append(copy.file)
        else:
            self._reuse(copy.file, copy.digest)

    def _settle(self, digest: str | None, failed: Failed | None) -> None:
        if digest is not None:
            self._settled[digest] = failed
            for file in self._copies.pop(digest, ()):
                self._reuse(file, digest)

    def _reuse(self, file: FoundFile, digest: str) -> None:
        failed = self._settled.get(digest)
        if failed is not None:
            self._fail(file, failed)
            return
        path, damage = as_path(file.path), self._damage.get(digest)
        if damage is not None:
            self._stats.note(Skipped(path, damage.cause, damage.remedy))
        self._stats.count("reused", current=path)
        self._committer.add(Reused(file, digest, damage))

    def _fail(self, file: FoundFile, failed: Failed) -> None:
        path, failure = as_path(file.path), failed.failure
        if failed.digest is None or failed.digest not in self._known:
            self._stats.skip(Skipped(path, failure.cause, failure.remedy))
            self._committer.add(Failed(file, failure))
            return
        # The existing segments of the content stay.
        cause = f"not embedded with a new instruction: {failure.cause}"
        self._stats.skip(Skipped(path, cause, failure.remedy))
        self._committer.add(Reused(file, failed.digest, self._damage.get(failed.digest)))
