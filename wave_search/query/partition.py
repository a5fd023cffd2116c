"""From query vectors to the best segments of a partition: shards for what they cover, exact search for the rest."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from wave_search.ann import Codebook, SearchParams, Shard, Shards, by_best_row, draw, exact_search
from wave_search.calibration.background import SAMPLE_SIZE, Background, background_of
from wave_search.errors import IndexCorruptError
from wave_search.store import covered

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import NDArray

    from wave_search.store import ScoreStats, Snapshot
    from wave_search.types import Modality, PartitionKey


@dataclass(frozen=True, slots=True)
class Candidates:
    """The best segments of a partition for one query, best first."""

    modality: Modality
    ids: NDArray[np.int64]
    """(n,) segment ids."""
    scores: NDArray[np.float32]
    """(n,) cosine similarities, exact."""
    z: NDArray[np.float32]
    """(n,) the same in standard deviations above the background."""

    def except_for(self, ids: Collection[int], k: int) -> Candidates:
        """The best k that are not among `ids`."""
        kept = np.flatnonzero(~np.isin(self.ids, list(ids)))[:k]
        return Candidates(self.modality, self.ids[kept], self.scores[kept], self.z[kept])

    def is_all(self, k: int, min_z: float | None) -> bool:
        """Tell whether a search for more than the k of this one would find nothing else of at least this z."""
        return len(self.ids) < k or (min_z is not None and bool(self.z[-1] < min_z))


class PartitionSearch:
    """The segments of one space in one version of the index, ready to be searched. Loads what it needs once.

    Args:
        snapshot: the version.
        key: which partition.

    Attributes:
        key: the same.

    Raises:
        IndexStateError: the version has been removed, some time after it was replaced.
        IndexCorruptError: a part of it is missing or damaged.
    """

    def __init__(self, snapshot: Snapshot, key: PartitionKey) -> None:
        self._snapshot = snapshot
        self.key = key
        with ThreadPoolExecutor(1) as other:  # the time of both is that of reading
            opened = other.submit(self._open_shards)
            ids = snapshot.partition(key).ids
        try:
            self._shards = Shards(*found, ids) if (found := opened.result()) else None
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
            raise IndexCorruptError(cause, "Run `wave-search optimize`: it builds them again, without a model.")
        codebook = Codebook.open(snapshot.shard_dir(ref), snapshot.manifest.model.dim)
        return codebook, [Shard.open(snapshot.shard_dir(shard), codebook) for shard in refs]

    def vectors(self, ids: NDArray[np.int64]) -> NDArray[np.float16]:
        """(n, dim) of ascending ids: from shards where they can, which is much faster than from the table."""
        found = np.empty((len(ids), self._snapshot.manifest.model.dim), np.float16)
        here = np.zeros(len(ids), np.bool_)
        if self._shards is not None:
            vectors, here = self._shards.vectors_of(ids)
            found[here] = vectors
        found[~here] = self._rest[np.searchsorted(self._rest_ids, ids[~here])]
        return found

    @cached_property
    def _spreads(self) -> dict[Modality, ScoreStats]:
        return self._snapshot.score_stats(self.key)

    @cached_property
    def _efforts(self) -> dict[Modality, SearchParams]:
        tunings = self._snapshot.tunings(self.key)
        return {tuning.query: SearchParams(tuning.nprobe, tuning.candidates) for tuning in tunings}

    def search(
        self,
        queries: NDArray[np.float32],
        k: int,
        kind: Modality | None = None,
        allowed_ids: NDArray[np.int64] | None = None,
        overfetch: int = 0,
    ) -> Candidates:
        """Find the best k segments.

        Args:
            queries: (q, dim) of unit norm, together one query: a segment's score is its best over the rows.
            k: how many.
            kind: what the query is; None if that is not known.
            allowed_ids: (a,) ascending segment ids; nothing else is found. May hold ids of other partitions; None for
                no limit.
            overfetch: so many more, as far as they are met while the best k are looked for.

        Returns:
            k to k + spare of them; fewer only where that is all that may be found.
        """
        scores, ids = self.nearest(queries, k, {kind}, allowed_ids, overfetch)
        z = self.background(queries, kind).z(scores)
        return Candidates(self.key.modality, ids, scores, z)

    def nearest(
        self,
        queries: NDArray[np.float32],
        k: int,
        kinds: Collection[Modality | None],
        allowed_ids: NDArray[np.int64] | None = None,
        overfetch: int = 0,
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Find scores and ids of the best k segments or more, both (n,), best first: as `search` for several kinds."""
        if self._shards is None:
            return self._search_rest(queries, k + overfetch, allowed_ids)
        scores, ids = self._shards.search(queries, k, self._effort(kinds), allowed_ids, overfetch)
        if len(self._rest_ids):
            more_scores, more_ids = self._search_rest(queries, k + overfetch, allowed_ids)
            scores, ids = np.concatenate([scores, more_scores]), np.concatenate([ids, more_ids])
            best = np.lexsort((ids, -scores))[: k + overfetch]
            scores, ids = scores[best], ids[best]
        return scores, ids

    def _search_rest(
        self, queries: NDArray[np.float32], k: int, allowed_ids: NDArray[np.int64] | None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        rest, rest_ids = self._rest, self._rest_ids
        if allowed_ids is not None:
            kept = np.isin(rest_ids, allowed_ids, assume_unique=True)
            rest, rest_ids = rest[kept], rest_ids[kept]
        return exact_search(rest, rest_ids, queries, k)

    def background(self, rows: NDArray[np.float32], kind: Modality | None) -> Background:
        """What a query of rows (q, dim) scores on anything here."""
        return background_of(by_best_row(self._sample, rows), len(rows), kind, self._spreads)

    def _effort(self, kinds: Collection[Modality | None]) -> SearchParams:
        """As measured for such queries; otherwise as much as for any, and more if none came from elsewhere."""
        assert self._shards is not None  # noqa: S101 - narrows the type
        known = [self._efforts[kind] for kind in kinds if kind in self._efforts]
        if len(known) < len(kinds):
            known = list(self._efforts.values())
            if self._efforts.keys() <= {self.key.modality}:
                known.append(SearchParams.by_rule(self._shards.codebook.lists))
        return SearchParams(max(e.nprobe for e in known), max(e.candidates for e in known))
