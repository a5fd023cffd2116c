"""Reranking: the best segments of a search are embedded again with an instruction and reordered by the new vectors."""

from __future__ import annotations

from contextlib import closing, suppress
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from wave_search import batches
from wave_search.ann import max_inner_products, score
from wave_search.batches import batched, clip_bytes
from wave_search.errors import BrokenMediaError, CacheError, MediaError, UsageError
from wave_search.files import as_path
from wave_search.media import WHOLE
from wave_search.query.fusion import joint_z
from wave_search.query.grouping import order
from wave_search.reports import Progress, Skipped
from wave_search.store import CACHE_NAME, CacheKey, EmbeddingCache, vector_space
from wave_search.types import Clip, Modality, Span

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from wave_search.media import MediaInfo
    from wave_search.query.encode import Encoder
    from wave_search.query.fusion import Query
    from wave_search.query.grouping import Match
    from wave_search.query.partition import PartitionSearch
    from wave_search.reports import ProgressCallback, Stage
    from wave_search.store import FileRow, SegmentRow, Snapshot

    Vector = NDArray[np.floating]
    Source = tuple[Path, MediaInfo]

_MIN_STD_Z = 1e-3
"""If the z of segments deviate less than this from each other, the ratio between z and cosine is not reliable."""
_CACHE_WAIT_S = 1.0
"""Seconds to wait for another process that writes the cache; after that, a query does without it."""


@dataclass(frozen=True, slots=True)
class Origin:
    """The origin of a segment that is embedded again."""

    segment: SegmentRow
    digest: str
    """Digest of the segment's content."""


@dataclass(slots=True)
class RerankProgress:
    """The progress of reranking. Segments are counted as files in `Progress`."""

    progress: ProgressCallback | None = None
    warn: Callable[[Skipped], None] | None = None
    """Called once with each file that cannot be used, even if a widened search needs the file again."""
    total: int = 0
    done: int = 0
    skipped: int = 0
    media_s: float = 0.0
    warned: set[Path] = field(default_factory=set)

    def report(self, stage: Stage, current: Path | None = None) -> None:
        """Call `progress`."""
        if self.progress is not None:
            self.progress(Progress(stage, self.total, self.done, self.skipped, self.done, self.media_s, current))

    def skip(self, path: Path, error: MediaError | UsageError, segments: int) -> None:
        """Count segments that cannot be embedded."""
        self.done += segments
        self.skipped += segments
        if self.warn is not None and path not in self.warned:
            self.warned.add(path)
            cause = error.cause if isinstance(error, MediaError) else error.message
            self.warn(Skipped(path, cause, error.remedy))


