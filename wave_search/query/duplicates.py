"""Duplicates in an index: identical files, and nearly identical segments."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from wave_search.files import as_path
from wave_search.query.fusion import Query
from wave_search.query.partition import PartitionSearch
from wave_search.query.request import check_cosine
from wave_search.types import DuplicateGroup, DuplicateMember
from wave_search.vectors import normalize

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from wave_search.store import Snapshot
    from wave_search.types import PartitionKey

_EXACT_TO = 20_000
"""Up to this many segments, all pairs are compared; with more, each segment is compared with its approximate
neighbours."""
_NEIGHBOURS = 16
_BLOCK_ROWS = 256

Link = tuple[int, int, float]
"""Positions of two segments in a partition, and their cosine."""


def find_duplicates(snapshot: Snapshot, threshold: float) -> list[DuplicateGroup]:
    """Group duplicate files and near-duplicate segments.

    Args:
        snapshot: the version of the index.
        threshold: minimum cosine of two near-duplicate segments of different contents. Groups are connected components:
            two members may be less similar if others link them.

    Returns:
        Identical files first, then segments; the largest groups first.

    Raises:
        UsageError: the threshold is not above 0 and at most 1.
    """
    check_cosine("threshold", threshold)
    found = list(_identical(snapshot))
    for key in snapshot.counts().segments:
        if not key.instruction:
            found += _similar(snapshot, key, threshold)
    return sorted(found, key=lambda group: (group.kind, -len(group.members), group.members[0].path))


def _identical(snapshot: Snapshot) -> Iterator[DuplicateGroup]:
    paths: dict[int, list[bytes]] = defaultdict(list)
    for path, row in snapshot.files().items():
        if row.content_id is not None:
            paths[row.content_id].append(path)
    for same in paths.values():
        if len(same) > 1:
            members = tuple(DuplicateMember(as_path(path), None, None, None) for path in sorted(same))
            yield DuplicateGroup("identical", None, 1.0, members)


def _similar(snapshot: Snapshot, key: PartitionKey, threshold: float) -> Iterator[DuplicateGroup]:
    partition = snapshot.partition(key)
    few = len(partition.ids) <= _EXACT_TO
    links = (_exact_links if few else _approximate_links)(snapshot, key, partition.ids, threshold)
    different = (link for link in links if partition.content_ids[link[0]] != partition.content_ids[link[1]])
    for positions, score in _connected(different):
        segments = snapshot.segment_rows(partition.ids[positions])
        files = snapshot.files_of([segment.content_id for segment in segments])
        members = [
            DuplicateMember(
                as_path(files[segment.content_id][0].path), segment.start_s, segment.stop_s, segment.segment_id
            )
            for segment in segments
        ]
        yield DuplicateGroup("similar", key.modality, score, tuple(sorted(members)))


def _exact_links(snapshot: Snapshot, key: PartitionKey, ids: NDArray[np.int64], threshold: float) -> Iterator[Link]:
    vectors = normalize(snapshot.vectors(key, ids))
    for start in range(0, len(ids), _BLOCK_ROWS):
        scores = vectors[start : start + _BLOCK_ROWS] @ vectors[start:].T
        for row, column in np.argwhere(np.triu(scores, 1) >= threshold):
            yield start + int(row), start + int(column), float(scores[row, column])


def _approximate_links(
    snapshot: Snapshot, key: PartitionKey, ids: NDArray[np.int64], threshold: float
) -> Iterator[Link]:
    partition = PartitionSearch(snapshot, key)
    for batch_ids, batch in snapshot.vector_batches(key, 0, snapshot.manifest.next_segment_id):
        live = np.isin(batch_ids, ids, assume_unique=True)
        for segment_id, vector in zip(batch_ids[live], normalize(batch[live]), strict=True):
            near = partition.search(Query.of_vectors(vector[None]), _NEIGHBOURS)
            kept = (near.scores >= threshold) & (near.ids > segment_id)
            others, here = np.searchsorted(ids, near.ids[kept]), int(np.searchsorted(ids, segment_id))
            yield from (
                (here, int(other), float(score)) for other, score in zip(others, near.scores[kept], strict=True)
            )


def _connected(links: Iterator[Link]) -> list[tuple[list[int], float]]:
    """Return the connected components of linked positions, with the lowest cosine of their links."""
    parent: dict[int, int] = {}

    def root(at: int) -> int:
        parent.setdefault(at, at)
        while parent[at] != at:
            parent[at] = at = parent[parent[at]]
        return at

    least: dict[int, float] = {}
    for one, other, score in links:
        first, second = root(one), root(other)
        parent[second] = first
        least[first] = min(score, least.get(first, 1.0), least.get(second, 1.0))
    groups: dict[int, list[int]] = defaultdict(list)
    for at in sorted(parent):
        groups[root(at)].append(at)
    return [(positions, least[top]) for top, positions in groups.items()]
