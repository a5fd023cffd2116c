"""Search in one partition of the index: by shards for the segments that they cover, exactly for the others."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from wave_search.ann import Codebook, SearchParams, Shard, ShardSet, covered, draw, exact_search, max_inner_products
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
            self._shards = ShardSet(*found, ids) if (found := opened.result()) else None
        except IndexCorruptError:
            snapshot.check_kept()
            raise
        self._rest_ids = ids[~covered(ids, snapshot.shards(key))]
        self._rest = snapshot.vectors(key, self._rest_ids)
        self._sample = self.vectors(draw(ids, SAMPLE_SIZE)).astype(np.float32)

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
        if self._shards is not None:
            vectors, here = self._shards.vectors_of(ids)
            found[here] = vectors
        found[~here] = self._rest[np.searchsorted(self._rest_ids, ids[~here])]
        return found

    @cached_property
    def _score_stats(self) -> dict[Modality, ScoreStats]:
        return self._snapshot.score_stats(self.key)

    @cached_property
    def _tuned(self) -> dict[Modality, SearchParams]:
        tunings = self._snapshot.tunings(self.key)
        return {tuning.query: SearchParams(tuning.nprobe, tuning.refine_k) for tuning in tunings}

    def search(
        self, query: Query, k: int, overfetch: int = 0, allowed_ids: NDArray[np.int64] | None = None
    ) -> Candidates:
        """Find the best k segments.

        Args:
            query: of one or several terms.
            k: how many.
            overfetch: maximum number of further segments to return, as far as the search for the best k finds them.
            allowed_ids: (a,) ascending segment ids to restrict the results to; may include ids of other partitions.
                None for no restriction.

        Returns:
            k to k + overfetch segments, or fewer if no more may be found.
        """
        wanted = k + len(query.exclude_ids)
        depth = wanted + FUSION_DEPTH if len(query.terms) > 1 else wanted
        rest, rest_ids = self._unindexed(allowed_ids)
        if self._shards is None:
            scores, ids = exact_search(rest, rest_ids, query.vectors, depth + overfetch)
        else:
            scores, ids = self._shards.search(query.vectors, depth, self._params(query), allowed_ids, overfetch)
            if len(self._rest_ids):
                more_scores, more_ids = exact_search(rest, rest_ids, query.vectors, depth + overfetch)
                scores, ids = np.concatenate([scores, more_scores]), np.concatenate([ids, more_ids])
                best = np.lexsort((ids, -scores))[: depth + overfetch]
                scores, ids = scores[best], ids[best]
        z = self._z(query, scores, ids)
        if len(query.terms) > 1:
            best = np.lexsort((ids, -scores, -z))[: wanted + overfetch]
            scores, ids, z = scores[best], ids[best], z[best]
        if query.exclude_ids:
            kept = np.flatnonzero(~np.isin(ids, list(query.exclude_ids)))[: k + overfetch]
            scores, ids, z = scores[kept], ids[kept], z[kept]
        return Candidates(self.key.modality, ids, scores, z)

    def _unindexed(self, allowed_ids: NDArray[np.int64] | None) -> tuple[NDArray[np.float16], NDArray[np.int64]]:
        """Return vectors and ids of the segments that may be found and are in no shard."""
        if allowed_ids is None:
            return self._rest, self._rest_ids
        kept = np.isin(self._rest_ids, allowed_ids, assume_unique=True)
        return self._rest[kept], self._rest_ids[kept]

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

    def _params(self, query: Query) -> SearchParams:
        assert self._shards is not None  # noqa: S101 - narrows the type
        modalities = {term.modality for term in query.terms}
        return params_for(self._tuned, modalities, self.key.modality, self._shards.codebook.lists)