class Reembedder:
    """Embeds segments of one version of an index again with an instruction, and caches the vectors.

    Args:
        snapshot: the version of the index.
        encoder: embeds.
    """

    def __init__(self, snapshot: Snapshot, encoder: Encoder) -> None:
        self._snapshot = snapshot
        self._encoder = encoder
        self._cache = EmbeddingCache(snapshot.dir / CACHE_NAME, np.float16, _CACHE_WAIT_S)

    def embed(self, ids: Sequence[int], instruction: str, progress: RerankProgress) -> dict[int, NDArray[np.float16]]:
        """Embed segments with an instruction.

        Args:
            ids: ids of media segments.
            instruction: replaces the model's prompt.
            progress: updated after each batch.

        Returns:
            (dim,) of unit norm by segment id, without segments whose file is missing, changed or unreadable.

        Raises:
            ModelError: the model cannot be loaded, or fails.
        """
        origins = self._origins(ids)
        found = self._cached(origins, instruction)
        progress.total, progress.done, progress.skipped = len(origins), len(found), 0
        progress.report("rerank")
        missing = [origin for origin in origins if origin.segment.segment_id not in found]
        with closing(self._clips(missing, progress)) as clips:
            for batch in batched(
                clips,
                lambda pair: clip_bytes(pair[1]),
                max_items=batches.SHORT_BATCH_CLIPS,
                max_bytes=batches.WHOLE_BATCH_BYTES,
            ):
                pairs = [(clip, origin.segment.modality) for origin, clip in batch]
                rows = [row.astype(np.float16) for row in self._encoder.embed_clips(pairs, instruction, "document")]
                made = [(origin, row) for (origin, _), row in zip(batch, rows, strict=True)]
                with suppress(CacheError):
                    self._cache.put((self._key(origin, instruction), row) for origin, row in made)
                found.update((origin.segment.segment_id, row) for origin, row in made)
                progress.done += len(batch)
                progress.report("rerank")
        return found

    def _cached(self, origins: Sequence[Origin], instruction: str) -> dict[int, NDArray[np.float16]]:
        """Return the cached vectors. A cache that cannot be read counts as empty."""
        keys = {origin.segment.segment_id: self._key(origin, instruction) for origin in origins}
        with suppress(CacheError):
            vectors = self._cache.get(keys.values())
            return {number: vectors[key].astype(np.float16) for number, key in keys.items() if key in vectors}
        return {}

    def _key(self, origin: Origin, instruction: str) -> CacheKey:
        segment = origin.segment
        space = vector_space(self._snapshot.manifest.model, "", segment.modality, instruction)
        return CacheKey(space, f"{origin.digest} {segment.start_s} {segment.stop_s}")

    def _origins(self, ids: Sequence[int]) -> list[Origin]:
        segments = self._snapshot.segment_rows(ids)
        contents = self._snapshot.contents(sorted({segment.content_id for segment in segments}))
        return [Origin(segment, contents[segment.content_id].digest) for segment in segments]

    def _clips(self, origins: Sequence[Origin], progress: RerankProgress) -> Generator[tuple[Origin, Clip]]:
        """Decode each file once, from beginning to end, and each range once for all its modalities."""
        files = self._snapshot.files_of(sorted({origin.segment.content_id for origin in origins}))
        ordered = sorted(origins, key=lambda origin: (origin.segment.content_id, origin.segment.start_s or 0.0))
        for content_id, of_content in groupby(ordered, lambda origin: origin.segment.content_id):
            wanted = list(of_content)
            try:
                source = self._source(files[content_id], wanted[0].digest)
            except MediaError as error:
                progress.skip(error.path, error, len(wanted))
                continue
            for _, of_moment in groupby(wanted, lambda origin: (origin.segment.start_s, origin.segment.stop_s)):
                yield from self._moment(source, list(of_moment), progress)

    def _source(self, files: Sequence[FileRow], digest: str) -> Source:
        """Return the first file whose content is unchanged."""
        problem: MediaError | None = None
        for file in files:
            path = as_path(file.path)
            try:
                info = self._encoder.identify(path)
            except MediaError as error:
                problem = problem or error
                continue
            if info.digest == digest:
                return path, info
            problem = problem or MediaError(path, "changed since it was indexed", "Run `wave-search index` again.")
        assert problem is not None  # noqa: S101 - a segment that is found has a file
        raise problem

    def _moment(
        self, source: Source, origins: Sequence[Origin], progress: RerankProgress
    ) -> Generator[tuple[Origin, Clip]]:
        path, info = source
        row = origins[0].segment
        span = None if row.start_s is None or row.stop_s is None else Span(row.start_s, row.stop_s)
        progress.report("rerank", path)
        try:
            modalities = [origin.segment.modality for origin in origins]
            decoded = list(self._encoder.decoders().segments(path, info, WHOLE, modalities, span))
            if len(decoded) != 1 or not {*modalities} <= {*decoded[0].clip.modalities}:
                raise BrokenMediaError(path, "it is decoded differently than when it was indexed")
        except (MediaError, UsageError) as error:
            progress.skip(path, error, len(origins))
            return
        progress.media_s += decoded[0].media_s
        for origin in origins:
            yield origin, decoded[0].clip


