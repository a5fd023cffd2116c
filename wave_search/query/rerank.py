"""The best hits of a search in a new order: that of their vectors with an instruction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from wave_search.ann import by_best_row, score
from wave_search.query.compose import joint_z
from wave_search.query.fusion import by_parts
from wave_search.query.moments import order
from wave_search.types import Modality

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from wave_search.query.matches import Match
    from wave_search.query.partition import PartitionSearch
    from wave_search.query.reembed import Reembedder, RerankProgress
    from wave_search.query.resolve import Query

    Vector = NDArray[np.floating]

_MIN_SPREAD = 1e-3
"""Of z. Hits nearer to each other say nothing about how much z a point of cosine is."""


@dataclass(frozen=True, slots=True)
class Reranker:
    """Embeds the best segments of a search again, with an instruction, and orders their hits by it."""

    reembedder: Reembedder
    instruction: str
    depth: int
    """How many segments."""
    watch: RerankProgress

    def reorder(self, hits: Sequence[Match], partitions: Sequence[PartitionSearch], query: Query) -> list[Match]:
        """Bring hits into the new order.

        Those whose segment cannot be embedded again come behind the others of the best, and all further ones behind
        these: in the order that they had, and with the score that they had.

        Args:
            hits: best first.
            partitions: what was searched. What is embedded with the instruction there, and text, keeps its score.
            query: what for.
        """
        keys = [partition.key for partition in partitions]
        best = set(list(dict.fromkeys(hit.segment_id for hit in hits))[: self.depth])
        chosen = [hit for hit in hits if hit.segment_id in best]
        as_before = {key.modality for key in keys if key.instruction or key.modality is Modality.TEXT}
        settled = [hit for hit in chosen if hit.modality in as_before]
        vectors = self._embed([hit for hit in chosen if hit.modality not in as_before])
        again = [hit for hit in chosen if hit.segment_id in vectors]
        lost = [hit for hit in chosen if hit.segment_id not in vectors and hit.modality not in as_before]
        further = [hit for hit in hits if hit.segment_id not in best]
        scores = score(np.stack([*vectors.values()]), query.rows).tolist() if vectors else []
        new = rescored(again, dict(zip(vectors, scores, strict=True)))
        if len(query.parts) > 1:
            new = [hit for partition in partitions for hit in _met(new, vectors, partition, query)]
        return [*sorted([*settled, *new], key=order), *lost, *further]

    def _embed(self, hits: Sequence[Match]) -> dict[int, NDArray[np.float16]]:
        """Vectors with the instruction by segment id, of those segments that can be embedded."""
        ids = list(dict.fromkeys(hit.segment_id for hit in hits))
        try:
            return self.reembedder.embed(ids, self.instruction, self.watch)
        finally:
            self.watch.tell("done")  # however it ended: a display has to leave the terminal in order


def _met(
    hits: Sequence[Match], vectors: Mapping[int, NDArray[np.float16]], partition: PartitionSearch, query: Query
) -> list[Match]:
    """The hits of a partition with the z of all parts of the query together, each of which moves as in `rescored`."""
    ids = np.unique([hit.segment_id for hit in hits if hit.modality is partition.key.modality]).astype(np.int64)
    if not len(ids):
        return []
    again = np.stack([vectors[number] for number in ids.tolist()]).astype(np.float32)
    cosines, z_before, usual = by_parts(partition, ids, query.parts)
    by_part = [
        _moved(before, z, by_best_row(again, part.rows))
        for part, before, z in zip(query.parts, cosines, z_before, strict=True)
    ]
    together = joint_z(np.stack(by_part), [part.weight for part in query.parts], usual)
    z_of = dict(zip(ids.tolist(), together.tolist(), strict=True))
    return [hit._replace(z=z_of[hit.segment_id]) for hit in hits if hit.segment_id in z_of]


def rescored(hits: Sequence[Match], scores: Mapping[int, float]) -> list[Match]:
    """Give hits new scores, and the z that goes with them.

    An instruction moves the cosines of a whole partition, and how far is known only of the segments that were embedded
    with it. So, for each modality, these keep their mean z: together they stand out from the partition as before. And
    they keep the scale: a point of cosine is as much z as before.

    Args:
        hits: of one query.
        scores: cosines by segment id.
    """
    found: list[Match] = []
    for modality in dict.fromkeys(hit.modality for hit in hits):
        part = [hit for hit in hits if hit.modality == modality]
        before = np.array([(hit.score, hit.z) for hit in part])
        now = np.array([scores[hit.segment_id] for hit in part])
        z = _moved(before[:, 0], before[:, 1], now)
        found += [
            hit._replace(score=min(float(score), 1.0), z=float(z)) for hit, score, z in zip(part, now, z, strict=True)
        ]
    return found


def _moved(before: Vector, z: Vector, now: Vector) -> Vector:
    """The z (n,) of new scores, from scores and their z before, all (n,)."""
    spread, spread_z = before.std(), z.std()
    per_point = spread_z / spread if spread > 0 and spread_z >= _MIN_SPREAD else 0.0
    moved: Vector = z.mean() + (now - now.mean()) * per_point
    return moved
