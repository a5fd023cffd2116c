"""Second stage of a run: the main thread, which owns the model and all counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wave_search import batches
from wave_search.files import as_path
from wave_search.indexer.pipeline.decode import Copy, Decoded, Ended, Event, Fault, Postponed
from wave_search.indexer.pipeline.process import Assembly, Failed, Failure, NotMedia, embed_segments

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wave_search.indexer.pipeline.byte_queue import ByteQueue
    from wave_search.indexer.pipeline.collect import Collector
    from wave_search.indexer.run_stats import RunStats
    from wave_search.models import Embedder


class EmbedStage:
    """Embeds queued segments, in batches across files, and forwards the outcome of each file.

    Args:
        model: returns the embedder; called when the first segment is embedded.
        collector: receives outcomes and copies.
        stats: counts segments.
    """

    def __init__(self, model: Callable[[], Embedder], collector: Collector, stats: RunStats) -> None:
        self._model = model
        self._collector = collector
        self._stats = stats
        self._open: dict[int, Assembly] = {}
        """By the identity of `Identified`, because a batch may hold two attempts to decode a file."""

    def run(self, queue: ByteQueue[Event]) -> None:
        """Process events until all producers have left the queue."""
        while events := queue.take(batches.BATCH_CLIPS, batches.BATCH_BYTES):
            self._embed([event for event in events if isinstance(event, Decoded)])
            for event in events:
                self._settle(event)
            if queue.is_empty:
                self._stats.catch_up()

    def _embed(self, events: Sequence[Decoded]) -> None:
        waiting = [event for event in events if not self._assembly(event).has_failed]
        for spec in dict.fromkeys(event.spec for event in waiting):
            batch = [event for event in waiting if event.spec == spec]
            results = embed_segments([event.segment for event in batch], spec, self._model())
            for event, embedded in zip(batch, results, strict=True):
                self._assembly(event).add(embedded)
                if not isinstance(embedded, Failure):
                    path = as_path(event.found.file.path)
                    self._stats.add_segments((row.modality for row in embedded), event.segment.media_s, path)
        if events:
            self._stats.end_batch(as_path(events[-1].found.file.path))

    def _assembly(self, event: Decoded | Ended) -> Assembly:
        if id(event.found) not in self._open:
            self._open[id(event.found)] = Assembly(event.found, event.spec)
            info, spec = event.found.info, event.spec
            if isinstance(event, Decoded) and info.kind in ("audio", "video"):
                duration_s = info.duration_s or 0.0
                vectors = len({*info.modalities} & {*spec.modalities}) * len(spec.instructions)
                self._stats.begin_file(
                    as_path(event.found.file.path), duration_s, spec.segmentation.count(duration_s), vectors
                )
        return self._open[id(event.found)]

    def _settle(self, event: Event) -> None:
        match event:
            case Fault(error):
                raise error
            case Copy():
                self._collector.add_copy(event)
            case NotMedia() | Failed():
                self._collector.add(event)
            case Postponed(found):
                self._stats.end_file(as_path(found.file.path))
                if void := self._open.pop(id(found), None):
                    self._stats.drop_segments(row.modality for row in void.segments)
            case Ended(found, _, failure):
                assembly = self._assembly(event)
                del self._open[id(found)]
                self._stats.end_file(as_path(found.file.path))
                outcome = assembly.finish(failure)
                if isinstance(outcome, Failed):
                    self._stats.drop_segments(row.modality for row in assembly.segments)
                self._collector.add(outcome)