@dataclass(frozen=True, slots=True)
class Reranker:
    """Embeds the best segments of a search again with an instruction, and reorders their matches."""

    reembedder: Reembedder
    instruction: str
    depth: int
    """Number of segments to embed again."""
    progress: RerankProgress

    def reorder(self, found: Sequence[Match], partitions: Sequence[PartitionSearch], query: Query) -> list[Match]:
        """Return matches in the new order.

        Matches whose segment cannot be embedded again come after the reordered ones, and all further matches after
        these, both in their old order and with their old scores.

        Args:
            found: best first.
            partitions: the partitions that were searched. Segments that are indexed with the instruction, and texts,
                keep their scores.
            query: the query of the search.
        """
        keys = [partition.key for partition in partitions]
        best = set(list(dict.fromkeys(match.segment_id for match in found))[: self.depth])
        chosen = [match for match in found if match.segment_id in best]
        unchanged = {key.modality for key in keys if key.instruction or key.modality is Modality.TEXT}
        settled = [match for match in chosen if match.modality in unchanged]
        vectors = self._embed([match for match in chosen if match.modality not in unchanged])
        again = [match for match in chosen if match.segment_id in vectors]
        lost = [match for match in chosen if match.segment_id not in vectors and match.modality not in unchanged]
        further = [match for match in found if match.segment_id not in best]
        scores = score(np.stack([*vectors.values()]), query.vectors).tolist() if vectors else []
        new = rescored(again, dict(zip(vectors, scores, strict=True)))
        if len(query.terms) > 1:
            new = [match for partition in partitions for match in _fused(new, vectors, partition, query)]
        return [*sorted([*settled, *new], key=order), *lost, *further]

    def _embed(self, found: Sequence[Match]) -> dict[int, NDArray[np.float16]]:
        ids = list(dict.fromkeys(match.segment_id for match in found))
        try:
            return self.reembedder.embed(ids, self.instruction, self.progress)
        finally:
            self.progress.report("done")  # also after an error, because a progress display must restore the terminal


def _fused(
    found: Sequence[Match], vectors: Mapping[int, NDArray[np.float16]], partition: PartitionSearch, query: Query
) -> list[Match]:
    """Set the joint z of the matches of a partition; the z of each term changes as in `rescored`."""
    modality = partition.key.modality
    ids = np.unique([match.segment_id for match in found if match.modality is modality]).astype(np.int64)
    if not len(ids):
        return []
    again = np.stack([vectors[number] for number in ids.tolist()]).astype(np.float32)
    before = partition.scores_by_term(ids, query.terms)
    z = [
        _shifted_z(cosines, z, max_inner_products(again, term.vectors))
        for term, cosines, z in zip(query.terms, before.cosines, before.z, strict=True)
    ]
    joint = joint_z(np.stack(z), [term.weight for term in query.terms], before.usual_z)
    z_of = dict(zip(ids.tolist(), joint.tolist(), strict=True))
    return [match._replace(z=z_of[match.segment_id]) for match in found if match.segment_id in z_of]


def rescored(found: Sequence[Match], scores: Mapping[int, float]) -> list[Match]:
    """Return matches with new scores and the corresponding z.

    An instruction shifts the cosines of a whole partition, but the shift is known only for the segments that were
    embedded with it. For each modality, these therefore keep their mean z, so that together they stand out from the
    partition as before, and the ratio between z and cosine.

    Args:
        found: matches of one query.
        scores: cosines by segment id.
    """
    new: list[Match] = []
    for modality in dict.fromkeys(match.modality for match in found):
        part = [match for match in found if match.modality == modality]
        before = np.array([(match.score, match.z) for match in part])
        now = np.array([scores[match.segment_id] for match in part])
        z = _shifted_z(before[:, 0], before[:, 1], now)
        new += [
            match._replace(score=min(float(score), 1.0), z=float(z))
            for match, score, z in zip(part, now, z, strict=True)
        ]
    return new


def _shifted_z(before: Vector, z: Vector, now: Vector) -> Vector:
    """Return the z (n,) of new scores (n,), given the previous scores and z (n,)."""
    std, std_z = before.std(), z.std()
    per_point = std_z / std if std > 0 and std_z >= _MIN_STD_Z else 0.0
    shifted: Vector = z.mean() + (now - now.mean()) * per_point
    return shifted
