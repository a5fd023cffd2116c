"""The candidates of a query of several parts, in the order of how well they meet all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wave_search.ann import by_best_row
from wave_search.query.compose import joint_z
from wave_search.query.partition import Candidates

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from wave_search.query.compose import QueryTerm
    from wave_search.query.partition import PartitionSearch
    from wave_search.query.resolve import Query

_DEPTH = 200
"""How many more are scored for each part than are wanted. Measured: docs/queries.md."""


def search(
    partition: PartitionSearch, query: Query, k: int, allowed_ids: NDArray[np.int64] | None = None, overfetch: int = 0
) -> Candidates:
    """Find the best k segments or more by a query of any number of parts.

    Args:
        partition: where.
        query: what is searched for.
        k: how many.
        allowed_ids: as for `PartitionSearch.search`.
        overfetch: the same.

    Returns:
        Scores are cosines with the sum of the parts; order and z are those of `joint_z`.
    """
    if len(query.parts) == 1:
        return partition.search(query.rows, k, query.parts[0].kind, allowed_ids, overfetch)
    scores, ids = partition.nearest(query.rows, k + _DEPTH, {part.kind for part in query.parts}, allowed_ids, overfetch)
    _, z, usual = by_parts(partition, ids, query.parts)
    together = joint_z(z, [part.weight for part in query.parts], usual)
    best = np.lexsort((ids, -scores, -together))[: k + overfetch]
    return Candidates(partition.key.modality, ids[best], scores[best], together[best])


def by_parts(
    partition: PartitionSearch, ids: NDArray[np.int64], parts: Sequence[QueryTerm]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Measure segments by each part alone, as a query of only that part would be.

    Args:
        partition: where they are.
        ids: (n,), each once.
        parts: of a query.

    Returns:
        Cosines and z, both (parts, n), and the z (parts,) that anything here has by each part in the mean.
    """
    order = np.argsort(ids)
    vectors = partition.vectors(ids[order])[np.argsort(order)].astype(np.float32)
    cosines = np.stack([by_best_row(vectors, part.rows) for part in parts])
    backgrounds = [partition.background(part.rows, part.kind) for part in parts]
    z = np.stack([one.z(row) for one, row in zip(backgrounds, cosines, strict=True)])
    return cosines, z, np.array([one.usual_z for one in backgrounds], np.float32)
