"""Search in one partition of the index: by shards for the segments that they cover, exactly for the others."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np

from wave_search.ann import Codebook, SearchParams, Shard, ShardSet, covered, draw, max_inner_products, score
from wave_search.ann.exact import best_of_each, best_over_rows
from wave_search.ann.tuning import params_for
from wave_search.calibration import SAMPLE_SIZE, Background
from wave_search.errors import IndexCorruptError
from wave_search.query.fusion import FUSION_DEPTH, joint_z

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from wave_search.query.fusion import Query, QueryTerm
    from wave_search.store import ScoreStats, Snapshot
    from wave_search.types import Modality, PartitionKey

    Found = tuple[NDArray[np.float32], NDArray[np.int64]]

_ROWS_BEFORE_ENCODING = 16
"""To encode segments takes as long as some 40 exact searches of them, so that it pays only where more searches follow:
not for a single command."""
_MIN_ENCODED = 500_000
"""Numbers in vectors that are searched exactly as fast as by codes."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """The best segments of a partition for one query, best first."""

    modality: Modality
    ids: NDArray[np.int64]
    """(n,) segment ids."""
    scores: NDArray[np.float32]
    """(n,) exact cosines; for several terms, with their weighted sum."""
    z: NDArray[np.float32]
    """(n,) scores in standard deviations above the background; for several terms, their `joint_z`."""

    def is_all(self, k: int, min_z: float | None) -> bool:
        """Return whether a search for more than k segments would find no further ones of at least this z."""
        return len(self.ids) < k or (min_z is not None and float(self.z[-1]) < min_z)


@dataclass(frozen=True, slots=True)
class _Parts:
    """What is searched by codes, and what is searched exactly."""

    shards: ShardSet | None
    rest_ids: NDArray[np.int64]
    """(n,) ascending ids of the segments that are searched exactly."""
    rest: NDArray[np.float16]
    """(n, dim) their vectors."""

    def allowed(self, ids: NDArray[np.int64] | None) -> tuple[NDArray[np.int64], NDArray[np.float16]]:
        """Return ids and vectors of those of the rest that may be found; None for all."""
        if ids is None:
            return self.rest_ids, self.rest
        kept = np.isin(self.rest_ids, ids, assume_unique=True)
        return self.rest_ids[kept], self.rest[kept]


@dataclass(frozen=True, slots=True)
class TermScores:
    """Scores of segments by each single term of a query."""

    cosines: NDArray[np.float32]
    """(terms, n)."""
    z: NDArray[np.float32]
    """(terms, n)."""
    usual_z: NDArray[np.float32]
    """(terms,) mean z of the segments of the partition."""


class PartitionSearch:
    """The segments of one partition in one version of the index, ready to be searched. Safe to share between threads.

    Args:
        snapshot: the version.
        key: which partition.

    Attributes:
        key: the same.

    Raises:
        IndexStateError: the version has been removed, some time after it was replaced, or a file cannot be read at the
            moment.
        IndexCorruptError: a part of it is missing or damaged.
    """

    def __init__(self, snapshot: Snapshot, key: PartitionKey) -> None:
        self._snapshot = snapshot
        self.key = key
        with ThreadPoolExecutor(1) as other:  # both are bound by reading
            opened = other.submit(self._open_shards)
            ids = snapshot.partition(key).ids
        try:
            shards = ShardSet(*found, ids) if (found := opened.result()) else None
        except IndexCorruptError:
            snapshot.check_kept()
            raise
        rest_ids = ids[~covered(ids, snapshot.shards(key))]
        self._parts = _Parts(shards, rest_ids, snapshot.vectors(key, rest_ids))
        self._sample = self.vectors(draw(ids, SAMPLE_SIZE)).astype(np.float32)
        self._encoding, self._is_encoded, self._rows = Lock(), False, 0

    def _open_shards(self) -> tuple[Codebook, list[Shard]] | None:
        snapshot, ref = self._snapshot, self._snapshot.codebook(self.key)
        refs = snapshot.shards(self.key)
        if not refs:
            return None
        if ref is None:
            cause = f"the shards in {snapshot.shard_dir(refs[0]).parent} have no codebook"
            raise IndexCorruptError(cause, "Run `wave-search optimize`: it rebuilds them, without a model.")
        codebook = Codebook.open(snapshot.shard_dir(ref), snapshot.manifest.model.dim)
        return codebook, [Shard.open(snapshot.shard_dir(shard), codebook) for shard in refs]

    def vectors(self, ids: NDArray[np.int64]) -> NDArray[np.float16]:
        """Return the vectors (n, dim) of ascending ids: from shards where possible, much faster than from the table."""
        found = np.empty((len(ids), self._snapshot.manifest.model.dim), np.float16)
        here = np.zeros(len(ids), np.bool_)
        parts = self._parts
        if parts.shards is not None:
            vectors, here = parts.shards.vectors_of(ids)
            found[here] = vectors
        found[~here] = parts.rest[np.searchsorted(parts.rest_ids, ids[~here])]
        return found

    @cached_property
    def _score_stats(self) -> dict[Modality, ScoreStats]:
        return self._snapshot.score_stats(self.key)

    @cached_property
    def _tuned(self) -> dict[Modality, SearchParams]:
        tunings = self._snapshot.tunings(self.key)
        return {tuning.query: SearchParams(tuning.nprobe, tuning.refine_k) for tuning in tunings}

    def search(
        self, queries: Sequence[Query], k: int, overfetch: int = 0, allowed_ids: NDArray[np.int64] | None = None
    ) -> list[Candidates]:
        """Find the best k segments for each of several queries: the same as for each alone, in less time.

        Args:
            queries: each of one or several terms; for different modalities of queries the effort is different, so only
                those with the same are searched together.
            k: how many for each.
            overfetch: maximum number of further segments to return, as far as the search for the best k finds them.
            allowed_ids: (a,) ascending segment ids to restrict the results to; may include ids of other partitions.
                None for no restriction.

        Returns:
            For each query, k to k + overfetch segments, or fewer if no more may be found.
        """
        parts = self._parts_for(sum(len(query.vectors) for query in queries))
        shards, rest_ids, rest = parts.shards, *parts.allowed(allowed_ids)
        alike: dict[tuple[SearchParams | None, int], list[int]] = {}
        for number, query in enumerate(queries):
            depth = k + len(query.exclude_ids) + (FUSION_DEPTH if len(query.terms) > 1 else 0)
            alike.setdefault((self._params(query), depth), []).append(number)
        best: dict[int, Candidates] = {}
        for (params, depth), numbers in alike.items():
            rows = np.concatenate([queries[number].vectors for number in numbers])
            found = best_of_each(rest, rest_ids, rows, depth + overfetch)
            if shards is not None and params is not None:
                inside = shards.search(rows, depth, params, allowed_ids, overfetch)
                pairs = zip(inside, found, strict=True)
                found = [best_over_rows(pair, depth + overfetch) for pair in pairs] if len(rest_ids) else inside
            begin = 0
            for number in numbers:
                of_rows = found[begin : begin + len(queries[number].vectors)]
                begin += len(of_rows)
                best[number] = self._candidates(queries[number], of_rows, k, depth, overfetch)
        return [best[number] for number in range(len(queries))]

    def _candidates(self, query: Query, of_rows: Sequence[Found], k: int, depth: int, overfetch: int) -> Candidates:
        """Return the best segments of those that the rows of a query have found."""
        scores, ids = of_rows[0]
        if len(of_rows) > 1:
            # The best row of a segment need not be the one that has found it.
            ids = np.sort(best_over_rows(of_rows, depth + overfetch)[1])
            scores = score(self.vectors(ids), query.vectors)
            order = np.lexsort((ids, -scores))
            scores, ids = scores[order], ids[order]
        wanted = k + len(query.exclude_ids)
        z = self._z(query, scores, ids)
        if len(query.terms) > 1:
            best = np.lexsort((ids, -scores, -z))[: wanted + overfetch]
            scores, ids, z = scores[best], ids[best], z[best]
        if query.exclude_ids:
            kept = np.flatnonzero(~np.isin(ids, list(query.exclude_ids)))[: k + overfetch]
            scores, ids, z = scores[kept], ids[kept], z[kept]
        return Candidates(self.key.modality, ids, scores, z)

    def _parts_for(self, rows: int) -> _Parts:
        """Return what to search for `rows` more vectors."""
        self._rows += rows
        if self._rows > _ROWS_BEFORE_ENCODING and not self._is_encoded and self._encoding.acquire(blocking=False):
            try:
                self._encode()
            finally:
                self._encoding.release()
        return self._parts

    def _encode(self) -> None:
        """Encode the segments in no shard, if there are so many of them that this pays."""
        parts = self._parts
        if parts.shards is not None and parts.rest.size >= _MIN_ENCODED:
            extended = parts.shards.extended(parts.rest_ids, parts.rest)
            if extended is not None:
                self._parts = _Parts(extended, parts.rest_ids[:0], parts.rest[:0])
        self._is_encoded = True

    def prepare(self, other: PartitionSearch) -> None:
        """Encode at once what another version, which is searched often, has encoded."""
        if other._is_encoded:
            self._encode()

    def _z(self, query: Query, scores: NDArray[np.float32], ids: NDArray[np.int64]) -> NDArray[np.float32]:
        if len(query.terms) == 1:
            return self._background(query.terms[0]).z(scores)
        by_term = self.scores_by_term(ids, query.terms)
        return joint_z(by_term.z, [term.weight for term in query.terms], by_term.usual_z)

    def scores_by_term(self, ids: NDArray[np.int64], terms: Sequence[QueryTerm]) -> TermScores:
        """Score distinct segments (n,) of the partition by each term alone, as a query of only that term would."""
        order = np.argsort(ids)
        vectors = self.vectors(ids[order])[np.argsort(order)].astype(np.float32)
        cosines = np.stack([max_inner_products(vectors, term.vectors) for term in terms])
        backgrounds = [self._background(term) for term in terms]
        z = np.stack([one.z(row) for one, row in zip(backgrounds, cosines, strict=True)])
        return TermScores(cosines, z, np.array([one.usual_z for one in backgrounds], np.float32))

    def _background(self, term: QueryTerm) -> Background:
        scores = max_inner_products(self._sample, term.vectors)
        return Background.of_query(scores, len(term.vectors), term.modality, self._score_stats)

    def _params(self, query: Query) -> SearchParams | None:
        shards = self._parts.shards
        if shards is None:
            return None
        modalities = {term.modality for term in query.terms}
        return params_for(self._tuned, modalities, self.key.modality, shards.codebook.lists)
