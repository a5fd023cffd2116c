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

    from wave_search.store import Partition, Snapshot
    from wave_search.types import PartitionKey

_EXACT_TO = 20_000
"""Up to this many segments, all pairs are compared; with more, each segment is compared with its approximate
neighbours."""
_NEIGHBOURS = 16
_BLOCK_ROWS = 256

Links = tuple[int, "NDArray[np.int64]", "NDArray[np.float32]"]
"""The position of a segment in a partition, those of others that are similar, and their cosines."""


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
    links = (_exact_links if few else _approximate_links)(snapshot, key, partition, threshold)
    for positions, score in _connected(len(partition.ids), links):
        segments = snapshot.segment_rows(partition.ids[positions])
        files = snapshot.files_of([segment.content_id for segment in segments])
        members = [
            DuplicateMember(
                as_path(files[segment.content_id][0].path), segment.start_s, segment.stop_s, segment.segment_id
            )
            for segment in segments
        ]
        yield DuplicateGroup("similar", key.modality, score, tuple(sorted(members)))


def _exact_links(snapshot: Snapshot, key: PartitionKey, partition: Partition, threshold: float) -> Iterator[Links]:
    vectors, contents = normalize(snapshot.vectors(key, partition.ids)), partition.content_ids
    for start in range(0, len(vectors), _BLOCK_ROWS):
        stop = start + _BLOCK_ROWS
        scores = vectors[start:stop] @ vectors[start:].T
        linked = np.triu(scores >= threshold, 1) & (contents[start:stop, None] != contents[start:])
        for row in np.flatnonzero(linked.any(axis=1)):
            yield start + int(row), start + np.flatnonzero(linked[row]), scores[row, linked[row]]


def _approximate_links(
    snapshot: Snapshot, key: PartitionKey, partition: Partition, threshold: float
) -> Iterator[Links]:
    search, ids, contents = PartitionSearch(snapshot, key), partition.ids, partition.content_ids
    for batch_ids, batch in snapshot.vector_batches(key, 0, snapshot.manifest.next_segment_id):
        live = np.isin(batch_ids, ids, assume_unique=True)
        queries = [Query.of_vectors(vector[None]) for vector in normalize(batch[live])]
        for segment_id, near in zip(batch_ids[live], search.search(queries, _NEIGHBOURS), strict=True):
            kept = (near.scores >= threshold) & (near.ids > segment_id)
            others, here = np.searchsorted(ids, near.ids[kept]), int(np.searchsorted(ids, segment_id))
            different = contents[others] != contents[here]
            if different.any():
                yield here, others[different], near.scores[kept][different]


def _connected(count: int, links: Iterator[Links]) -> list[tuple[list[int], float]]:
    """Return the connected components of linked positions below `count`, with the lowest cosine of their links."""
    component, least = np.arange(count), np.ones(count, np.float32)
    members: dict[int, list[int]] = {}
    for here, others, scores in links:
        least[here] = min(least[here], scores.min())
        # Most links of large components are within them, and are not looked at one by one.
        linked: NDArray[np.intp] = component[others]
        for other in np.unique(linked[linked != component[here]]).tolist():
            both = [(name, members.pop(name, [name])) for name in (int(component[here]), other)]
            (_, moved), (larger, kept) = sorted(both, key=lambda pair: len(pair[1]))
            component[moved] = larger
            kept += moved
            members[larger] = kept
    return [(sorted(positions), float(least[positions].min())) for positions in members.values()]
