"""Segments of the index embedded again, with an instruction: from the cache, or from their files."""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wave_search.errors import BrokenMediaError, MediaError, UsageError
from wave_search.query.encode import WHOLE, batches
from wave_search.reports import Progress, Skipped
from wave_search.store import Origin, VectorCache
from wave_search.types import Clip, Span

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from numpy.typing import NDArray

    from wave_search.media import DecoderPool, MediaInfo
    from wave_search.query.encode import Encoder
    from wave_search.reports import ProgressCallback
    from wave_search.store import FileRow, Snapshot

    WarnCallback = Callable[[Skipped], None]
    Source = tuple[Path, MediaInfo]

BATCH_CLIPS = 8
"""Fewer than of a query, for a display that moves."""


@dataclass(slots=True)
class RerankProgress:
    """Tells how it goes on; segments are counted, where `Progress` speaks of files."""

    progress: ProgressCallback | None = None
    warn: WarnCallback | None = None
    """Is called once with each file that cannot be used: a search that widens asks for it again."""
    total: int = 0
    done: int = 0
    skipped: int = 0
    media_s: float = 0.0
    warned: set[Path] = field(default_factory=set)

    def tell(self, stage: str, current: Path | None = None) -> None:
        """Say where it stands."""
        if self.progress is not None:
            self.progress(Progress(stage, self.total, self.done, self.skipped, self.done, self.media_s, current))

    def skip(self, path: Path, error: MediaError | UsageError, segments: int) -> None:
        """Count segments that cannot be had."""
        self.done += segments
        self.skipped += segments
        if self.warn is not None and path not in self.warned:
            self.warned.add(path)
            cause = error.cause if isinstance(error, MediaError) else error.message
            self.warn(Skipped(path, cause, error.remedy))


class Reembedder:
    """Embeds segments of one version of an index again.

    Args:
        snapshot: the version.
        encoder: embeds.
        decoders: gives the decoder processes; called when a file has to be read.
    """

    def __init__(self, snapshot: Snapshot, encoder: Encoder, decoders: Callable[[], DecoderPool]) -> None:
        self._snapshot = snapshot
        self._encoder = encoder
        self._decoders = decoders
        self._cache = VectorCache(snapshot.dir)

    def embed(self, ids: Sequence[int], instruction: str, watch: RerankProgress) -> dict[int, NDArray[np.float16]]:
        """Embed segments with an instruction.

        Args:
            ids: of segments of media.
            instruction: replaces the model's prompt.
            watch: is told how it goes on.

        Returns:
            (dim,) of unit norm by segment id, without segments whose file is gone, changed or cannot be read.

        Raises:
            ModelError: the model cannot be loaded, or fails.
        """
        origins = self._origins(ids)
        found = self._cache.get(origins, instruction)
        watch.total, watch.done, watch.skipped = len(origins), len(found), 0
        watch.tell("rerank")
        missing = [origin for origin in origins if origin.segment.segment_id not in found]
        with closing(self._clips(missing, watch)) as clips:
            for batch in batches(clips, BATCH_CLIPS):
                pairs = [(clip, origin.segment.modality) for origin, clip in batch]
                rows = [row.astype(np.float16) for row in self._encoder.embed_clips(pairs, instruction)]
                made = [(origin, row) for (origin, _), row in zip(batch, rows, strict=True)]
                self._cache.put(made, instruction)
                found.update((origin.segment.segment_id, row) for origin, row in made)
                watch.done += len(batch)
                watch.tell("rerank")
        return found

    def _origins(self, ids: Sequence[int]) -> list[Origin]:
        segments = self._snapshot.segment_rows(ids)
        contents = self._snapshot.contents(sorted({segment.content_id for segment in segments}))
        return [Origin(segment, contents[segment.content_id].digest) for segment in segments]

    def _clips(self, origins: Sequence[Origin], watch: RerankProgress) -> Generator[tuple[Origin, Clip]]:
        """Read each file once, front to back, and each moment once for all its modalities."""
        files = self._snapshot.files_of(sorted({origin.segment.content_id for origin in origins}))
        ordered = sorted(origins, key=lambda origin: (origin.segment.content_id, origin.segment.start_s or 0.0))
        for content_id, of_content in groupby(ordered, lambda origin: origin.segment.content_id):
            wanted = list(of_content)
            try:
                source = self._source(files[content_id], wanted[0].digest)
            except MediaError as error:
                watch.skip(error.path, error, len(wanted))
                continue
            for _, of_moment in groupby(wanted, lambda origin: (origin.segment.start_s, origin.segment.stop_s)):
                yield from self._moment(source, list(of_moment), watch)

    def _source(self, files: Sequence[FileRow], digest: str) -> Source:
        """The first file that still has the content."""
        problem: MediaError | None = None
        for file in files:
            path = Path(os.fsdecode(file.path))
            try:
                info = self._decoders().identify(path)
            except MediaError as error:
                problem = problem or error
                continue
            if info.digest == digest:
                return path, info
            problem = problem or MediaError(path, "changed since it was indexed", "Run `wave-search index` again.")
        assert problem is not None  # noqa: S101 - a segment that is found has a file
        raise problem

    def _moment(
        self, source: Source, origins: Sequence[Origin], watch: RerankProgress
    ) -> Generator[tuple[Origin, Clip]]:
        path, info = source
        row = origins[0].segment
        span = None if row.start_s is None or row.stop_s is None else Span(row.start_s, row.stop_s)
        watch.tell("rerank", path)
        try:
            modalities = [origin.segment.modality for origin in origins]
            decoded = list(self._decoders().segments(path, info, WHOLE, modalities, span))
            if len(decoded) != 1 or not {*modalities} <= {*decoded[0].clip.modalities}:
                raise BrokenMediaError(path, "it is decoded otherwise than when it was indexed")
        except (MediaError, UsageError) as error:
            watch.skip(path, error, len(origins))
            return
        watch.media_s += decoded[0].media_s
        for origin in origins:
            yield origin, decoded[0].clip
