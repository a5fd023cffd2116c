"""From decoded segments to outcomes: the main thread of a run, which owns the model and all counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wave_search.errors import BrokenMediaError, MediaError, ModelError, UsageError
from wave_search.indexer.pipeline.commit import Committer, Embedded, Quarantined, Reused
from wave_search.indexer.pipeline.decode import (
    ChangedError,
    Copy,
    Ended,
    Event,
    Fault,
    Ignored,
    Segment,
    Unusable,
    Work,
)
from wave_search.indexer.scan import FoundFile, as_path
from wave_search.reports import Skipped
from wave_search.store import NewSegment
from wave_search.types import Modality

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from numpy.typing import NDArray

    from wave_search.indexer.pipeline.byte_queue import Channel
    from wave_search.indexer.run_stats import RunStats
    from wave_search.models import Embedder

BATCH_CLIPS = 32
BATCH_BYTES = 128 << 20


class EmbedStage:
    """Embeds what comes through a channel, and hands each finished content to the committer.

    Args:
        model: gives the embedder; called when there is something to embed.
        modalities: which the index holds.
        committer: takes the outcomes.
        tally: takes the counts.
        damage: by digest, the cause and remedy of contents that are in the index but for a damaged part.

    Attributes:
        not_media: paths that turned out to be no media.
    """

    def __init__(
        self,
        model: Callable[[], Embedder],
        modalities: Collection[Modality],
        committer: Committer,
        *,
        tally: RunStats,
        damage: Mapping[str, tuple[str, str]],
    ) -> None:
        self._model = model
        self._modalities = tuple(modalities)
        self._committer = committer
        self._tally = tally
        self._damage = dict(damage)
        self.not_media: list[bytes] = []

    def run(self, channel: Channel[Event]) -> None:
        """Work until all readers have left."""
        while events := channel.take(BATCH_CLIPS, BATCH_BYTES):
            segments = [event for event in events if isinstance(event, Segment) and event.work.problem is None]
            for instructions in dict.fromkeys(segment.work.instructions for segment in segments):
                self._embed([segment for segment in segments if segment.work.instructions == instructions])
            for event in events:
                self._settle(event)

    def _embed(self, segments: list[Segment]) -> None:
        """Embed segments that want the same instructions."""
        model, instructions = self._model(), segments[0].work.instructions
        clips = [segment.decoded.clip for segment in segments]
        try:
            results = model.embed_each(clips, [text or None for text in instructions], self._modalities)
        except (ModelError, UsageError) as error:
            if len(segments) > 1:  # find the one that is to blame
                for segment in segments:
                    self._embed([segment])
                return
            work = segments[0].work
            work.problem = BrokenMediaError(as_path(work.file.path), error.message, error.remedy)
            work.retry = isinstance(error, ModelError)
            return
        for segment, each in zip(segments, results, strict=True):
            for instruction, vectors in zip(instructions, each, strict=True):
                self._keep(segment, instruction, vectors)
            self._tally.media_s += segment.decoded.media_s
            self._tally.touch(as_path(segment.work.file.path))

    def _keep(self, segment: Segment, instruction: str, vectors: Mapping[Modality, NDArray[np.float32]]) -> None:
        span, text = segment.decoded.span, segment.decoded.clip.text
        for modality, vector in vectors.items():
            if instruction and modality is Modality.TEXT:
                continue  # it is embedded bare: the same vector again
            row = NewSegment(
                modality=modality,
                start_s=span.start_s if span else None,
                stop_s=span.stop_s if span else None,
                text=text,
                vector=vector.astype(np.float16),
                instruction=instruction,
            )
            segment.work.segments.append(row)
            self._tally.segments[modality] += 1

    def _settle(self, event: Event) -> None:
        match event:
            case Fault(error):
                raise error
            case Ignored(file):
                self.not_media.append(file.path)
                self._tally.count("ignored", current=as_path(file.path))
            case Unusable(file, cause, remedy, remember):
                self._skip(file, cause, remedy, remember=remember)
            case Copy(file, digest, work):
                self._copy(file, digest, work)
            case Ended(work, error):
                self._end(work, error)

    def _copy(self, file: FoundFile, digest: str, work: Work | None) -> None:
        if work is not None and work.state == "open":
            work.copies.append(file)
        elif work is not None and work.state == "failed":
            self._fail(file, work)
        else:
            cause, remedy = self._damage.get(digest, ("", ""))
            if cause:
                self._tally.skipped.append(Skipped(as_path(file.path), cause, remedy))
            self._tally.count("reused", current=as_path(file.path))
            self._committer.add(Reused(file, digest, cause, remedy))

    def _end(self, work: Work, error: MediaError | None) -> None:
        if error is None and work.wanted and not work.segments:
            error = BrokenMediaError(as_path(work.file.path), "there is nothing in it to embed")
        # Nothing of a file is used if one of its segments has no vector, or if it changed meanwhile.
        usable = bool(work.segments) and work.problem is None and not isinstance(error, ChangedError)
        if work.problem is None and error is not None:
            work.problem = _damaged(work, error) if usable else error
            work.retry = isinstance(error, ChangedError)
        if usable or work.problem is None:
            self._finish(work)
        else:
            self._give_up(work)

    def _give_up(self, work: Work) -> None:
        work.state = "failed"
        self._tally.segments.subtract(segment.modality for segment in work.segments)
        work.segments = []
        for file in (work.file, *work.copies):
            self._fail(file, work)

    def _finish(self, work: Work) -> None:
        work.state = "indexed"
        if work.problem is not None:
            cause, remedy = self._damage[work.info.digest] = work.problem.cause, work.problem.remedy
            self._tally.skipped.extend(Skipped(as_path(file.path), cause, remedy) for file in (work.file, *work.copies))
        self._tally.count("indexed" if work.wanted else "ignored", current=as_path(work.file.path))
        self._tally.count("reused", files=len(work.copies))
        self._committer.add(Embedded(work))

    def _fail(self, file: FoundFile, work: Work) -> None:
        assert work.problem is not None  # noqa: S101 - narrows the type
        cause, remedy = work.problem.cause, work.problem.remedy
        if not work.known:
            self._skip(file, cause, remedy, remember=not work.retry)
            return
        # What the index has of it already is as good as before.
        self._skip(file, f"not embedded with a new instruction: {cause}", remedy, remember=False)
        if not isinstance(work.problem, ChangedError):
            self._committer.add(Reused(file, work.info.digest, *self._damage.get(work.info.digest, ("", ""))))

    def _skip(self, file: FoundFile, cause: str, remedy: str, *, remember: bool) -> None:
        self._tally.skip(Skipped(as_path(file.path), cause, remedy))
        if remember:
            self._committer.add(Quarantined(file, cause, remedy))


def _damaged(work: Work, error: MediaError) -> MediaError:
    stop_s = max((segment.stop_s or 0.0 for segment in work.segments), default=0.0)
    cause = f"damaged after {stop_s:.1f} s; indexed up to there ({error.cause})"
    return BrokenMediaError(as_path(work.file.path), cause, error.remedy)
